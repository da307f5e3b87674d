"""How many cores this process may use: fewer than there are in a container."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container, cgroup v2: microseconds of processor time in a period, and
the period; "max" if there is no limit."""


def count():
    """Cores that the scheduler gives us, and no more than the quota pays for.

    Not `os.cpu_count`, which counts those of the machine.
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # none, or not Linux
        return cores
