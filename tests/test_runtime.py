"""Who splits operations over cores, and when."""

import pytest
import tensorflow as tf

from keras_pose.data import runtime


@pytest.mark.parametrize(
    ("cores", "size", "told", "threads"),
    [
        (2, (128, 128), {}, {"intra": 1, "inter": 2}),
        (2, (96, 64), {}, {"intra": 1, "inter": 2}),
        (2, (256, 256), {}, {}),
        (4, (128, 128), {}, {}),
        (2, (128, 128), {"TF_NUM_INTRAOP_THREADS": "2"}, {}),
    ],
)
def test_small_operations_are_not_split_over_two_cores(
    monkeypatch, cores, size, told, threads
):
    found = {}
    for pool in ("intra", "inter"):
        monkeypatch.setattr(
            tf.config.threading,
            f"set_{pool}_op_parallelism_threads",
            lambda count, pool=pool: found.update({pool: count}),
        )
    monkeypatch.setattr(runtime.cores, "count", lambda: cores)
    for name in runtime.THREADS:
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    runtime.prepare(0, size)
    assert found == threads


def test_threads_that_run_already_are_left_alone(monkeypatch):
    def too_late(count):
        raise RuntimeError("Intra op parallelism cannot be modified")

    monkeypatch.setattr(
        tf.config.threading, "set_intra_op_parallelism_threads", too_late
    )
    monkeypatch.setattr(runtime.cores, "count", lambda: 2)
    runtime.prepare(0, (64, 64))
