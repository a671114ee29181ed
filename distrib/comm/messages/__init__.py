"""Messages between two ranks, over MPI or between threads."""
