# SPDX-License-Identifier: Apache-2.0
"""Traffic between two hosts of the lab, and what became of it."""

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass

from lab import BUILD

PROGRAM = BUILD / "tests/lab/traffic"


@dataclass
class UdpResult:
    sent: int
    received: int
    duplicates: int
    reordered: int
    corrupt: int
    bytes: int
    seconds: float
    longest_gap_seconds: float
    longest_lost_run: int  # packets in a row
    highest: int           # number that came, or -1

    @property
    def lost(self):
        return self.sent - self.received

    @property
    def loss(self):
        return self.lost / self.sent if self.sent else 1.0

    @property
    def rate_bits_per_second(self):
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


class UdpFlow:
    """Numbered UDP from one host to another, in the background.

    flow = UdpFlow(a, b, "10.2.0.2", rate=10000, seconds=5); ...; flow.finish().lost
    """

    def __init__(self, source, target, address, rate=1000, seconds=1.0, size=64, port=7001,
                 from_port=None, tos=0):
        self.receiver = target.spawn(PROGRAM, "recv", "--bind", address, "--port", port,
                                     name=f"{target.name}-udp-recv")
        self.receiver.wait_output("ready")
        words = ["--to", address, "--port", port, "--rate", rate, "--seconds", seconds,
                 "--size", size, "--tos", tos]
        if from_port:
            words += ["--from-port", from_port]
        self.sender = source.spawn(PROGRAM, "send", *words, name=f"{source.name}-udp-send")

    def sending(self):
        return self.sender.running()

    def stop(self):
        """Ends the sending early; finish() follows."""
        self.sender.stop()

    def finish(self, grace_seconds=0.3):
        self.sender.popen.wait()
        time.sleep(grace_seconds)
        return _udp_result(self.sender, self.receiver)


def _udp_result(sender, receiver):
    """Of a sender that has ended; ends the receiver."""
    sent = json.loads(sender.output())
    receiver.stop()
    got = json.loads(receiver.output().splitlines()[-1])
    at_the_end = sent["sent"] - 1 - got["highest"]
    return UdpResult(sent=sent["sent"], received=got["received"], duplicates=got["duplicates"],
                     reordered=got["reordered"], corrupt=got["corrupt"], bytes=got["bytes"],
                     seconds=sent["seconds"], longest_gap_seconds=got["longest_gap_seconds"],
                     longest_lost_run=max(got["longest_lost_run"], at_the_end),
                     highest=got["highest"])


@dataclass
class Outcome:
    """What became of some streams together."""
    results: dict  # (source, target) -> UdpResult
    rate: float

    @property
    def lost(self):
        return sum(result.lost for result in self.results.values())

    @property
    def offered(self):
        return sum(result.sent for result in self.results.values())

    @property
    def outage_ms(self):
        """The longest time for which one stream lost every packet. Taken from the numbers that are
        missing: a receiver that had to wait for the processor is no outage."""
        return max((result.longest_lost_run for result in self.results.values()), default=0) \
            * 1000 / self.rate

    @property
    def last_seconds(self):
        """When the last packet that arrived was sent, after the beginning."""
        return max((result.highest + 1 for result in self.results.values()), default=0) / self.rate

    def of(self, wanted):
        """Those streams alone for which wanted(source, target)."""
        return Outcome({pair: result for pair, result in self.results.items() if wanted(*pair)},
                       self.rate)

    def losers(self):
        """For the report of a failure."""
        return {f"{source}>{target}": f"{result.lost} of {result.sent}, "
                f"{result.longest_lost_run} in a row"
                for (source, target), result in self.results.items() if result.lost}


class UdpStreams:
    """Numbered UDP between many hosts at once, from now until finish().

    pairs: (source, target, address of the target). An Outcome knows them by the hosts' names.
    """

    FIRST_PORT = 7100

    def __init__(self, pairs, rate=100, size=200, longest_seconds=120):
        self.rate = rate
        self.flows = {}
        for port, (source, target, address) in enumerate(pairs, self.FIRST_PORT):
            receiver = target.spawn(PROGRAM, "recv", "--bind", address, "--port", port,
                                    name=f"{target.name}-stream-recv")
            self.flows[source.name, target.name] = [source, address, port, receiver]
        for _, _, _, receiver in self.flows.values():
            receiver.wait_output("ready")
        for flow in self.flows.values():
            source, address, port, _ = flow
            flow.append(source.spawn(PROGRAM, "send", "--to", address, "--port", port, "--rate",
                                     rate, "--seconds", longest_seconds, "--size", size,
                                     name=f"{source.name}-stream-send"))

    def finish(self, grace_seconds=0.5):
        for *_, sender in self.flows.values():
            sender.popen.terminate()
        for *_, sender in self.flows.values():
            sender.popen.wait()
        time.sleep(grace_seconds)
        return Outcome({pair: _udp_result(sender, receiver)
                        for pair, (_, _, _, receiver, sender) in self.flows.items()}, self.rate)


def udp(source, target, address, **options):
    """Sends and waits for the end; a UdpResult."""
    return UdpFlow(source, target, address, **options).finish()


def round_trip(source, target, address, count=1000, size=64, port=7002, interval_us=500, again=False):
    """Ping-pong over UDP: {"sent", "received", "p50_us", "p99_us", "max_us"}. With `again` each is
    followed by a second one at once: "again_p50_us", ..., and "added_p50_us", ..., by which the
    first one took longer."""
    echo = target.spawn(PROGRAM, "echo", "--bind", address, "--port", port)
    echo.wait_output("ready")
    out = source.run(PROGRAM, "rtt", "--to", address, "--port", port, "--count", count,
                     "--size", size, "--interval-us", interval_us, "--again", int(again),
                     check=False, timeout=60 + 2 * count * interval_us / 1e6)
    echo.stop()
    return json.loads(out.stdout)


@dataclass
class TcpResult:
    bytes: int
    seconds: float
    retransmits: int

    @property
    def rate_bits_per_second(self):
        return self.bytes * 8 / self.seconds if self.seconds else 0.0


def tcp(source, target, address, seconds=2, port=5201, streams=1):
    """One way, by iperf3; bytes as the receiver counted them. Zero bytes when nothing got through."""
    seconds = max(1, round(seconds))  # iperf3 takes whole ones, and 0 for ever
    server = target.spawn("iperf3", "-s", "-1", "--forceflush", "-B", address, "-p", port,
                          name=f"{target.name}-iperf3")
    server.wait_output("listening")
    client = source.run("iperf3", "-c", address, "-p", port, "-t", seconds, "-P", streams, "-J",
                        "--connect-timeout", "5000", check=False, timeout=seconds + 30)
    server.stop(seconds=2)
    with contextlib.suppress(ValueError, KeyError):
        end = json.loads(client.stdout)["end"]
        return TcpResult(bytes=end["sum_received"]["bytes"],
                         seconds=end["sum_received"]["seconds"],
                         retransmits=end["sum_sent"].get("retransmits", 0))
    return TcpResult(bytes=0, seconds=0.0, retransmits=0)


class Conversation:
    """Numbered messages over one TCP connection, each sent back; `finish` tells how many were."""

    INTERVAL_SECONDS, LENGTH = 0.02, 8

    def __init__(self, near, far, address, port=7000):
        self.listener = far.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.bind((address, port))
        self.listener.listen()
        self.near = near.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.near.settimeout(20)
        self.near.connect((address, port))
        self.far, _ = self.listener.accept()
        self.far.settimeout(20)
        self.sent, self.back, self.ended, self.error = 0, 0, threading.Event(), ""
        self.threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True)
                        for work in (self._speak, self._send_back, self._listen)]
        for thread in self.threads:
            thread.start()

    def _guarded(self, work):
        try:
            work()
        except OSError as reason:
            self.error = str(reason) or type(reason).__name__

    def _speak(self):
        while not self.ended.wait(self.INTERVAL_SECONDS):
            self.near.sendall(self.sent.to_bytes(self.LENGTH, "big"))
            self.sent += 1
        self.near.shutdown(socket.SHUT_WR)

    def _send_back(self):
        while data := self.far.recv(65536):
            self.far.sendall(data)
        self.far.shutdown(socket.SHUT_WR)

    def _listen(self):
        pending = b""
        while data := self.near.recv(65536):
            pending += data
            while len(pending) >= self.LENGTH:
                if int.from_bytes(pending[:self.LENGTH], "big") != self.back:
                    raise OSError(f"message {self.back} came back as another one")
                self.back, pending = self.back + 1, pending[self.LENGTH:]

    def finish(self):
        """(sent, back, what went wrong)"""
        self.ended.set()
        for thread in self.threads:
            thread.join(20)
        for one in (self.near, self.far, self.listener):
            one.close()
        return self.sent, self.back, self.error
