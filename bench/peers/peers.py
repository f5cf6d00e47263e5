#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two gateways with a host behind each: wireguard-go, then Meshgate, in the same place.

    left ---- lan0 [gateway] wan0 ---- wan0 [gateway] lan0 ---- right
    10.1.0.10          192.0.2.1       192.0.2.2             10.2.0.10

Everything is in network namespaces of this machine, joined by veth pairs, so figures are for
comparing within one run. Sizes are whole inner IPv4 packets. Packets/s without loss: the highest
rate of a binary search at which less than 0.1 % are lost.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/lab"))

import traffic  # noqa: E402
from box import Box  # noqa: E402
from lab import Lab, claimed_processor  # noqa: E402
from wireguard_go import WireGuardGo  # noqa: E402

LOSS_ALLOWED = 0.001
UDP_IPV4_HEADERS = 28
LEFT, RIGHT = "10.1.0.10", "10.2.0.10"
# What a ratio has to reach: (measure, at least or at most, figure).
TARGETS = [("tcp_bits_per_second", ">=", 2.0), ("pps_64", ">=", 3.0), ("pps_1400", ">=", 3.0),
           ("rtt_p50_us", "<=", 0.5)]


def join(lab, options, gateways):
    """Hosts behind the two gateways, and the cable between these."""
    hosts = []
    for side, (name, gateway) in enumerate(zip(("left", "right"), gateways), 1):
        host = lab.host(name)
        lab.cable(host, "eth0", gateway, "lan0", offloads=options.offloads)
        host.address("eth0", f"10.{side}.0.10/24")
        host.route("default", "via", f"10.{side}.0.1")
        hosts.append(host)
    lab.cable(gateways[0], "wan0", gateways[1], "wan0", offloads=options.offloads)
    return hosts


def wireguard_go(lab, options):
    gateways = [lab.host("gateway1"), lab.host("gateway2")]
    hosts = join(lab, options, gateways)
    tunnels = []
    for side, gateway in enumerate(gateways, 1):
        gateway.forward()
        gateway.address("wan0", f"192.0.2.{side}/24")
        gateway.address("lan0", f"10.{side}.0.1/24")
        tunnels.append(WireGuardGo(gateway, []))
    tunnels[0].peer(tunnels[1].public_key, ["10.2.0.0/16"], "192.0.2.2:51820")
    tunnels[1].peer(tunnels[0].public_key, ["10.1.0.0/16"], "192.0.2.1:51820")
    return hosts


def meshgate(lab, options):
    boxes = [Box(lab, "gateway1"), Box(lab, "gateway2")]
    hosts = join(lab, options, boxes)
    for side, box in enumerate(boxes, 1):
        box.port("wan0", "wan", [f"192.0.2.{side}/24"], device=options.device)
        box.port("lan0", "lan", [f"10.{side}.0.1/24"], device=options.device)
        box.config["dataplane"].update(workers=options.workers, idle=options.idle)
    boxes[0].peer("right", boxes[1].public_key, ["10.2.0.0/16"], "192.0.2.2:51820")
    boxes[1].peer("left", boxes[0].public_key, ["10.1.0.0/16"], "192.0.2.1:51820")
    for box in boxes:
        box.start()
    return hosts


def lossless_rate(hosts, size, seconds, top=1_000_000):
    """Packets per second; the search ends when the bounds are within 4 %."""
    def loss_at(rate):
        result = traffic.udp(*hosts, RIGHT, rate=rate, seconds=seconds,
                             size=size - UDP_IPV4_HEADERS)
        reached = result.sent / result.seconds if result.seconds else 0
        return result.loss if reached > 0.97 * rate else 1.0

    low, high = 0, top
    rate = 64_000
    while high - low > 0.04 * high and high > 1000:
        if loss_at(rate) < LOSS_ALLOWED or loss_at(rate) < LOSS_ALLOWED:  # one bad moment is forgiven
            low = rate
        else:
            high = rate
        rate = min(top, rate * 2) if high == top and low < top / 2 else (low + high) // 2
    return low


def measure(name, build, options):
    with claimed_processor(), Lab() as lab:
        hosts = build(lab, options)
        hosts[0].wait_ping(RIGHT)
        print(f"{name} ...", file=sys.stderr, flush=True)
        result = {
            "rtt_p50_us": traffic.round_trip(*hosts, RIGHT, count=3000)["p50_us"],
            "tcp_bits_per_second": statistics.median(
                traffic.tcp(*hosts, RIGHT, seconds=options.seconds, port=5201 + turn)
                .rate_bits_per_second for turn in range(3)),
        }
        for size in (64, 1400):
            result[f"pps_{size}"] = lossless_rate(hosts, size, options.seconds)
        return result


def judge(results):
    """(measure, ratio, target in words, reached)"""
    for name, relation, figure in TARGETS:
        ours, theirs = results["meshgate"][name], results["wireguard-go"][name]
        ratio = ours / theirs if theirs else float("inf")
        reached = ratio >= figure if relation == ">=" else ratio <= figure
        yield name, ratio, f"{relation} {figure}", reached


def main():
    parser = argparse.ArgumentParser(prog="./run bench --peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="af_xdp", choices=["af_xdp", "af_packet"])
    parser.add_argument("--idle", default="adaptive", choices=["adaptive", "busy"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--offloads", action="store_true",
                        help="hosts and gateways keep the checksum and segmentation offloads of veth")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each single measurement")
    parser.add_argument("--json", action="store_true", help="print only the JSON object")
    options = parser.parse_args()

    results = {"wireguard-go": measure("wireguard-go", wireguard_go, options),
               "meshgate": measure("meshgate", meshgate, options)}
    verdicts = list(judge(results))
    if not options.json:
        print(f"{'':22} {'wireguard-go':>14} {'meshgate':>14} {'ratio':>7}  target")
        for name, ratio, target, reached in verdicts:
            print(f"{name:22} {results['wireguard-go'][name]:14.0f} {results['meshgate'][name]:14.0f}"
                  f" {ratio:7.2f}  {target} {'reached' if reached else 'MISSED'}")
    print(json.dumps({"options": vars(options), "results": results,
                      "ratios": {name: ratio for name, ratio, _, _ in verdicts},
                      "reached": all(reached for *_, reached in verdicts)}))
    return 0 if all(reached for *_, reached in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
