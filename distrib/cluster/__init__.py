"""Who this process is in a cluster. Values only: opens no socket and starts no MPI."""
