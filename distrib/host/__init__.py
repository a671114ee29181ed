"""Host: what this machine is, and what its operating system says and offers."""
