# SPDX-License-Identifier: Apache-2.0
"""What a box at rest costs, and what its sleep costs the first packet.

    left ---- lan0 [box] lan1 ---- right                           af_xdp, af_packet; wan0 is unused
    left ---- lan0 [box] wan0 ==== wan0 [box] lan0 ---- right      memif between two boxes
    left ------------------------- right                           cable: the hosts alone

idle/DEVICE/cpu: of a worker's thread, a second after the last traffic. idle/DEVICE/first_packet/...:
by how much a packet's round trip after a silence is longer than that of the packet right behind it.
idle/DEVICE/flowing/...: round trips of packets that keep coming, 100 us apart. A memif port has no
doorbell; the hosts' ports are then af_xdp.
"""

import time
from pathlib import Path

import traffic
from box import Box
from lab import Lab, claimed_processor
from programs import LEFT, RIGHT, join

DEVICES = ("af_xdp", "af_packet", "memif")
SILENCE_US = 50_000  # a worker sleeps 0.25 ms after the last packet
CPU_SECONDS = 3


def cable(lab):
    """No box at all: what the hosts and this machine add by themselves."""
    hosts = [lab.host("left"), lab.host("right")]
    lab.cable(hosts[0], "eth0", hosts[1], "eth0")
    for host, address in zip(hosts, (LEFT, RIGHT)):
        host.address("eth0", f"{address}/8")
    return [], hosts


def one_box(lab, device):
    box, hosts = Box(lab, "box"), []
    for side, name in enumerate(("left", "right")):
        host, port = lab.host(name), f"lan{side}"
        lab.cable(host, "eth0", box, port)
        host.address("eth0", f"10.{side + 1}.0.10/24")
        host.route("default", "via", f"10.{side + 1}.0.1")
        box.port(port, "lan", [f"10.{side + 1}.0.1/24"], device=device)
        hosts.append(host)
    lab.cable(lab.host("nobody"), "eth0", box, "wan0")
    box.port("wan0", "wan", ["192.0.2.1/24"], device=device)
    box.start()
    return [box], hosts


def two_boxes(lab, options):
    """With a memif between them."""
    boxes = [Box(lab, "gateway1"), Box(lab, "gateway2")]
    hosts = join(lab, options, boxes)
    for side, (box, role) in enumerate(zip(boxes, ("server", "client")), 1):
        box.port("wan0", "wan", [f"192.0.2.{side}/24"])
        box.config["ports"][0]["device"] = f"memif:{lab.dir}/wire.sock,role={role}"
        box.port("lan0", "lan", [f"10.{side}.0.1/24"], device="af_xdp")
        box.peer("other", boxes[2 - side].public_key, [f"10.{3 - side}.0.0/16"],
                 f"192.0.2.{3 - side}:51820")
    for box in boxes:
        box.start()
    return boxes, hosts


def worker_seconds(box):
    """Processor time of the box's worker threads; `stat` counts by ticks, with which naps beat."""
    seconds = 0
    for task in Path(f"/proc/{box.pid()}/task").iterdir():
        if (task / "comm").read_text().startswith("worker-"):
            seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
    return seconds


def measure(device, options):
    """Figure's name -> (values, unit, which way is better)."""
    with claimed_processor(), Lab() as lab:
        boxes, hosts = cable(lab) if device == "cable" else \
            two_boxes(lab, options) if device == "memif" else one_box(lab, device)
        hosts[0].wait_ping(RIGHT)
        figures = {}
        if boxes:
            time.sleep(1)
            before = [worker_seconds(box) for box in boxes]
            time.sleep(CPU_SECONDS)
            used = [100 * (worker_seconds(box) - start) / CPU_SECONDS
                    for box, start in zip(boxes, before)]
            figures[f"idle/{device}/cpu"] = (used, "% of a core", "less")
        flowing = traffic.round_trip(*hosts, RIGHT, count=5000, interval_us=100)
        first = traffic.round_trip(*hosts, RIGHT, count=200, interval_us=SILENCE_US, again=True)
    for quantile in ("p50", "p99"):
        figures[f"idle/{device}/first_packet/{quantile}"] = \
            ([first[f"added_{quantile}_us"]], "us", "less")
        figures[f"idle/{device}/flowing/{quantile}"] = ([flowing[f"{quantile}_us"]], "us", "less")
    return figures
