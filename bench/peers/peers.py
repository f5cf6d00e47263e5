#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two gateways with a host behind each: one program after the other, in the same place.

    left ---- lan0 [gateway] wan0 ---- wan0 [gateway] lan0 ---- right
    10.1.0.10          192.0.2.1       192.0.2.2             10.2.0.10

Everything is in network namespaces of this machine, joined by veth pairs, so figures are for
comparing within one run. Sizes are whole inner IPv4 packets. Packets/s without loss: the highest
rate of a binary search at which less than 0.1 % are lost. `forwarder` and `testpmd` are no
gateways: they hand frames from port to port of a box and show what the ports alone carry. What
idle boxes cost, what the machine's own kernel gets over a twin, how boxes stand a flood of handshakes,
and what five sites lose when a link in use is cut, is described in idle.py, twin.py, flood.py and
reroute.py.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lab"), str(ROOT / "bench")]

import run as suite  # noqa: E402 (the paths come first)
import flood  # noqa: E402
import idle  # noqa: E402
import reroute  # noqa: E402
import traffic  # noqa: E402
import twin  # noqa: E402
from lab import Lab, LabError, claimed_processor  # noqa: E402
from programs import PROGRAMS, RIGHT, Missing  # noqa: E402

PARTS = ("programs", "idle", "twin", "handshakes", "mesh")
LOSS_ALLOWED = 0.001
UDP_IPV4_HEADERS = 28
SIZES = (64, 512, 1400)
STREAMS = (1, 4)
FLOOD_RATE = 1_500_000
SETTLING_SECONDS = 2  # before the gateways are called idle
# Measure -> (unit, which way is better).
MEASURES = {**{f"tcp/{n}stream": ("Mbit/s", "more") for n in STREAMS},
            **{f"udp/{size}B": ("packets/s", "more") for size in SIZES},
            "rtt/p50": ("us", "less"), "rtt/p99": ("us", "less"),
            "cpu/gateways": ("s/GB", "less"), "cpu/machine": ("s/GB", "less"),
            "idle/cpu": ("% of a core", "less")}
# Figure -> what its ratio has to reach.
TARGETS = {"peers/meshgate/tcp/1stream": 2.5, "peers/meshgate/udp/64B": 3, "peers/meshgate/udp/1400B": 3.5,
           "peers/meshgate/rtt/p50": 2, "ports/forwarder/tcp/1stream": 0.75,
           "ports/forwarder/udp/64B": 0.75, "ports/forwarder/udp/1400B": 0.75}


class Processors:
    """Processor time since it was made: of the gateways' processes, and of the whole machine
    without what runs at a low priority."""

    def __init__(self, processes):
        self.processes = processes
        self.start = time.monotonic()
        self.gateways_before, self.machine_before = self._of_gateways(), self._of_machine()

    def _of_gateways(self):
        seconds = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return seconds

    @staticmethod
    def _of_machine():
        user, _nice, system, _idle, _iowait, irq, softirq = \
            map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8])
        return (user + system + irq + softirq) / os.sysconf("SC_CLK_TCK")

    def gateways(self):
        return self._of_gateways() - self.gateways_before

    def machine(self):
        return self._of_machine() - self.machine_before

    def elapsed(self):
        return time.monotonic() - self.start


def lossless_rate(hosts, size, seconds):
    """Packets per second; the search begins at what gets through of a flood and ends when the
    bounds are within 4 %."""
    def send(rate, duration):
        result = traffic.udp(*hosts, RIGHT, rate=rate, seconds=duration,
                             size=size - UDP_IPV4_HEADERS)
        return result, result.sent / result.seconds if result.seconds else 0

    def passes(rate):
        for _ in range(2):  # one bad moment is forgiven
            result, sent_rate = send(rate, seconds)
            if sent_rate > 0.97 * rate and result.loss < LOSS_ALLOWED:
                return True
        return False

    flood, sent_rate = send(FLOOD_RATE, 0.5)
    rate = max(1000, sent_rate * (1 - flood.loss))
    low, high = 0, None
    while high is None or (high - low > 0.04 * high and high > 1000):
        if passes(rate):
            low = rate
        else:
            high = rate
        rate = low * 1.3 if high is None else (low + high) / 2 if low else high / 1.6
    return low


def measure(name, options):
    """Measure -> list of values, one per repetition."""
    values = {}
    with claimed_processor(), Lab() as lab:
        place = PROGRAMS[name](lab, options)
        place.hosts[0].wait_ping(RIGHT)
        print(f"{name} ...", file=sys.stderr, flush=True)
        time.sleep(SETTLING_SECONDS)
        processors = Processors(place.processes)
        time.sleep(options.seconds * 2)
        values["idle/cpu"] = [100 * processors.gateways() / processors.elapsed() / len(place.processes)]
        round_trip = traffic.round_trip(*place.hosts, RIGHT, count=3000)
        values["rtt/p50"], values["rtt/p99"] = [round_trip["p50_us"]], [round_trip["p99_us"]]
        port = 5201
        for streams in STREAMS:
            for _ in range(options.repetitions):
                processors = Processors(place.processes)
                result = traffic.tcp(*place.hosts, RIGHT, seconds=options.seconds, port=port,
                                     streams=streams)
                port += 1
                values.setdefault(f"tcp/{streams}stream", []).append(result.rate_bits_per_second / 1e6)
                if streams == 1 and result.bytes:
                    gigabytes = result.bytes / 1e9
                    values.setdefault("cpu/gateways", []).append(processors.gateways() / gigabytes)
                    values.setdefault("cpu/machine", []).append(processors.machine() / gigabytes)
        for size in options.sizes:
            values[f"udp/{size}B"] = [lossless_rate(place.hosts, size, options.seconds)]
    return values


def figures(results):
    """As the bench suite declares them: everybody beside wireguard-go, the boxes beside their own
    ports too; and the samples of each name."""
    samples = {f"peers/{name}/{what}": values for name, measured in results.items()
               for what, values in measured.items()}
    pairs = [(f"peers/{name}/{what}", f"peers/wireguard-go/{what}", what)
             for name, measured in results.items() for what in measured]
    for bare in ("forwarder", "testpmd"):
        for what in results.get("meshgate", {}):
            pairs.append((f"ports/{bare}/{what}", f"peers/{bare}/{what}", what))
            samples[pairs[-1][0]] = results["meshgate"][what]
    declared = []
    for name, reference, what in pairs:
        unit, better = MEASURES[what]
        # Beside a process that sleeps for good there is no ratio.
        comparable = reference in samples and reference != name and what != "idle/cpu"
        declared.append({"name": name, "unit": unit, "better": better,
                         "reference": reference if comparable else ""})
    return [figure for figure in declared
            if figure["reference"] or not figure["name"].startswith("ports/")], samples


def others(options):
    """Idle boxes, handshakes and meshes: figures as the bench suite declares them, their samples,
    and what could not be measured."""
    measured, failures = {}, {}
    if "idle" in options.parts:
        for device in ("cable", *idle.DEVICES):
            print(f"idle {device} ...", file=sys.stderr, flush=True)
            measured.update(idle.measure(device, options))
    for device in twin.DEVICES if "twin" in options.parts else ():
        print(f"twin {device} ...", file=sys.stderr, flush=True)
        measured.update(twin.measure(device, options.seconds, options.repetitions))
    if "handshakes" in options.parts:
        print("handshakes ...", file=sys.stderr, flush=True)
        measured.update(flood.end_to_end())
        for name in flood.FLOODS:
            print(f"handshakes {name} ...", file=sys.stderr, flush=True)
            measured.update(flood.under_flood(name))
    if "mesh" in options.parts:
        figures, failures = reroute.measure_all(
            lambda text: print(text, file=sys.stderr, flush=True))
        measured.update(figures)
    declared = []
    for name, (_, unit, better) in measured.items():
        words = name.split("/")
        reference = name.replace("/beside", "/alone") if words[0] == "twin" else \
            "/".join([words[0], "babeld" if words[0] == "mesh" else "cable", *words[2:]])
        declared.append({"name": name, "unit": unit, "better": better,
                         "reference": reference if reference != name and reference in measured else ""})
    return declared, {name: values for name, (values, _, _) in measured.items()}, failures


def missed(results):
    """The targets that were measured and not reached, in words."""
    by_name = {result["name"]: result for result in results}
    for name, target in (TARGETS | twin.TARGETS).items():
        ratio = by_name.get(name, {}).get("ratio")
        if ratio is not None and ratio < target:
            yield f"{name}: {ratio:.2f} times its reference, wanted {target}"


def main(words):
    parser = argparse.ArgumentParser(prog="./run bench --peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="af_xdp", choices=["af_xdp", "af_packet"])
    parser.add_argument("--idle", default="adaptive", choices=["adaptive", "busy"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--offloads", action="store_true",
                        help="hosts and gateways keep the checksum and segmentation offloads of veth")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each single measurement")
    parser.add_argument("--repetitions", type=int, default=3, help="of each TCP measurement")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of UDP's packets",
                        choices=SIZES)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS),
                        help="whom to measure; ratios need wireguard-go and forwarder")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS,
                        help="what to measure")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="also write a list of {name, value, unit, reference, ratio, min, max}")
    options = parser.parse_args(words)

    measured, failures = {}, {}
    for name in options.programs if "programs" in options.parts else []:
        try:
            measured[name] = measure(name, options)
        except Missing as reason:
            failures[name] = str(reason)
        except LabError as reason:
            failures[name] = f"failed: {str(reason).splitlines()[0]}"
    declared, samples = figures(measured)
    more_declared, more_samples, more_failures = others(options)
    declared, samples = declared + more_declared, samples | more_samples
    results = [suite.result(figure, samples) for figure in declared]
    if declared:
        table = suite.Table({"": {figure["name"]: figure for figure in declared}}, samples)
        table.head()
        for result in results:
            table.row(result)
    failures = {f"peers/{name}": why for name, why in failures.items()} | more_failures
    for name, why in failures.items():
        print(f"{name}: not measured: {why}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    wrong = [*missed(results), *reroute.missed(results)]
    print("\n".join(wrong))
    return 1 if wrong or {"peers/meshgate", "mesh/meshgate"} & set(failures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
