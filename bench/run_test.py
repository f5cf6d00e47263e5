#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What bench/run.py makes of figures: run_test.py FOLDER, where the bench programs were built.

Programs with samples of known outcome show selection, ratios and failures; then the real ones are
asked what they declare, and a few of their figures are measured for an instant.
"""

import contextlib
import io
import json
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import run as bench

PROGRAM = """#!/usr/bin/python3
import json, sys
FIGURES = {figures}
SAMPLES = {samples}
names = [word for word in sys.argv[1:] if word.count("/")]
with open({log!r}, "a") as log:
    log.write(" ".join(names) + "\\n")
if "--list" in sys.argv:
    for figure in FIGURES:
        print(json.dumps(figure))
    sys.exit(0)
print(json.dumps({{"core": 0, "tsc_hz": 2e9}}))
for name in reversed(names):  # in another order than declared
    print(json.dumps({{"name": name, **SAMPLES[name]}}))
sys.exit({status})
"""


def figure(name, reference="", better="less"):
    return {"name": name, "unit": "clocks/packet", "reference": reference, "better": better}


class Folder:
    """Bench programs that only say what they were told to."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.path = Path(self.temporary.name)
        self.json, self.log = self.path / "out.json", self.path / "log"

    def add(self, program, figures, samples, status=0):
        path = self.path / program
        path.write_text(PROGRAM.format(figures=figures, samples=samples, status=status,
                                       log=str(self.log)))
        path.chmod(0o755)

    def measured(self):
        """The names each program was asked for, --list aside."""
        return [line.split() for line in self.log.read_text().splitlines() if line]


def run(*words):
    """(exit status, standard output, standard error)"""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = bench.main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


def measure(folder, *words):
    return run("--programs", folder.path, "--json", folder.json, *words)


class Statistics(unittest.TestCase):
    def test_median_and_spread_come_from_all_repetitions(self):
        one = bench.result(figure("a/1"), {"a/1": [9, 1, 5, 2, 30]})
        self.assertEqual((one["value"], one["min"], one["max"]), (5, 1, 30))
        self.assertIsNone(one["ratio"])
        self.assertIsNone(one["reference"])

    def test_ratio_above_one_is_better_for_times_and_for_rates(self):
        samples = {"a": [10, 10, 100], "b": [20, 5, 30]}
        self.assertEqual(bench.result(figure("a", "b"), samples)["ratio"], 2)
        self.assertEqual(bench.result(figure("a", "b", "more"), samples)["ratio"], 0.5)

    def test_nothing_is_divided_by_zero(self):
        self.assertIsNone(bench.ratio(figure("a", "b"), [0], [3]))
        self.assertIsNone(bench.ratio(figure("a", "b", "more"), [3], [0]))
        self.assertEqual(bench.ratio(figure("a", "b"), [3], [0]), 0)

    def test_numbers_have_three_digits(self):
        for value, text in ((0, "0"), (0.01234, "0.0123"), (9.999, "10.0"), (123.4, "123"),
                            (1234567, "1 230 000")):
            self.assertEqual(bench.in_digits(value), text)

    def test_a_reference_is_shortened_by_what_it_shares(self):
        self.assertEqual(bench.shortened("a/b/10", "a/b/20"), "…/10")
        self.assertEqual(bench.shortened("a/b/c", "a/b"), "…/c")
        self.assertEqual(bench.shortened("x/b", "a/b"), "x/b")
        self.assertEqual(bench.shortened("a/b", "a/b/c"), "…/b")


class Selection(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.temporary.cleanup)
        self.folder.add("bench_one",
                        [figure("one/a", "one/b"), figure("one/b", "one/c"), figure("one/c"),
                         figure("one/d")],
                        {"one/a": {"samples": [1, 2, 4]}, "one/b": {"samples": [4, 5, 5]},
                         "one/c": {"samples": [1]}, "one/d": {"error": "it is broken"}})
        self.folder.add("bench_two", [figure("two/a")], {"two/a": {"samples": [7]}})

    def test_only_what_is_selected_is_written(self):
        status, out, _ = measure(self.folder, "--only", "^one/a$")
        self.assertEqual(status, 0)
        self.assertEqual(json.loads(self.folder.json.read_text()),
                         [{"name": "one/a", "value": 2, "unit": "clocks/packet",
                           "reference": "one/b", "ratio": 2.5, "min": 1, "max": 4}])
        self.assertIn("one/a", out)
        self.assertNotIn("one/c", out)

    def test_references_are_measured_and_nothing_else(self):
        measure(self.folder, "--only", "^one/a$")
        self.assertEqual(self.folder.measured(), [["one/a", "one/b", "one/c"]])

    def test_figures_come_in_the_order_of_their_declaration(self):
        _, out, _ = measure(self.folder, "--only", "[abc]$")
        self.assertEqual(re.findall(r"^(?:one|two)/.", out, re.M),
                         ["one/a", "one/b", "one/c", "two/a"])

    def test_a_figure_that_fails_fails_the_run(self):
        status, out, _ = measure(self.folder)
        self.assertEqual(status, 1)
        self.assertIn("one/d  FAILED: it is broken", out)
        self.assertEqual(len(json.loads(self.folder.json.read_text())), 4)

    def test_a_program_that_fails_fails_the_run(self):
        self.folder.add("bench_two", [figure("two/a")], {"two/a": {"samples": [7]}}, status=3)
        status, _, err = measure(self.folder, "--only", "two")
        self.assertEqual(status, 1)
        self.assertIn("exit status 3", err)

    def test_one_name_twice_is_refused(self):
        self.folder.add("bench_two", [figure("one/a")], {"one/a": {"samples": [7]}})
        status, _, err = measure(self.folder)
        self.assertEqual(status, 2)
        self.assertIn("both declare one/a", err)

    def test_the_list_measures_nothing(self):
        status, out, _ = measure(self.folder, "--list", "--only", "one")
        self.assertEqual((status, out.split()), (0, ["one/a", "one/b", "one/c", "one/d"]))
        self.assertEqual(self.folder.measured(), [])

    def test_wrong_arguments_are_refused_before_anything_runs(self):
        for words, says in ((["--only", "("], "'(' is not a regular expression"),
                            (["--only", "nothing"], "no figure has 'nothing' in its name"),
                            (["--repetitions", "0"], "positive whole number"),
                            (["--seconds", "-1"], "positive number"),
                            (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json"),
                            (["--also", "300"], "'300' is not a size"),
                            (["--also", "63B"], "sizes go from 64B to 1420B"),
                            (["--also", "300B/10001peers"], "peers from 1 to 10000"),
                            (["--unknown"], "unrecognized arguments: --unknown")):
            status, out, err = run("--programs", self.folder.path, *words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(says, err)
        self.assertEqual(self.folder.measured(), [])

    def test_a_folder_without_programs_is_refused(self):
        status, _, err = run("--programs", "/nowhere")
        self.assertEqual(status, 2)
        self.assertIn("no program bench_* in /nowhere", err)


class RealPrograms(unittest.TestCase):
    """One figure of each subject, and what all of them declare."""

    programs = None
    INSTANT = ("--seconds", "0.0001", "--repetitions", "2")

    def test_each_figure_has_a_name_of_words_and_a_known_reference(self):
        figures = bench.declared(bench.programs_in(self.programs))
        for own in figures.values():
            self.assertTrue(own)
            for name, one in own.items():
                self.assertRegex(name, r"^[a-z_]+(/[A-Za-z0-9_-]+)+$")
                self.assertIn(one["better"], ("less", "more"))
                self.assertTrue(one["reference"] == "" or one["reference"] in own)
                self.assertNotEqual(one["reference"], name)

    def directly(self, program, *words):
        """(result, names that were measured, greatest memory in MiB so far of any child)"""
        done = subprocess.run([self.programs / program, *self.INSTANT, *words], text=True,
                              capture_output=True, check=False)
        objects = map(json.loads, done.stdout.splitlines())
        mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return done, [one["name"] for one in objects if "name" in one], mib

    def test_1_what_is_not_asked_for_is_not_made(self):
        # First of all: what the greatest child took is never forgotten.
        for name in ("fib/lookup/ipv4/10/hit", "publish/neighbor/10"):
            done, names, mib = self.directly(f"bench_{name.split('/')[0]}", name)
            self.assertEqual((done.returncode, names), (0, [name]), done.stderr)
            self.assertLess(mib, 150)

    def test_unknown_names_are_refused(self):
        for word, says in (("index/11", "no figure index/11"), ("--fast", "what is --fast?")):
            done, names, _ = self.directly("bench_index", word)
            self.assertEqual((done.returncode, names), (2, []))
            self.assertIn(says, done.stderr)

    def test_figures_are_measured(self):
        for only in (r"^aead/(seal|open)/64B/batch8$", r"^fib/.*ipv4/10(/hit|/miss)?$",
                     r"^classify/", r"^handshake/(respond|initiate)", r"^index/10(/miss)?$",
                     r"^replay/", r"^publish/.*(10|path|session)$", r"^memory/route"):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "out.json"
                status, out, err = run("--programs", self.programs, "--only", only, "--json", file,
                                       *self.INSTANT)
                self.assertEqual(status, 0, out + err)
                self.check(only, json.loads(file.read_text()), out)

    def test_other_sizes_and_peers_can_be_asked_for(self):
        for words, names in ((["--also", "333B/7peers", "--also", "64B"], ["lan_to_wan/333B/7peers/1worker"]),
                             ([], [])):
            status, out, err = run("--programs", self.programs, *words, "--list", "--only",
                                   "^pipeline/lan_to_wan/(333B.*|64B)/1worker$")
            self.assertEqual(status, 0, err)
            self.assertEqual(out.split(), ["pipeline/" + name for name in ["lan_to_wan/64B/1worker", *names]])
        status, out, err = run("--programs", self.programs, "--also", "333B/7peers", "--only",
                               "^(pipeline/wan_to_lan|aead/seal)/333B(/7peers/1worker|/batch8)$", *self.INSTANT)
        self.assertEqual(status, 0, out + err)
        self.assertRegex(out, r"(?m)^aead/seal/333B/batch8 ")
        self.assertRegex(out, r"(?m)^pipeline/wan_to_lan/333B/7peers/1worker ")

    def test_commands_of_the_documentation_work(self):
        root = Path(__file__).resolve().parents[1]
        text = (root / "docs/performance.md").read_text()
        commands = re.findall(r"^\./run bench( .*)?$", text, re.M)
        self.assertGreaterEqual(len(commands), 3)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for command in commands:
                words = shlex.split(command)
                if not words or "--peers" in words:
                    continue  # all that is measured takes minutes
                status, out, err = run("--programs", self.programs, *words, *self.INSTANT)
                self.assertEqual(status, 0, command + out + err)
                for file in Path(folder).glob("*.json"):
                    self.assertTrue(json.loads(file.read_text()))

    def check(self, only, results, out):
        figures = bench.declared(bench.programs_in(self.programs))
        names = [name for own in figures.values() for name in own if re.search(only, name)]
        self.assertEqual([one["name"] for one in results], names)
        for one in results:
            self.assertEqual(list(one),
                             ["name", "value", "unit", "reference", "ratio", "min", "max"])
            self.assertGreater(one["min"], 0)
            self.assertLessEqual(one["min"], one["value"])
            self.assertLessEqual(one["value"], one["max"])
            self.assertEqual(one["reference"] is None, one["ratio"] is None)
            self.assertRegex(out, rf"(?m)^{re.escape(one['name'])} ")
        self.assertRegex(out, r"(?m)^.*TSC \d\.\d+ GHz, (not )?pinned")


if __name__ == "__main__":
    RealPrograms.programs = Path(sys.argv.pop(1)).resolve()
    unittest.main()
