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


def test_the_mesh_demo(_lab):
    """Links, relays and members go, and what stays flows."""
    done = run("/usr/bin/python3", DEMO, "mesh", "--json", check=False, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-8000:]
    nothing, cut, killed, revoked = json.loads(done.stdout)
    for event in (nothing, cut, killed, revoked):
        assert {"event", "lost", "offered", "outage_ms"} <= set(event), event
        assert event["lost"] < event["offered"] / 4, event
    assert nothing["lost"] == 0 and revoked["lost"] == 0, (nothing, revoked)
    assert "cut" in cut["event"] and "killed" in killed["event"], (cut, killed)


def test_the_office_demo(_lab):
    """Given addresses, twins, one arm; each row was measured, and what it shows is in it."""
    done = run("/usr/bin/python3", DEMO, "office", "--json", check=False, timeout=110)
    assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-8000:]
    answer = json.loads(done.stdout)
    assert set(answer) == {"checks"} and len(answer["checks"]) == 40, answer
    for check in answer["checks"]:
        assert set(check) == {"what", "wanted", "got", "ok"} and check["ok"] is True, check
    got = {check["what"]: check["got"] for check in answer["checks"]}
    assert got["berlin wan0: address by DHCP"] != got["berlin wan0: its address"], got


def test_kept_and_ended(_lab):
    """--keep leaves it running and says how to enter each host; --end leaves nothing."""
    done = run("/usr/bin/python3", DEMO, "--keep", "--seconds", "0.2", check=False, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-8000:]
    try:
        enter = [line.split("#")[0].split() for line in done.stdout.splitlines()
                 if line.strip().startswith("ip netns exec")]
        assert len(enter) == 5, enter
        namespaces = [words[3] for words in enter]
        by_name = {name.rsplit("-", 1)[1]: name for name in namespaces}
        inside = ["ip", "netns", "exec", by_name["worker"]]
        assert " 0% packet loss" in run(*inside, "ping", "-c", "2", "10.2.0.10").stdout
    finally:
        assert "1 ended" in run("/usr/bin/python3", DEMO, "--end").stdout
    for name in namespaces:
        assert not Path(f"/run/netns/{name}").exists(), name


def test_wrong_usage(_lab):
    for words in (["maze"], ["--colour"]):
        assert run("/usr/bin/python3", DEMO, *words, check=False).returncode == 2, words
