# SPDX-License-Identifier: Apache-2.0
r"""Handshakes: genuine ones end to end, and false ones at full rate while data flows.

    left ---- lan0 [box] wan0 ----+
                                  +---- [bridge] ---- eth0 attacker
    right --- lan0 [box] wan0 ----+

The attacker sends initiations to the right box's WireGuard port as fast as one core makes them:
`noise` (random), `mac1` (a valid mac1, so that only the box's own arithmetic can tell), `spoofed`
(mac1, each from another address). Meanwhile numbered UDP goes from left to right, and genuine peers
ask the right box for sessions from another host on the bridge.
"""

import json
import time

import traffic
from box import Box
from lab import BUILD, Lab, claimed_processor
from programs import RIGHT

PROGRAM = BUILD / "bench/handshakes"
FLOODS = {"noise": ("noise", 0), "mac1": ("mac1", 0), "spoofed": ("mac1", 1)}
CLIENTS = 2000
CLIENTS_IN_A_FLOOD = 25
DATA_RATE = 20_000
SECONDS = 4
TARGET = ("--to", "192.0.2.2", "--port", 51820)


class Street:
    """The drawing."""

    def __init__(self, lab, clients):
        self.boxes = [Box(lab, "gateway1"), Box(lab, "gateway2")]
        self.hosts = [lab.host("left"), lab.host("right")]
        self.bridge, self.attacker, self.asker = map(lab.host, ("bridge", "attacker", "asker"))
        self.bridge.run("ip", "link", "add", "br0", "type", "bridge")
        self.bridge.run("ip", "link", "set", "dev", "br0", "up")
        for number, (end, interface) in enumerate([(self.boxes[0], "wan0"), (self.boxes[1], "wan0"),
                                                   (self.attacker, "eth0"), (self.asker, "eth0")]):
            lab.cable(end, interface, self.bridge, f"p{number}")
            self.bridge.run("ip", "link", "set", "dev", f"p{number}", "master", "br0")
        self.attacker.address("eth0", "192.0.2.66/24")
        self.asker.address("eth0", "192.0.2.77/24")
        for side, (host, box) in enumerate(zip(self.hosts, self.boxes), 1):
            lab.cable(host, "eth0", box, "lan0")
            host.address("eth0", f"10.{side}.0.10/24")
            host.route("default", "via", f"10.{side}.0.1")
            box.port("wan0", "wan", [f"192.0.2.{side}/24"], gateway="192.0.2.66", device="af_xdp")
            box.port("lan0", "lan", [f"10.{side}.0.1/24"], device="af_xdp")
            box.peer("other", self.boxes[2 - side].public_key, [f"10.{3 - side}.0.0/16"],
                     f"192.0.2.{3 - side}:51820")
        self.keys = lab.dir / "keys"
        self.keys.touch(mode=0o600)
        lines = self.asker.run(PROGRAM, "keys", "--count", clients).stdout
        self.keys.write_text(lines)
        for number, line in enumerate(lines.splitlines()):
            self.boxes[1].peer(f"client{number}", line.split()[1],
                               [f"10.9.{number // 256}.{number % 256}/32"])
        for box in self.boxes:
            box.start()
        self.hosts[0].wait_ping(RIGHT)

    def accept(self, window=64, gap_ms=0):
        return json.loads(self.asker.run(
            PROGRAM, "accept", *TARGET, "--server", self.boxes[1].public_key, "--keys", self.keys,
            "--window", window, "--gap-ms", gap_ms).stdout)

    def flood(self, name, seconds):
        kind, spoof = FLOODS[name]
        return self.attacker.spawn(PROGRAM, "flood", *TARGET, "--server", self.boxes[1].public_key,
                                   "--kind", kind, "--spoof", spoof, "--seconds", seconds)


def end_to_end():
    """Name -> (values, unit, which way is better)."""
    with claimed_processor(), Lab() as lab:
        street = Street(lab, CLIENTS)
        result = street.accept()
    return {"handshakes/accepted": ([result["accepted"] / result["seconds"]], "1/s", "more"),
            "handshakes/answer/p99": ([result["p99_ms"]], "ms", "less")}


def under_flood(name):
    with claimed_processor(), Lab() as lab:
        street = Street(lab, CLIENTS_IN_A_FLOOD)
        flow = traffic.UdpFlow(*street.hosts, RIGHT, rate=DATA_RATE, seconds=SECONDS, size=1000)
        flood = street.flood(name, SECONDS - 0.5)
        time.sleep(0.5)
        asked = street.accept(window=1, gap_ms=60)
        answered = time.monotonic()
        street.boxes[1].status()
        answered = time.monotonic() - answered
        flood.popen.wait()
        sent = json.loads(flood.output())
        loss = flow.finish().loss
    prefix = f"handshakes/{name}"
    return {f"{prefix}/sent": ([sent["sent"] / sent["seconds"]], "packets/s", "more"),
            f"{prefix}/data_loss": ([100 * loss], "%", "less"),
            f"{prefix}/accepted": ([100 * asked["accepted"] / asked["clients"]], "%", "more"),
            f"{prefix}/answer/p99": ([asked["p99_ms"]], "ms", "less"),
            f"{prefix}/status": ([1000 * answered], "ms", "less")}
