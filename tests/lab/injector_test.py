# SPDX-License-Identifier: Apache-2.0
r"""The lab's own tools do what the other tests believe of them.

    left ---- a cable b ---- right
"""

import math
import signal
import time

import traffic
from injector import Injector
from lab import alone
from topology import CLIENT, Road


def cable(lab, seed=1):
    left, right = lab.host("left"), lab.host("right")
    injector = Injector(lab, left, "eth0", right, "eth0", seed=seed)
    left.address("eth0", "192.0.2.1/24", "2001:db8::1/64")
    right.address("eth0", "192.0.2.2/24", "2001:db8::2/64")
    for address in "192.0.2.2", "2001:db8::2":  # a lost solicitation would cost a second
        left.wait_ping(address)
    return left, right, injector


@alone("20 000 packets/s, none lost")
def test_passes_everything_at_the_rate_of_the_tests(lab):
    left, right, injector = cable(lab)
    result = traffic.udp(left, right, "192.0.2.2", rate=20000, seconds=5, size=200)
    counters = injector.counters("a>b")
    assert result.lost == 0 and result.duplicates == 0 and result.reordered == 0, result
    assert counters["missed"] == 0 and counters["refused"] == 0, counters


@alone("10 000 packets/s, each counted")
def test_loses_within_three_sigma(lab):
    left, right, injector = cable(lab)
    injector.set("a>b", loss=0.1)
    result = traffic.udp(left, right, "2001:db8::2", rate=10000, seconds=3)
    sigma = math.sqrt(result.sent * 0.1 * 0.9)
    assert abs(result.lost - result.sent * 0.1) < 3 * sigma, result


def test_corrupts_duplicates_and_delays(lab):
    left, right, injector = cable(lab)
    injector.set("a>b", corrupt=0.2, repair_checksum=1)
    result = traffic.udp(left, right, "192.0.2.2", rate=2000, seconds=1)
    # A flipped bit in the 16 bytes of header may go unnoticed here; most are seen.
    assert result.corrupt > 200, result
    injector.clear()
    injector.set("a>b", duplicate=0.5)
    assert traffic.udp(left, right, "192.0.2.2", rate=2000, seconds=1, port=7003).duplicates > 800
    injector.clear()
    injector.set("both", delay_ms=20)
    assert 39_000 < traffic.round_trip(left, right, "192.0.2.2", count=20)["p50_us"] < 60_000


def test_partition_and_mtu(lab):
    left, _, injector = cable(lab)
    injector.set("b>a", partition=1)
    assert left.ping("192.0.2.2", wait=0.3) == 0
    injector.clear()
    assert left.ping("192.0.2.2") == 3
    injector.set("a>b", mtu_bytes=1000)
    assert left.ping("192.0.2.2", size=973, wait=0.3) == 0
    assert left.ping("192.0.2.2", size=972) == 3


def test_a_stock_peer_that_is_not_scheduled_loses_nothing(lab):
    """Counted streams end in wireguard-go: what it gets while the machine is busy must wait."""
    road = Road(lab).up()
    for port in (51820, 44444):  # a new port is a new socket
        road.tunnel.set("listen-port", port)
        road.client.wait_ping("10.1.0.10")
        flow = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=2000, seconds=2, size=1000)
        time.sleep(0.5)
        road.tunnel.process.popen.send_signal(signal.SIGSTOP)
        time.sleep(0.6)
        road.tunnel.process.popen.send_signal(signal.SIGCONT)
        result = flow.finish()
        assert result.longest_gap_seconds > 0.5 and result.lost == 0, result
