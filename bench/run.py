#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the measurements: run.py [--peers] [ARGUMENT...]

Without --peers every program of build/bench runs, with the arguments handed on to Google Benchmark
(--benchmark_filter=REGEX). With --peers two boxes run beside two wireguard-go gateways.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main():
    arguments = sys.argv[1:]
    if "--peers" in arguments:
        arguments.remove("--peers")
        return subprocess.call(["/usr/bin/python3", str(ROOT / "bench/peers/peers.py"),
                                *arguments])
    if subprocess.call(["ninja", "-C", str(ROOT / "build"), "benchmarks"]) != 0:
        return 1
    programs = sorted(path for path in (ROOT / "build/bench").glob("bench_*")
                      if path.is_file() and os.access(path, os.X_OK))
    if not programs:
        print("run: no program in build/bench", file=sys.stderr)
        return 1
    status = 0
    for program in programs:
        print(f"== {program.name}", flush=True)
        status |= subprocess.call([str(program), *arguments])
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
