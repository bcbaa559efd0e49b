"""Runs a command and writes what it cost as JSON: wall and CPU time in milliseconds, and the peak
of resident memory in bytes. The command's output and exit code are passed on.

    measure.py FILE COMMAND [ARGUMENT...]
"""

import json
import resource
import subprocess
import sys
import time

started = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
wall_ms = (time.perf_counter() - started) * 1000
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
# Linux counts kibibytes, macOS bytes.
unit = 1 if sys.platform == "darwin" else 1024
cost = {
    "wall_ms": wall_ms,
    "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000,
    "peak_bytes": usage.ru_maxrss * unit,
}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(cost, file)
sys.exit(code if code >= 0 else 128 - code)
