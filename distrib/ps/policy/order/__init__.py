"""The order of all that happens on parameter servers: one log of commands for each job."""
