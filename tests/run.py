#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test of the tree and counts each case; the last line is `N passed, N failed`.

    tests/run.py [WORD]      only tests whose name contains WORD ("lab/", "asan/", "unit base")

Four groups: what meson knows (unit, packet, corpus, check) as built; the lab; unit, packet and
corpus again under the address and undefined-behaviour sanitizers, whose names begin with asan/; the
tests of the boundary under the thread sanitizer, with tsan/. A skipped test counts as failed: what
did not run has shown nothing.
"""

import ast
import concurrent.futures
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LAB_CASE_SECONDS = 240
# Most cases wait most of the time. Those that are marked @alone have the machine for themselves.
LAB_LANES = 3
TIMEOUT_FACTOR = 4  # over what meson says: sanitizers and busy machines are slow

SANITIZERS = {  # group -> compiler, meson options, first words of the tests' names, environment
    "asan": {
        # For this group it takes half of g++'s time, and is a second opinion.
        "compiler": "clang++",
        "options": ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"],
        # All but the command, which only its user feeds, and takes long to compile.
        "tests": ("unit api", "unit b", "unit con", "unit dataplane", "unit mesh", "unit w",
                  "packet", "corpus"),
        # Engines wipe the stack; frames that this sanitizer keeps elsewhere they cannot. A thousand routers,
        # or hours of virtual time, take minutes and show it nothing that less does not.
        "env": {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
                "MESHGATE_WORLD_SEEDS": "10",
                "GTEST_FILTER": "-*EngineSecrets*:BabelScale.*:BabelLinks.*Flap*",
                "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
    },
    "tsan": {
        "compiler": "g++",
        "options": ["-Db_sanitize=thread", "-Db_lundef=false", "-Doptimization=1"],
        "tests": ("unit dataplane",),
        # The searches for secrets would find the copies that this sanitizer keeps for its reports.
        "env": {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
                "GTEST_FILTER": "-*Secrets*"},
    },
}


class Report:
    """Prints as it goes; a failure shows its log at once and its name again at the end."""

    def __init__(self, word):
        self.word, self.passed, self.failed = word, 0, []
        self.lock = threading.Lock()  # lanes share a report

    def wants(self, name):
        return self.word in name

    def add(self, passed):
        with self.lock:
            self.passed += passed

    def ok(self, name, count=1, seconds=0.0, note=""):
        with self.lock:
            self.passed += count
            print(f"ok      {name}  {note}{seconds:.1f} s", flush=True)

    def fail(self, name, log):
        with self.lock:
            self.failed.append(name)
            print(f"FAILED  {name}", flush=True)
            print("".join(f"        {line}\n" for line in log.splitlines()[-150:]), flush=True)

    def finish(self):
        for name in self.failed:
            print(f"FAILED  {name}")
        print(f"{self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed or self.passed == 0 else 0


RUNNING = set()  # process groups, for an end before the end


def execute(command, seconds, env=None, cwd=ROOT, background=False):
    """(exit status, output); the whole process group ends when the time is over. What runs in the
    background is ranked behind the other sessions of the machine."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", env={**os.environ, **(env or {})}, cwd=cwd,
                             start_new_session=True)
    RUNNING.add(child.pid)
    if background:
        with contextlib.suppress(OSError):
            Path(f"/proc/{child.pid}/autogroup").write_text("10")
    try:
        out, _ = child.communicate(timeout=seconds)
        return child.returncode, out
    except BaseException as reason:
        os.killpg(child.pid, signal.SIGTERM)
        try:
            out, _ = child.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, _ = child.communicate()
        if isinstance(reason, subprocess.TimeoutExpired):
            return 124, f"{out}\nstill running after {seconds} s"
        raise
    finally:
        RUNNING.discard(child.pid)


def introspect(build, what):
    out = subprocess.run(["meson", "introspect", f"--{what}", str(build)], check=True,
                         capture_output=True, text=True).stdout
    return json.loads(out)


def programs_of(build, tests):
    """What ninja must build for these tests: their programs, and those that they run."""
    files = {target["id"]: target["filename"] for target in introspect(build, "targets")}
    wanted = {name for test in tests for target in test["depends"]
              for name in files.get(target, [])}
    wanted |= {test["cmd"][0] for test in tests}
    return sorted(str(Path(name).relative_to(build)) for name in wanted
                  if Path(name).is_relative_to(build))


def run_gtest(report, name, test, env, background):
    """Each case of the program counts. A crash fails, and so do the cases it swallowed."""
    started = time.monotonic()
    status, out = execute(test["cmd"], test["timeout"] * TIMEOUT_FACTOR, {**test["env"], **env},
                          background=background)
    passed = len(re.findall(r"^\[       OK \] .*\(\d+ ms\)$", out, re.M))
    failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:, .*)? \(\d+ ms\)$", out, re.M)
    failed += [f"{case} (skipped)" for case in
               re.findall(r"^\[  SKIPPED \] (\S+) \(\d+ ms\)$", out, re.M)]
    if status != 0 and not failed:
        started = re.findall(r"^\[ RUN      \] (\S+)$", out, re.M)
        failed = [f"exit {status} in {started[-1] if started else 'start'}"]
    if passed == 0 and not failed:
        failed = ["no case ran"]
    for case in failed:
        report.fail(f"{name}: {case}", out)
    if failed:
        report.add(passed)
    else:
        report.ok(name, passed, time.monotonic() - started, f"{passed} cases, ")


def run_program(report, name, build, test, env, background):
    if test["protocol"] == "gtest":
        run_gtest(report, name, test, env, background)
        return
    started = time.monotonic()
    status, out = execute(test["cmd"], test["timeout"] * TIMEOUT_FACTOR, {**test["env"], **env},
                          test["workdir"] or build, background)
    if status == 0:
        report.ok(name, seconds=time.monotonic() - started)
    else:
        report.fail(name, f"exit {status}\n{out}")


def run_programs(report, group, build, tests, env, background=False):
    """One at a time; in the background one on each processor."""
    at_once = os.cpu_count() or 1 if background else 1
    wanted = [(f"{group}{test['name']}", test) for test in tests]
    with concurrent.futures.ThreadPoolExecutor(at_once) as lanes:
        for done in [lanes.submit(run_program, report, name, build, test, env, background)
                     for name, test in wanted if report.wants(name)]:
            done.result()


class Sanitized:
    """Builds one group of sanitized tests and runs them in the background, behind everything else:
    the lab mostly waits, and they have the processors meanwhile."""

    def __init__(self, report, group, settings):
        self.report, self.group, self.settings = report, group, settings
        self.build = BUILD / group

    def run(self):
        try:
            tests, failure = self._make()
            if failure is None:
                run_programs(self.report, f"{self.group}/", self.build, tests, self.settings["env"],
                             background=True)
        except Exception as reason:  # nobody waits for what a thread raises
            failure = repr(reason)
        if failure is not None:
            self.report.fail(f"{self.group}/build", failure)

    def _make(self):
        """(tests, None), or (None, what the build said)."""
        commands = [["meson", "setup", str(self.build), str(ROOT), *self.settings["options"]]]
        if (self.build / "build.ninja").exists():
            commands = [["ninja", "-C", str(self.build), "build.ninja"]]
        for command in commands:
            status, out = execute(command, 600, {"CXX": f"ccache {self.settings['compiler']}"},
                                  background=True)
            if status != 0:
                return None, out
        tests = [test for test in introspect(self.build, "tests")
                 if test["name"].startswith(self.settings["tests"])]
        status, out = execute(["ninja", "-C", str(self.build), *programs_of(self.build, tests)], 3600,
                              {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1",
                               "CCACHE_SLOPPINESS": "pch_defines,time_macros"},
                              background=True)
        return (tests, None) if status == 0 else (None, out)


def lab_cases():
    """(file, name, whether it is marked @alone)"""
    for file in sorted((ROOT / "tests/lab").glob("*_test.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                marks = [mark.func.id for mark in node.decorator_list if isinstance(mark, ast.Call)]
                yield file, node.name, "alone" in marks


def run_lab_case(report, run_id, file, case):
    name = f"lab/{file.stem.removesuffix('_test')}/{case}"
    started = time.monotonic()
    status, out = execute(["/usr/bin/python3", "tests/lab/case.py", str(file), case],
                          LAB_CASE_SECONDS, {"MESHGATE_LAB_ID": run_id})
    if status == 0:
        report.ok(name, seconds=time.monotonic() - started)
    else:
        report.fail(name, out)


def run_lab(report):
    run_id = secrets.token_hex(2)
    cases = [(file, case, alone) for file, case, alone in lab_cases()
             if report.wants(f"lab/{file.stem.removesuffix('_test')}/{case}")]
    with concurrent.futures.ThreadPoolExecutor(LAB_LANES) as lanes:
        for done in [lanes.submit(run_lab_case, report, run_id, file, case)
                     for file, case, alone in cases if not alone]:
            done.result()
    for file, case, alone in cases:
        if alone:
            run_lab_case(report, run_id, file, case)
    if cases:
        left = what_is_left(run_id)
        if left:
            report.fail("lab/leaves nothing behind", "\n".join(left))
        else:
            report.ok("lab/leaves nothing behind")


def what_is_left(run_id):
    """Namespaces, files and processes that carry the run's mark."""
    left = [f"namespace {path.name}" for path in Path("/run/netns").glob(f"mg-{run_id}*")]
    left += [f"file {path}" for folder in ("/tmp", "/run/wireguard", "/run/dpdk", "/dev/hugepages")
             for path in Path(folder).glob(f"*{run_id}*")]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # ended meanwhile
        if f"lab-{run_id}" in command or f"mg-{run_id}" in command:
            left.append(f"process {path.parent.name}: {command}")
    return left


def main():
    report = Report(sys.argv[1] if len(sys.argv) > 1 else "")
    sanitized = [Sanitized(report, group, settings) for group, settings in SANITIZERS.items()
                 if not report.word or group in report.word]
    background = threading.Thread(target=lambda: [group.run() for group in sanitized], daemon=True)
    background.start()
    run_programs(report, "", BUILD, introspect(BUILD, "tests"), {})
    run_lab(report)
    background.join()
    return report.finish()


def stop(_signal, _frame):
    raise SystemExit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(main())
    finally:
        for group in list(RUNNING):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGTERM)
