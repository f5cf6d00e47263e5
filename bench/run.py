#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures, and prints one table: every figure beside a reference of the same run.

Runs the programs build/bench/bench_* (figures.h says what they declare). A figure is the median of
its repetitions. Its ratio to the reference is the quotient of the two medians, turned so that above
1 the figure is better than its reference: faster, or smaller. Figures and references are repeated in
turn, in random order.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Unusable(Exception):
    """An argument or a program that cannot be worked with."""


def regular_expression(text):
    try:
        return re.compile(text)
    except re.error as reason:
        raise argparse.ArgumentTypeError(f"'{text}' is not a regular expression: {reason}")


def positive(kind):
    def parse(text):
        value = kind(text)
        if value <= 0:
            raise ValueError
        return value
    parse.__name__ = f"positive {'whole number' if kind is int else 'number'}"
    return parse


def size_and_peers(text):
    """300B or 300B/50peers, as programs read it: 300/50; the usual number of peers is 0."""
    parts = re.fullmatch(r"([0-9]+)B(?:/([0-9]+)peers?)?", text)
    if not parts:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size, as 300B, or 300B/50peers")
    size, peers = int(parts[1]), int(parts[2] or 0)
    if not 64 <= size <= 1420 or parts[2] and not 1 <= peers <= 10000:
        raise argparse.ArgumentTypeError(f"'{text}': sizes go from 64B to 1420B, peers from 1 to 10000")
    return f"{size}/{peers}"


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="./run bench --peers measures whole boxes beside other programs; it has arguments of "
        "its own (./run bench --peers --help).")
    parser.add_argument("--only", type=regular_expression, metavar="REGEX",
                        help="only figures in whose name it is found, and what they refer to")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="also write a list of {name, value, unit, reference, ratio, min, max}")
    parser.add_argument("--also", type=size_and_peers, action="append", default=[], metavar="SIZE[/PEERS]",
                        help="further sizes, and numbers of peers in the pipeline: 300B, 300B/50peers")
    parser.add_argument("--list", action="store_true", help="print the names and measure nothing")
    parser.add_argument("--repetitions", type=positive(int), default=15, metavar="N",
                        help="of each figure (%(default)s)")
    parser.add_argument("--seconds", type=positive(float), default=0.003, metavar="S",
                        help="of each repetition, at least (%(default)s)")
    parser.add_argument("--programs", type=Path, default=ROOT / "build/bench", metavar="FOLDER",
                        help="where the programs bench_* are (build/bench)")
    return parser.parse_args(words)


def programs_in(folder):
    programs = sorted(path for path in folder.glob("bench_*")
                      if path.is_file() and os.access(path, os.X_OK))
    if not programs:
        raise Unusable(f"no program bench_* in {folder}")
    return programs


def declared(programs):
    """What each program measures: {program: {name: figure}}."""
    figures, owners = {}, {}
    for program in programs:
        done = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Unusable(f"{program.name} --list: exit status {done.returncode}")
        figures[program] = {}
        for line in done.stdout.splitlines():
            figure = json.loads(line)
            name = figure["name"]
            if name in owners:
                raise Unusable(f"{program.name} and {owners[name]} both declare {name}")
            owners[name] = program.name
            figures[program][name] = figure
    return figures


def chosen(figures, only):
    """The names that the expression selects, in order."""
    names = [name for own in figures.values() for name in own if not only or only.search(name)]
    if not names:
        raise Unusable(f"no figure has '{only.pattern}' in its name (--list prints them)")
    return names


def with_references(own, names):
    """These names of one program and all that they refer to, directly or not."""
    needed, open_names = set(), [name for name in own if name in names]
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed.add(name)
            if own[name]["reference"]:
                open_names.append(own[name]["reference"])
    return [name for name in own if name in needed]


def ratio(figure, samples, reference):
    """Above 1: the figure is better than its reference. None where that cannot be said."""
    ours, theirs = statistics.median(samples), statistics.median(reference)
    over, under = (ours, theirs) if figure["better"] == "more" else (theirs, ours)
    return over / under if under else None


def result(figure, samples):
    """One entry of the JSON file; `samples` holds those of the reference, too."""
    own, reference = samples[figure["name"]], figure["reference"]
    return {"name": figure["name"], "value": statistics.median(own), "unit": figure["unit"],
            "reference": reference or None,
            "ratio": ratio(figure, own, samples[reference]) if reference else None,
            "min": min(own), "max": max(own)}


def in_digits(value):
    """Three significant digits, no exponent, thousands apart."""
    if value == 0:
        return "0"
    magnitude = int(f"{value:.2e}".split("e")[1])
    return f"{round(value, 2 - magnitude):,.{max(0, 2 - magnitude)}f}".replace(",", " ")


def shortened(reference, name):
    """The reference without the words that it begins with like the name."""
    parts = reference.split("/")
    nb_common = len(os.path.commonprefix([parts[:-1], name.split("/")]))
    return "/".join(["…", *parts[nb_common:]]) if nb_common else reference


class Table:
    """Prints a row as soon as it is known."""

    def __init__(self, figures, names):
        rows = [own[name] for own in figures.values() for name in own if name in names]
        self.name_len = max(len(figure["name"]) for figure in rows)
        self.unit_len = max(len(figure["unit"]) for figure in rows)

    def head(self):
        self.print_cells("figure", "median", "least", "most", "unit", "ratio", "to")

    def row(self, one):
        self.print_cells(one["name"], in_digits(one["value"]), in_digits(one["min"]),
                         in_digits(one["max"]), one["unit"],
                         "" if one["ratio"] is None else in_digits(one["ratio"]),
                         shortened(one["reference"] or "", one["name"]))

    def failure(self, name, why):
        print(f"{name:{self.name_len}}  FAILED: {why}", flush=True)

    def print_cells(self, name, median, least, most, unit, quotient, reference):
        print(f"{name:{self.name_len}} {median:>11} {least:>11} {most:>11} {unit:{self.unit_len}} "
              f"{quotient:>7} {reference}".rstrip(), flush=True)


def processor():
    cpuinfo = Path("/proc/cpuinfo").read_text()
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", cpuinfo, re.M))
    return (f"{fields.get('model name', 'unknown processor')} (family {fields.get('cpu family')}, "
            f"model {fields.get('model')}), {os.cpu_count()} processors")


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def print_machine(tsc_hz, core):
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    pinned = f"pinned to core {core}" if core >= 0 else "not pinned"
    print(f"{processor()}, TSC {tsc_hz / 1e9:.3f} GHz, {pinned}\n{now}, load {load()}\n"
          "ratio: above 1, the figure is better (faster, smaller) than what stands behind it\n",
          flush=True)


def measure(program, names, options):
    """What the program prints, an object at a time; then its exit status as {"status": …}."""
    command = [program, "--repetitions", str(options.repetitions), "--seconds",
               str(options.seconds), *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield from map(json.loads, child.stdout)
        except BaseException:
            child.terminate()
            raise
    yield {"status": child.returncode}


def take(objects, table, own, names):
    """Prints the rows of one program in the order it declares them; returns (results, failed)."""
    samples, results, failed = {}, [], False
    waiting = [name for name in own if name in names]
    for one in objects:
        if "samples" in one:
            samples[one["name"]] = one["samples"]
        elif "error" in one:
            failed = True
            if one["name"] in waiting:
                waiting.remove(one["name"])
                table.failure(one["name"], one["error"])
        elif one.get("status", 0) != 0 and not failed:
            failed = True
            print(f"run: exit status {one['status']}", file=sys.stderr)
        while waiting and {waiting[0], own[waiting[0]]["reference"] or waiting[0]} <= set(samples):
            results.append(result(own[waiting.pop(0)], samples))
            table.row(results[-1])
    for name in waiting:
        failed = True
        table.failure(name, "it or what it refers to was not measured")
    return results, failed


def run(options):
    figures = declared(programs_in(options.programs))
    names = chosen(figures, options.only)
    if options.list:
        print("\n".join(names))
        return 0
    if options.json:
        options.json.write_text("")  # fail now, not after minutes
    table, results, failed = Table(figures, names), [], False
    first = True
    for program, own in figures.items():
        needed = with_references(own, names)
        if not needed:
            continue
        objects = measure(program, needed, options)
        machine = next(objects)
        if "tsc_hz" not in machine:
            raise Unusable(f"{program.name}: exit status {machine['status']}")
        if first:
            print_machine(machine["tsc_hz"], machine["core"])
            table.head()
            first = False
        own_results, own_failed = take(objects, table, own, names)
        results += own_results
        failed |= own_failed
    print(f"\nload at the end {load()}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


def main(words):
    if "--peers" in words:
        words.remove("--peers")
        return subprocess.call(["/usr/bin/python3", str(ROOT / "bench/peers/peers.py"), *words])
    options = arguments(words)
    os.environ["MESHGATE_BENCH_ALSO"] = ",".join(options.also)
    try:
        return run(options)
    except (Unusable, OSError) as reason:
        print(f"run: bench: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
