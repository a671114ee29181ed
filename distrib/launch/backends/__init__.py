"""How commands are started on hosts: ssh and mpirun."""
