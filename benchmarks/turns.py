"""Peers in processes of their own that work in turns: one works, others rest.

What disturbs a machine for a minute disturbs all of them then, and not the one
that happened to run.
"""

import multiprocessing
import time


def start(work, *args):
    """A process that calls work(*args, connection); our end of the line.

    It is daemonic: it ends with the benchmark.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=work, args=(*args, there), daemon=True).start()
    there.close()
    return here


def now():
    """Seconds of the clock, and of the processor in this process."""
    return time.perf_counter(), time.process_time()
