# SPDX-License-Identifier: Apache-2.0
r"""One private key on two machines.

    one (wireguard-go) ---- wan0 [box] wan1 ---- two (wireguard-go, the same key)
                              lan0
                              host
"""

import time

from box import Box
from lab import wait_for
from topology import BOX_LAN, CLIENT, HOST, endpoint
from wireguard_go import WireGuardGo, new_key

LIVES = ("--lab-timings", "rekey=10s,reject=30s,retry=1s")  # so that the end comes after 5 s


def test_two_machines_with_one_key(lab):
    """Said with both endpoints, counted, and over when one of them stops."""
    box, host, key = Box(lab, "box"), lab.host("host"), new_key()
    lab.cable(host, "eth0", box, "lan0")
    host.address("eth0", f"{HOST[0]}/24")
    host.route("default", "via", BOX_LAN[0])
    tunnels = []
    for number, name in enumerate(("one", "two")):
        machine = lab.host(name)
        lab.cable(machine, "eth0", box, f"wan{number}")
        machine.address("eth0", f"192.0.{number}.2/24")
        box.port(f"wan{number}", "wan", [f"192.0.{number}.1/24"])
        tunnels.append(WireGuardGo(machine, [f"{CLIENT[0]}/32"], private_key=key))
        tunnels[-1].peer(box.public_key, ["10.1.0.0/16"], endpoint=endpoint(f"192.0.{number}.1"))
    box.port("lan0", "lan", [f"{BOX_LAN[0]}/24"])
    box.peer("client", tunnels[0].public_key, [f"{CLIENT[0]}/32"])
    box.start(*LIVES)
    tunnels[0].host.wait_ping(HOST[0])
    assert box.status()["problems"] == []
    assert box.status()["wireguard"]["keys_used_twice"] == 0

    talk = [tunnel.host.spawn("ping", "-n", "-i", "0.2", HOST[0]) for tunnel in tunnels]
    problem = (f"peer client  two machines use its key, at {endpoint('192.0.0.2')} and "
               f"{endpoint('192.0.1.2')}: give each a key of its own")
    wait_for(lambda: box.status()["problems"] == [problem], lambda: box.status()["problems"], 10)
    assert box.status()["wireguard"]["keys_used_twice"] == 1
    for _ in range(15):
        assert box.status()["problems"] == [problem], "steady"
        time.sleep(0.2)
    talk[1].stop()
    tunnels[1].stop()
    wait_for(lambda: box.status()["problems"] == [], lambda: box.status()["problems"], 15)
    assert box.status()["wireguard"]["keys_used_twice"] == 0
    tunnels[0].host.wait_ping(HOST[0])
