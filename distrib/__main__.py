"""`python -m distrib`: the same as the command `distrib`."""

import sys

from distrib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
