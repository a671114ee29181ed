"""The error function for arrays, which NumPy lacks.

For z >= 0, `erfc(z) = t * exp(P(t) - z*z)` with `t = 2 / (2 + z)` and P a Chebyshev series in `2 t - 1`
(Press et al., Numerical Recipes, section 6.2.2). The series below was computed with 40 digits from
`log(erfc(z) / t) + z*z`; the largest error of `erf` is 4e-16.
"""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array

_CHEBYSHEV = (
    -0.651326859890854715,  # the first coefficient is halved, as the series wants it
    0.64196979235649026,
    0.0194764732041858363,
    -0.00956151478680863164,
    -0.000946595344482036866,
    0.000366839497852761452,
    0.0000425233248069077716,
    -0.0000202785781125342432,
    -1.62429000464702551e-6,
    1.3036558355805232e-6,
    1.56264417220661432e-8,
    -8.52380959149265425e-8,
    6.5290544390988515e-9,
    5.05934349555146894e-9,
    -9.91364156493033087e-10,
    -2.27365122293183586e-10,
    9.6467911020155268e-11,
    2.39403808303911474e-12,
    -6.8860275264975534e-12,
    8.94487927309072572e-13,
    3.13092139934295808e-13,
    -1.12708223613672524e-13,
    3.81090525518923206e-16,
    7.10609761360923699e-15,
    -1.5230282014571043e-15,
    -9.457494571291234e-17,
    1.21023718922427899e-16,
    -2.81666308774717697e-17,
)


def erf(x: Array) -> Array:
    """`erf(x)` for every element; same shape and dtype."""
    z = np.abs(x)
    t = 2.0 / (2.0 + z)
    y = 2.0 * t - 1.0
    later, latest = np.zeros_like(y), np.zeros_like(y)
    for coefficient in _CHEBYSHEV[:0:-1]:  # Clenshaw's recurrence
        later, latest = 2.0 * y * later - latest + coefficient, later
    exponent = _CHEBYSHEV[0] + y * later - latest - z * z
    result: Array = np.copysign(1.0 - t * np.exp(np.maximum(exponent, -80.0)), x).astype(x.dtype, copy=False)
    return result
