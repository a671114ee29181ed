"""Models of users' own, by subclass; see `distrib/training/own_models/subclassed.py`."""
