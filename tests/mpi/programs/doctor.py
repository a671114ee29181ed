"""`distrib doctor`, after a strategy has said where its replicas are."""

import sys

import distrib
from distrib.cli.main import main

distrib.MirroredStrategy(log_device_placement=True)
sys.exit(main(["doctor"]))
