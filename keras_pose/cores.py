"""The number of cores that this process may use, also in a container."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""CPU limit of a container, cgroup v2: microseconds of CPU time per period, and
the period; "max" if there is no limit."""


def count():
    """Cores in the process' affinity, at most the container's quota.

    `os.cpu_count` counts those of the machine instead.
    """
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no limit, or not Linux
        return cores
