"""What parameter servers decide, without I/O."""
