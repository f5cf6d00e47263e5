#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
r"""Two offices and a remote worker, on real packets. `mesh` shows five boxes instead (demo_mesh.py),
`office` boxes with their kernels on lines as offices have them (demo_office.py).

    h-berlin ---- lan0 [berlin] wan0 ----.               .---- wan0 [munich] lan0 ---- h-munich
    10.1.0.10                 198.51.100.2 \             / 203.0.113.2               10.2.0.10
    fd10:1::10                2001:db8:1::2 [ internet ] 2001:db8:2::2              fd10:2::10
                                                |
                                             worker (stock wireguard-go, 10.9.0.2, fd10:9::2)
                                             2001:db8:7::2

Berlin and Munich speak WireGuard over IPv4; the worker reaches Berlin over IPv6, and through it
Munich. Every host is a network namespace with the kernel's own network stack.

    demo.py [mesh | office] [--keep] [--json]    --keep: leave it running    --end: end what was left running
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import traffic
from box import Box
from demo_mesh import MeshDemo
from demo_office import OfficeDemo
from lab import Lab, LabError, claimed_processor, end_kept_labs
from wireguard_go import WireGuardGo

UDP_PACKETS_PER_SECOND = 1000
UDP_BYTES = 1000
UDP_LOSS_ALLOWED = 0.01
SECONDS = 1.5

ADDRESSES = {  # inside: host -> IPv4, IPv6
    "h-berlin": ("10.1.0.10", "fd10:1::10"),
    "h-munich": ("10.2.0.10", "fd10:2::10"),
    "worker": ("10.9.0.2", "fd10:9::2"),
}
PAIRS = [("h-berlin", "h-munich"), ("h-munich", "h-berlin"), ("worker", "h-berlin"),
         ("h-berlin", "worker"), ("worker", "h-munich"), ("h-munich", "worker")]


@dataclass
class Flow:
    source: str
    destination: str
    ip_version: int
    protocol: str
    source_address: str = ""
    destination_address: str = ""
    bytes: int = 0
    rate_bits_per_second: float = 0.0
    loss: float = 1.0  # ping and UDP: of packets; TCP: segments that had to be sent again
    rtt_ms: float | None = None
    arrived: bool = False


@dataclass
class Offices:
    lab: Lab
    seconds: float
    hosts: dict = field(default_factory=dict)
    boxes: dict = field(default_factory=dict)

    drawing = __doc__.split("\n\n")[1]

    def play(self, say):
        """Builds it and shows it; whether all went well, and what --json prints."""
        started = time.monotonic()
        self.build()
        say(f"up after {time.monotonic() - started:.1f} s\n\n{HEADER}")
        flows = []
        for flow in self.flows():
            flows.append(flow)
            say(row(flow))
        show(self, say)
        arrived = sum(flow.arrived for flow in flows)
        say(f"{arrived} of {len(flows)} flows arrived")
        ok = bool(flows) and arrived == len(flows)
        return ok, {"ok": ok, "flows": [asdict(flow) for flow in flows]}

    def build(self):
        internet = self.lab.host("internet")
        internet.forward()
        sites = {
            "berlin": ("198.51.100", "2001:db8:1:", "10.1.0", "fd10:1:"),
            "munich": ("203.0.113", "2001:db8:2:", "10.2.0", "fd10:2:"),
        }
        for name, (wan4, wan6, lan4, lan6) in sites.items():
            box = Box(self.lab, name)
            host = self.lab.host(f"h-{name}")
            self.boxes[name], self.hosts[host.name] = box, host
            self.lab.cable(internet, name, box, "wan0")
            internet.address(name, f"{wan4}.1/24", f"{wan6}:1/64")
            self.lab.cable(host, "eth0", box, "lan0")
            host.address("eth0", f"{lan4}.10/24", f"{lan6}:10/64")
            host.route("default", "via", f"{lan4}.1")
            host.route("default", "via", f"{lan6}:1")
            box.port("wan0", "wan", [f"{wan4}.2/24", f"{wan6}:2/64"],
                     gateway=[f"{wan4}.1", f"{wan6}:1"])
            box.port("lan0", "lan", [f"{lan4}.1/24", f"{lan6}:1/64"])
        worker = self.hosts["worker"] = self.lab.host("worker")
        self.lab.cable(internet, "worker", worker, "eth0")
        internet.address("worker", "192.0.2.1/24", "2001:db8:7::1/64")
        worker.address("eth0", "192.0.2.2/24", "2001:db8:7::2/64")
        worker.route("2001:db8::/32", "via", "2001:db8:7::1")
        worker.route("198.51.100.0/24", "via", "192.0.2.1")
        self.join(worker)

    def join(self, worker):
        berlin, munich = self.boxes["berlin"], self.boxes["munich"]
        tunnel = WireGuardGo(worker, ["10.9.0.2/32", "fd10:9::2/128"])
        berlin.peer("munich", munich.public_key, ["10.2.0.0/16", "fd10:2::/32"],
                    endpoint="203.0.113.2:51820")
        berlin.peer("worker", tunnel.public_key, ["10.9.0.2/32", "fd10:9::2/128"])
        munich.peer("berlin", berlin.public_key,
                    ["10.1.0.0/16", "fd10:1::/32", "10.9.0.0/24", "fd10:9::/32"],
                    endpoint="198.51.100.2:51820")
        tunnel.peer(berlin.public_key,
                    ["10.1.0.0/16", "fd10:1::/32", "10.2.0.0/16", "fd10:2::/32"],
                    endpoint="[2001:db8:1::2]:51820", keepalive=25)
        for box in self.boxes.values():
            box.start()
        # The worker speaks first, as road warriors must: its address is not configured anywhere.
        worker.wait_ping(ADDRESSES["h-berlin"][0])

    def flows(self):
        for protocol, measure in (("ping", self.ping), ("tcp", self.tcp), ("udp", self.udp)):
            for source, destination in PAIRS:
                for ip_version in (4, 6):
                    index = 0 if ip_version == 4 else 1
                    flow = Flow(source, destination, ip_version, protocol,
                                ADDRESSES[source][index], ADDRESSES[destination][index])
                    measure(flow, self.hosts[source], self.hosts[destination])
                    yield flow

    @staticmethod
    def ping(flow, source, _destination, count=5):
        received, out = source.ping_output(flow.destination_address, count=count)
        flow.bytes = received * 64
        flow.loss = 1 - received / count
        flow.arrived = received == count
        if received:
            flow.rtt_ms = float(out.rsplit("= ", 1)[1].split("/")[1])

    def tcp(self, flow, source, destination):
        result = traffic.tcp(source, destination, flow.destination_address, seconds=self.seconds)
        segments = result.bytes / 1360
        flow.bytes, flow.rate_bits_per_second = result.bytes, result.rate_bits_per_second
        flow.loss = min(1.0, result.retransmits / segments) if segments else 1.0
        flow.arrived = result.bytes > 0

    def udp(self, flow, source, destination):
        result = traffic.udp(source, destination, flow.destination_address, size=UDP_BYTES,
                             rate=UDP_PACKETS_PER_SECOND, seconds=self.seconds)
        flow.bytes, flow.rate_bits_per_second = result.bytes, result.rate_bits_per_second
        flow.loss = result.loss
        flow.arrived = result.loss <= UDP_LOSS_ALLOWED and result.corrupt == 0


HEADER = f"{'from':10} {'to':10} {'over':5} {'what':5} {'bytes':>12} {'rate':>14} {'loss':>8} {'rtt':>10}"


def row(flow):
    rate = f"{flow.rate_bits_per_second / 1e6:.1f} Mbit/s" if flow.rate_bits_per_second else "-"
    rtt = f"{flow.rtt_ms:.3f} ms" if flow.rtt_ms is not None else "-"
    mark = "" if flow.arrived else "  DID NOT ARRIVE"
    return (f"{flow.source:10} {flow.destination:10} {'IPv' + str(flow.ip_version):5} "
            f"{flow.protocol:5} {flow.bytes:12} {rate:>14} {flow.loss:8.2%} {rtt:>10}{mark}")


def show(demo, say):
    berlin = demo.boxes["berlin"]
    say(f"\n$ wg show        (on berlin: the stock tool, through the standard socket)\n"
        f"{berlin.wg_show()}")
    say(f"$ meshgate status        (on berlin)\n{berlin.meshgate('status', check=False).stdout}")


def how_to_enter(demo, say):
    say("Left running. To enter a host:")
    for name, host in [*demo.hosts.items(), *demo.boxes.items()]:
        say(f"  ip netns exec {host.netns} bash        # {name}")
    for name, box in demo.boxes.items():
        say(f"  meshgate on {name}:  {' '.join(box.meshgate_command('status'))}")
    say("To end it:  ./run demo --end")


def main():
    parser = argparse.ArgumentParser(prog="./run demo", description="See the README.")
    parser.add_argument("what", nargs="?", default="offices", choices=["offices", "mesh", "office"],
                        help="two offices and a worker, five boxes that lose links and relays, or "
                        "boxes at a line with changing addresses and beside a router")
    parser.add_argument("--keep", action="store_true", help="leave it running")
    parser.add_argument("--end", action="store_true", help="end what --keep left running")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each TCP and UDP flow")
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    options = parser.parse_args()
    if options.end:
        print(f"{end_kept_labs()} ended")
        return 0

    def say(text):
        print(text, file=sys.stderr if options.json else sys.stdout, flush=True)

    with claimed_processor(), Lab(keep=options.keep) as lab:
        try:
            demo = {"mesh": MeshDemo, "office": OfficeDemo}[options.what](lab) \
                if options.what != "offices" else Offices(lab, options.seconds)
            say(demo.drawing + "\n")
            ok, answer = demo.play(say)
            if options.keep:
                how_to_enter(demo, say)
                lab.leave_running()
        except LabError as error:
            print(f"demo: {error}\n{lab.logs()}", file=sys.stderr)
            return 1
    if options.json:
        print(json.dumps(answer, indent=2))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
