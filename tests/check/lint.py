#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of check.py, then clang-tidy: lint.py [--quick] [FILE...]

clang-tidy reads build/compile_commands.json, less g++'s precompiled headers. It takes minutes for
the whole tree; name files to look at these alone, or say --quick to leave it out.
"""

import concurrent.futures
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"

sys.path.insert(0, str(Path(__file__).resolve().parent))
import check  # noqa: E402


def our_commands():
    """Writes the compiler's commands without precompiled headers, which only g++ can read."""
    text = (BUILD / "compile_commands.json").read_text()
    text = re.sub(r"-fpch-preprocess -include \S+ ", "", text)
    folder = BUILD / "lint"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(text)
    return folder


def tidy(source, folder):
    # -W flags that only g++ knows must not count as findings.
    done = subprocess.run(["clang-tidy", "-quiet", "-p", str(folder),
                           "--extra-arg=-Wno-unknown-warning-option", str(source)],
                          capture_output=True, text=True, check=False)
    return done.stdout if done.returncode else ""


def our_sources():
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    files = {(BUILD / command["file"]).resolve() for command in commands}
    return sorted(file for file in files if file.is_relative_to(ROOT)
                  and not file.is_relative_to(BUILD))


def main():
    words = sys.argv[1:]
    findings = [finding for name in ("format", "layering", "licence", "unfinished")
                for finding in getattr(check, f"check_{name}")(ROOT)]
    print("\n".join(findings), end="\n" if findings else "")
    if "--quick" not in words:
        sources = [Path(word).resolve() for word in words] or our_sources()
        folder = our_commands()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for source, text in zip(sources, pool.map(tidy, sources, itertools.repeat(folder))):
                if text:
                    findings.append(str(source))
                    print(text, flush=True)
    print(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
