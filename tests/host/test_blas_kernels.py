"""The kernels of OpenBLAS are chosen before NumPy is loaded, and only where the user has not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distrib.host.blas_kernels import better_kernels

ZEN_4 = "processor : 0\nvendor_id : AuthenticAMD\ncpu family : 25\nflags : sse fma avx2 avx512f\n\n"
ZEN_5 = ZEN_4.replace("25", "26")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (ZEN_4 * 2, "Haswell"),
        (ZEN_4 + ZEN_5, "Haswell"),
        (ZEN_5 + ZEN_4, None),
        (ZEN_4.replace("avx512f", ""), None),
        (ZEN_4.replace("AuthenticAMD", "GenuineIntel"), None),
        ("processor : 0\nFeatures : fp asimd\n", None),
        ("", None),
    ],
)
def test_zen_4_gets_the_kernels_for_avx2(cpuinfo, expected):
    assert better_kernels(cpuinfo) == expected


@pytest.mark.parametrize("given", [None, "Nehalem"])
@pytest.mark.parametrize("first", ["distrib, numpy", "numpy, distrib"])
def test_kernels_are_chosen_before_numpy_is_loaded(first, given):
    environ = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    environ |= {} if given is None else {"OPENBLAS_CORETYPE": given}
    program = f"""
        import {first}, os, threadpoolctl
        [blas] = (info for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas")
        print(os.environ.get("OPENBLAS_CORETYPE"), blas["architecture"])
    """
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(map(str.strip, program.splitlines()))],
        env=environ, check=True, capture_output=True, text=True,
    )  # fmt: skip
    chosen, loaded = ended.stdout.split()
    better = better_kernels(Path("/proc/cpuinfo").read_text()) if first.startswith("distrib") else None
    assert chosen == str(given or better)
    if chosen != "None":
        assert loaded == chosen
