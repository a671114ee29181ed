"""Runs a command while another process burns core 0: `beside_a_busy_process.py COMMAND...`."""

from __future__ import annotations

import os
import subprocess
import sys

burner = subprocess.Popen([sys.executable, "-c", "import os; os.sched_setaffinity(0, {0})\nwhile True: pass"])
try:
    code = subprocess.run(sys.argv[1:], env=os.environ, check=False).returncode
finally:
    burner.kill()
    burner.wait()
sys.exit(code)
