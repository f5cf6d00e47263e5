#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that tests can fail: mutations.py [WORD ...] [--sample N [--seed SEED]] [--build DIR]

Each row of mutants/ breaks one statement beside the built tree, links the named test program with it and runs
the named tests, which must fail; before that, they must pass unbroken. WORD picks rows by statement
or file. The test command tries a sample, another one for each commit. Exit status 1 when a mutant
survives, or when the text of any row no longer stands in its file.
"""

import argparse
import datetime
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from mutants import babel, base, config, control, dataplane, mesh, wireguard  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Where a program lies in the build folder, and what it needs besides a filter.
PROGRAMS = {
    "unit_wireguard": ("tests/unit/control/wireguard/unit_wireguard", []),
    "unit_mesh": ("tests/unit/control/mesh/unit_mesh", []),
    "unit_babel": ("tests/unit/control/babel/unit_babel", []),
    "unit_dataplane_leaf": ("tests/unit/dataplane/unit_dataplane_leaf", []),
    "unit_dataplane_facade": ("tests/unit/dataplane/unit_dataplane_facade", []),
    "unit_base": ("tests/unit/base/unit_base", []),
    "unit_config": ("tests/unit/config/unit_config", []),
    "unit_api": ("tests/unit/control/api/unit_api", []),
    "unit_control": ("tests/unit/control/unit_control", []),
    "packet_cases": ("tests/packet/packet_cases", ["tests/packet"]),
}

# (statement, file, text as it stands there once, text that breaks it, tests that must notice), by room
ROWS = [row for room in (babel, base, config, control, dataplane, mesh, wireguard)
        for row in room.ROWS]


class Built:
    """The tree as it is built. A mutant is compiled and linked beside it: the mutated file stands in
    a folder before the tree's own, its objects before the libraries that hold the unbroken ones."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        commands = json.loads((build / "compile_commands.json").read_text())
        self.compilers = {entry["output"]: shlex.split(entry["command"]) for entry in commands}
        self.links, self.objects = {}, {}

    def ninja(self, *words):
        return subprocess.run(["ninja", "-C", self.build, *words], capture_output=True, text=True,
                              check=False)

    def prepare(self, program):
        """Builds a program, and learns how; returns what went wrong."""
        done = self.ninja(PROGRAMS[program][0])
        if done.returncode != 0:
            return done.stdout
        needed = self.ninja("-t", "commands", PROGRAMS[program][0]).stdout.splitlines()
        self.links[program] = shlex.split(needed[-1])
        outputs = {words[words.index("-o") + 1] for words in map(shlex.split, needed[:-1])
                   if "-o" in words}
        self.objects[program] = sorted(outputs & set(self.compilers))
        return ""

    def objects_of(self, program, name):
        """The objects of a program that are made of a source, or of all that include a header."""
        wanted = os.path.relpath(ROOT / name, self.build)
        if name.endswith(".cc"):
            return [one for one in self.objects[program] if self.compilers[one][-1] == wanted]
        deps = self.ninja("-t", "deps", *self.objects[program]).stdout
        return [lines[0].split(":")[0] for lines in map(str.split, deps.split("\n\n"))
                if wanted in lines]

    def compile(self, output, name, mutated):
        words = [word for word in self.compilers[output] if word not in ("ccache", "-Werror", "-MD")]
        for flag in ("-MQ", "-MF"):
            at = words.index(flag)
            del words[at:at + 2]
        target = self.folder / output.replace("/", "_")
        words[words.index("-o") + 1] = str(target)
        if name.endswith(".cc"):
            words[-1] = str(mutated)
        else:
            words.insert(1, f"-I{self.folder}")
        return target, subprocess.run(words, cwd=self.build, capture_output=True, text=True,
                                      check=False)

    def test(self, program, tests, path=None):
        """The number of tests that ran, and whether all passed."""
        built, arguments = PROGRAMS[program]
        try:
            done = subprocess.run([path or self.build / built, *arguments,
                                   f"--gtest_filter={tests}"], cwd=ROOT, capture_output=True,
                                  text=True, check=False, timeout=120)
        except subprocess.TimeoutExpired:
            return 1, False
        return done.stdout.count("[ RUN"), done.returncode == 0

    def try_row(self, row):
        _, name, old, new, test = row
        program, tests = test.split(":", 1)
        mutated = self.folder / name
        mutated.parent.mkdir(parents=True, exist_ok=True)
        mutated.write_text((ROOT / name).read_text().replace(old, new))
        link = list(self.links[program])
        at = link.index("-o") + 1
        link[at] = str(self.folder / program)
        try:
            for output in self.objects_of(program, name):
                target, done = self.compile(output, name, mutated)
                if done.returncode != 0:
                    return "does not build: " + done.stderr[-400:]
                link = [word for word in link if word != output]
                link.insert(at + 1, str(target))
            done = subprocess.run(link, cwd=self.build, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return "does not link: " + done.stderr[-400:]
            ran, passed = self.test(program, tests, self.folder / program)
            if ran == 0:
                return f"no test matches {tests}"
            return "SURVIVES" if passed else "killed"
        finally:
            mutated.unlink()


def stale(rows, root=ROOT):
    """Rows whose text no longer stands once in its file: they would break nothing."""
    for row in rows:
        path = root / row[1]
        count = path.read_text().count(row[2]) if path.is_file() else 0
        if count != 1:
            yield f"{row[1]}: {row[0]}: the text stands {count} times: {row[2][:60]!r}"


def sample(rows, number, seed):
    """Some rows, others for each seed; of sources alone, since a header is compiled many times."""
    cheap = [row for row in rows if row[1].endswith(".cc")]
    return random.Random(seed).sample(cheap, min(number, len(cheap)))


def of_today():
    """The commit, so that a sample can be drawn again."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() or str(datetime.date.today())


def run(built, rows):
    for test in sorted({row[4] for row in rows}):
        program, tests = test.split(":", 1)
        if program not in built.links and (wrong := built.prepare(program)):
            sys.exit("the unbroken tree does not build:\n" + wrong[-2000:])
        ran, passed = built.test(program, tests)
        if ran == 0 or not passed:
            sys.exit(f"{test}: {ran} tests, and they do not pass unbroken")
    bad = 0
    for row in rows:
        verdict = built.try_row(row)
        bad += verdict != "killed"
        broken = [line.strip() for line in row[3].splitlines() if line not in row[2].splitlines()]
        print(f"{row[0]}  {row[1]}: {(broken or ['(line removed)'])[0][:60]}: {verdict}", flush=True)
    print(f"{len(rows) - bad} killed, {bad} not")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--seed", default=of_today())
    arguments = parser.parse_args()
    if findings := list(stale(ROWS)):
        sys.exit("\n".join(findings))
    rows = [row for row in ROWS
            if not arguments.words or any(w in row[0] or w in row[1] for w in arguments.words)]
    if arguments.sample:
        rows = sample(rows, arguments.sample, arguments.seed)
        print(f"mutations.py --sample {arguments.sample} --seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="meshgate-mutations-") as folder:
        return run(Built(arguments.build.resolve(), Path(folder)), rows)


if __name__ == "__main__":
    sys.exit(main())
