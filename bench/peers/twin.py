# SPDX-License-Identifier: Apache-2.0
"""The machine's own kernel on a port of the box, and what it costs who is forwarded beside it.

    left ------ [lan0] box lan1 ------ right        in brackets: has a twin
    flooder --- [lan2]

twin/DEVICE/tcp, /rtt/...: from left to a server on the box, over the twin. beside/...: TCP from left
to right while the flooder sends to the box as many datagrams as the twin takes of one source;
alone/...: without.
"""

import time

import traffic
from box import Box
from lab import Lab, claimed_processor
from programs import RIGHT

DEVICES = ("af_xdp", "af_packet")
FLOOD_RATE = 10_000  # docs/twin.md, limits
OWN = "10.1.0.1"
TARGETS = {f"twin/{device}/forwarded/beside": 0.98 for device in DEVICES}


def office(lab, device):
    box = Box(lab, "box")
    hosts = [lab.host(name) for name in ("left", "right", "flooder")]
    for number, host in enumerate(hosts):
        lab.cable(host, "eth0", box, f"card{number}")
        host.address("eth0", f"10.{number + 1}.0.10/24")
        host.route("default", "via", f"10.{number + 1}.0.1")
        box.port(f"lan{number}", "lan", [f"10.{number + 1}.0.1/24"], host=number != 1,
                 device=device)
        box.config["ports"][-1]["device"] = f"{device}:card{number}"
    lab.cable(lab.host("nobody"), "eth0", box, "wan0")
    box.port("wan0", "wan", ["192.0.2.1/24"], device=device)
    box.start()
    return box, hosts


def measure(device, seconds, repetitions):
    """Figure's name -> (values, unit, which way is better)."""
    with claimed_processor(), Lab() as lab:
        box, (left, right, flooder) = office(lab, device)
        left.wait_ping(RIGHT)
        left.wait_ping(OWN)
        own, alone, beside = [], [], []
        for _ in range(repetitions):
            own.append(mbits(left, box, OWN, seconds))
            alone.append(mbits(left, right, RIGHT, seconds))
            flood = traffic.UdpFlow(flooder, box, "10.3.0.1", rate=FLOOD_RATE, size=64,
                                    seconds=seconds + 2)
            time.sleep(0.5)
            beside.append(mbits(left, right, RIGHT, seconds))
            flood.finish()
        rtt = traffic.round_trip(left, box, OWN, count=2000, interval_us=500)
    figures = {f"twin/{device}/tcp": (own, "Mbit/s", "more"),
               f"twin/{device}/forwarded/alone": (alone, "Mbit/s", "more"),
               f"twin/{device}/forwarded/beside": (beside, "Mbit/s", "more")}
    for quantile in ("p50", "p99"):
        figures[f"twin/{device}/rtt/{quantile}"] = ([rtt[f"{quantile}_us"]], "us", "less")
    return figures


def mbits(source, target, address, seconds):
    result = traffic.tcp(source, target, address, seconds=seconds)
    return result.bytes * 8 / 1e6 / result.seconds if result.seconds else 0.0
