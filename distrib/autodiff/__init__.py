"""Automatic differentiation of NumPy functions; see `distrib/autodiff/tape.py`."""

from distrib.autodiff import dispatch  # noqa: F401  (sets the functions of Dispatch)
