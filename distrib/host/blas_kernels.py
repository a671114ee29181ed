"""Which kernels OpenBLAS multiplies matrices with. Imported before NumPy, which loads OpenBLAS and so decides.

OpenBLAS takes its AVX-512 kernels wherever there is AVX-512. Zen 4 computes 512 bits in two halves, so they have no
higher peak there, and they reach less of it: float32, 100 x 784 x 1024, one core: 88 Gflop/s, and 106 with those for
AVX2; 100 x 784 x 100: 95 and 99; float64 49 and 46. What the user sets in `OPENBLAS_CORETYPE` is left as it is.
"""

from __future__ import annotations

import os
import sys


def choose_kernels() -> None:
    """Set `OPENBLAS_CORETYPE` for this process, and those that it starts, where that makes it faster.

    Nothing happens where the user has set it, and where NumPy is loaded already.
    """
    kernels = None if "numpy" in sys.modules else better_kernels(_cpuinfo())
    if kernels is not None:
        os.environ.setdefault("OPENBLAS_CORETYPE", kernels)


def set_by_user() -> list[str]:
    """Names of the environment variables by which the user decides about kernels."""
    ours = {"OPENBLAS_CORETYPE": better_kernels(_cpuinfo())}
    names = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    return [name for name in names if os.environ.get(name) not in (None, ours.get(name))]


def better_kernels(cpuinfo: str) -> str | None:
    """The best value of `OPENBLAS_CORETYPE` for a processor; None where OpenBLAS chooses well.

    Args:
        cpuinfo: the beginning of `/proc/cpuinfo`.
    """
    lines = [line.partition(":") for line in cpuinfo.split("\n\n")[0].splitlines()]
    processor = {name.strip(): value.strip() for name, _, value in lines}
    is_zen_3_or_4 = (processor.get("vendor_id"), processor.get("cpu family")) == ("AuthenticAMD", "25")
    return "Haswell" if is_zen_3_or_4 and "avx512f" in processor.get("flags", "").split() else None


def _cpuinfo() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return file.read(8192)  # the first of perhaps many processors
    except OSError:
        return ""
