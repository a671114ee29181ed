"""Who am I. Values only; opens no socket and starts no MPI."""
