"""Failure detection: which ranks live, and how all of them end when one is lost."""
