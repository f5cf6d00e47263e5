# SPDX-License-Identifier: Apache-2.0
"""The demo arrives, says so as JSON, and leaves nothing behind."""

import json
from pathlib import Path

from lab import run

DEMO = Path(__file__).resolve().parent / "demo.py"


def test_every_flow_of_the_demo_arrives(_lab):
    done = run("/usr/bin/python3", DEMO, "--json", check=False, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-8000:]
    answer = json.loads(done.stdout)
    assert answer["ok"] and len(answer["flows"]) == 36
    for flow in answer["flows"]:
        assert flow["bytes"] > 0 and flow["arrived"], flow


def test_wrong_usage(_lab):
    for words in (["mesh"], ["--colour"]):
        assert run("/usr/bin/python3", DEMO, *words, check=False).returncode == 2, words
