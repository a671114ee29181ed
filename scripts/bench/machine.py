"""What every benchmark does first: leave OpenBLAS free to choose its kernels. Import it before NumPy.

Some machines set `OPENBLAS_CORETYPE` and `OPENBLAS_L2_SIZE` to make results repeatable; that may slow matrix products
by half. Programs that a benchmark starts inherit the environment without them.
"""

from __future__ import annotations

import os

UNSET = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.pop(name, None)]

if UNSET:
    print(f"unset for this benchmark: {', '.join(UNSET)}")
