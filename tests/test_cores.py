"""How many cores a container leaves."""

import os

import pytest

from keras_pose import cores


@pytest.mark.parametrize(
    ("given", "quota", "count"),
    [
        (8, None, 8),
        (8, "max 100000", 8),
        (8, "250000 100000", 3),
        (2, "400000 100000", 2),
    ],
)
def test_a_quota_counts_as_cores(monkeypatch, tmp_path, given, quota, count):
    def affinity(_):
        return set(range(given))

    monkeypatch.setattr(os, "sched_getaffinity", affinity, raising=False)
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota:
        cores.QUOTA.write_text(quota)
    assert cores.count() == count
