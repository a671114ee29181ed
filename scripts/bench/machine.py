"""What every benchmark does first: leave OpenBLAS free to choose its kernels. Import it before NumPy.

Some machines set `OPENBLAS_CORETYPE` and `OPENBLAS_L2_SIZE` to make results repeatable; that may slow matrix products
by half. Programs that a benchmark starts inherit the environment without them.
"""

from __future__ import annotations

import os

UNSET = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.pop(name, None)]

AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
"""Environment variables for Open MPI where a benchmark runs as root, as in a container."""

if UNSET:
    print(f"unset for this benchmark: {', '.join(UNSET)}")
