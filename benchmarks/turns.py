"""Peers in processes of their own that work in turns: one works, others rest.

What disturbs a machine for a minute disturbs all of them then, and not the one
that happened to run.
"""

import multiprocessing
import os
import time
from unittest import mock


def start(work, *args, settings=None):
    """A process that calls work(*args, connection); our end of the line.

    It is daemonic: it ends with the benchmark. `settings` of its environment
    are there from its start: a backend is chosen when Keras is imported, which
    is before `work` is called.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    peer = context.Process(target=work, args=(*args, there), daemon=True)
    with mock.patch.dict(os.environ, settings or {}):
        peer.start()
    there.close()
    return here


def now():
    """Seconds of the clock, and of the processor in this process."""
    return time.perf_counter(), time.process_time()
