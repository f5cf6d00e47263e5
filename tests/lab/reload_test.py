# SPDX-License-Identifier: Apache-2.0
r"""The box file changes while packets flow.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
    left ---- lan0 [one] wan0 ---- wan0 [two] lan0 ---- right
"""

import json
import signal
import time

import traffic
from lab import alone, wait_for
from topology import CLIENT, HOST, Pair, Road
from wireguard_go import new_key, public_key


@alone("10 000 packets/s, none lost")
def test_100_reloads_under_load_lose_nothing(lab):
    """10 000 packets/s through a peer that does not change, while others come and go."""
    pair = Pair(lab).up()
    box = pair.boxes[0]
    left, right = pair.hosts
    keys = [public_key(new_key()) for _ in range(10)]
    before = box.peer_status("other")["handshakes"]
    there = traffic.UdpFlow(left, right, pair.RIGHT[0], rate=5000, seconds=100)
    back = traffic.UdpFlow(right, left, pair.LEFT[1], rate=5000, seconds=100, port=7003)
    for turn in range(100):
        assert there.sending() and back.sending(), "the reloads took longer than the load"
        del box.config["peers"][1:]
        for number in range(1 + turn % 10):
            box.peer(f"peer{number}", keys[number],
                     [f"10.8.{number}.{turn}/32", f"fd10:8:{number}::/48"])
        box.config["routes"] = [{"prefix": f"10.1.{100 + turn}.0/24", "via": pair.LEFT[0]}]
        box.write()
        report = json.loads(box.meshgate("reload", "--json").stdout)
        assert report["outcome"] == "applied", report
        time.sleep(0.05)
    there.stop()
    back.stop()
    for result in (there.finish(), back.finish()):
        assert result.lost == 0 and result.duplicates == 0, result
    assert box.peer_status("other")["handshakes"] == before, "its session was disturbed"


def test_a_bad_file_changes_nothing(lab):
    road = Road(lab).up()
    routes = road.box.show("show", "routes")
    road.box.config["peers"].append({"name": "bob", "public_key": "not a key",
                                     "allowed_ips": ["10.8.0.0/24"]})
    road.box.config["routes"] = [{"prefix": "10.50.0.0/16", "via": HOST[0]}]
    refused = road.box.reload(check=False)
    assert refused.returncode == 78, refused
    assert "public_key" in refused.stdout + refused.stderr, refused
    assert road.box.show("show", "routes") == routes
    assert road.client.ping(HOST[0]) == 3


def test_a_removed_peer_is_cut_off_and_may_return(lab):
    road = Road(lab).up()
    peer = road.box.config["peers"].pop()
    assert road.box.reload().returncode == 0
    assert road.client.ping(HOST[0], wait=0.3) == 0
    assert road.host.ping(CLIENT[0], wait=0.3) == 0
    road.box.config["peers"].append(peer)
    assert road.box.reload().returncode == 0
    road.client.wait_ping(HOST[0], seconds=20)


def test_a_prefix_moves_to_another_peer(lab):
    road = Road(lab).up()
    road.box.config["peers"][0]["allowed_ips"] = [f"{CLIENT[1]}/128"]
    assert road.box.reload().returncode == 0
    assert road.client.ping(HOST[0], wait=0.3) == 0
    assert road.client.ping(HOST[1]) == 3
    assert road.box.drops().get("source_not_allowed", 0) >= 3


def test_sighup_reloads(lab):
    road = Road(lab).up()
    road.box.config["routes"] = [{"prefix": "10.50.0.0/16", "via": HOST[0]}]
    road.box.write()
    road.box.process.popen.send_signal(signal.SIGHUP)
    wait_for(lambda: any(route["prefix"] == "10.50.0.0/16"
                         for route in road.box.show("show", "routes")["routes"]), "the new route")


def test_what_needs_a_restart_says_so(lab):
    road = Road(lab).up()
    road.box.config["dataplane"]["max_peers"] = 100
    answer = road.box.reload(check=False)
    assert answer.returncode == 8, answer
    assert "max_peers" in answer.stdout, answer
    assert road.client.ping(HOST[0]) == 3
