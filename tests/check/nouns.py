#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The nouns of `meshgate show` wherever they are written by hand: nouns.py [ROOT]

base/api_nouns.h is the table; programs and completion use it, and this holds the manual to it.
"""

import re
import sys
from pathlib import Path


def nouns_of(text):
    return re.findall(r'"(\w+)"', text[text.index("kApiNouns"):text.index("};")])


def findings(root):
    nouns = nouns_of((root / "base/api_nouns.h").read_text())
    places = {
        "docs/man/meshgate.8.scd": r"\*show\* ([a-z*|]+) \[_NAME_\]",
        "docs/operate.md": r"`/api/v1/status`, ((?:`\w+`,? ?)+)",
        "docs/man/meshgated.8.scd": r"/api/v1/status, ((?:\w+(?:,\s*|\s+and\s+))+\w+)",
    }
    for name, pattern in places.items():
        found = re.search(pattern, (root / name).read_text())
        listed = [word for word in re.findall(r"\w+", found[1]) if word != "and"] if found else []
        if listed[:len(nouns)] != nouns:
            yield f"{name}: lists {' '.join(listed)}, base/api_nouns.h {' '.join(nouns)}"


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    all_findings = list(findings(root))
    for finding in all_findings:
        print(finding)
    return 1 if all_findings else 0


if __name__ == "__main__":
    sys.exit(main())
