"""The gradients of NumPy's functions, one module a family."""

from distrib.autodiff.rules import elementwise, indexing, linear, matrices, reductions, shapes  # noqa: F401
