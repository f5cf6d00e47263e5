#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a fuzz target of build/fuzz: run.py [TARGET [SECONDS]]. Without one it lists them.

What the fuzzer learns goes to build/fuzz/corpus/TARGET; an input that crashes goes to
build/fuzz/crashes and belongs into tests/fuzz/corpus/TARGET once the bug is fixed.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/fuzz"
DEFAULT_SECONDS = 60


def main():
    targets = sorted(path.name.removeprefix("fuzz_") for path in
                     (BUILD / "tests/fuzz").glob("fuzz_*") if os.access(path, os.X_OK)
                     and path.is_file())
    if len(sys.argv) < 2:
        print("\n".join(targets))
        return 0
    if sys.argv[1] not in targets:
        print(f"run: no fuzz target '{sys.argv[1]}'; there are: {' '.join(targets)}",
              file=sys.stderr)
        return 2
    target = sys.argv[1]
    seconds = sys.argv[2] if len(sys.argv) > 2 else str(DEFAULT_SECONDS)
    learnt, crashes = BUILD / "corpus" / target, BUILD / "crashes"
    learnt.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(exist_ok=True)
    command = [BUILD / "tests/fuzz" / f"fuzz_{target}", f"-max_total_time={seconds}", "-timeout=10",
               "-rss_limit_mb=2048", f"-artifact_prefix={crashes}/{target}-", learnt,
               ROOT / "tests/fuzz/corpus" / target]
    return subprocess.call([str(word) for word in command])


if __name__ == "__main__":
    sys.exit(main())
