"""The command `distrib` and its subcommands."""
