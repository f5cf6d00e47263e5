#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every WireGuard statement has a test: wireguard_statements.py [ROOT]

Reads the table of docs/security.md. A row is `| Wnn | statement | tests | program |`; a test is
`Suite.Name` (tests/unit), `packet/NAME` (a folder of tests/packet) or `lab/FILE` (tests/lab).
Fails for a statement of W01 to W46 without a row or a test, for a test that does not exist, and for
a unit test whose name claims a statement that its row does not list.
"""

import re
import sys
from pathlib import Path

STATEMENTS = [f"W{n:02}" for n in range(1, 47)]
ROW = re.compile(r"^\| (W\d\d) \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.M)
UNIT_TEST = re.compile(r"^TEST(?:_F)?\((\w+),\s*(\w+)\)", re.M)


def unit_tests(root):
    return {".".join(match) for path in (root / "tests/unit").rglob("*_test.cc")
            for match in UNIT_TEST.findall(path.read_text())}


def exists(root, test, units):
    if test.startswith("packet/"):
        return (root / "tests" / test / "case.txt").is_file()
    if test.startswith("lab/"):
        return (root / "tests" / test).is_file()
    return test in units


def findings(root):
    table = root / "docs/security.md"
    if not table.is_file():
        return ["docs/security.md: missing"]
    rows = {row[0]: row for row in ROW.findall(table.read_text())}
    units = unit_tests(root)
    found = []
    for statement in STATEMENTS:
        if statement not in rows:
            found.append(f"{statement}: no row")
            continue
        _, summary, tests, program = (cell.strip() for cell in rows[statement])
        named = re.findall(r"`([^`]+)`", tests)
        if not named:
            found.append(f"{statement}: no test")
        if not summary or not program:
            found.append(f"{statement}: an empty cell")
        found += [f"{statement}: there is no test {name}" for name in named
                  if not exists(root, name, units)]
        found += [f"{statement}: {name} is not in its row" for name in sorted(units)
                  if re.search(rf"\.{statement}_", name) and name not in named]
    return found


def main():
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    found = findings(root)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
