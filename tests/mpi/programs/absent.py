"""One rank sleeps while the others wait in a collective: `absent.py VICTIM`."""

import os
import sys
import time

from fault import fired

import distrib

victim = int(sys.argv[1])
strategy = distrib.MirroredStrategy(distrib.CommunicationOptions(timeout_s=float(os.environ["TIMEOUT_S"])))
strategy.barrier()
if strategy.replica_id == victim:
    fired()
    time.sleep(60)
strategy.barrier()
