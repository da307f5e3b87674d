"""What a figure was measured on."""

import os
import platform
from pathlib import Path

SETS = {
    "amx_tile": "AMX",
    "avx512_vnni": "AVX512-VNNI",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
}
"""Flags of /proc/cpuinfo, the best first."""


def describe():
    """Processor, cores, its best instruction set, and oneDNN's state."""
    name, flags = platform.processor() or platform.machine(), []
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        if key.strip() == "flags":
            flags = value.split()
    best = next((SETS[flag] for flag in SETS if flag in flags), "no AVX2")
    state = {"1": "on", "0": "off"}.get(
        os.environ.get("TF_ENABLE_ONEDNN_OPTS"), "TensorFlow's choice"
    )
    return f"{name}, {os.cpu_count()} cores, {best}; oneDNN: {state}"
