# SPDX-License-Identifier: Apache-2.0
r"""Where ports of the kernel differ from cards: what they cut, what they join, when they wake us.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import time

import traffic
from lab import wait_for
from topology import CLIENT, Road


def test_fragments_of_a_host_pass(lab):
    """net_af_packet has the kernel put fragments together, and cuts the whole; not here."""
    road = Road(lab, device="af_packet").up()
    for address in CLIENT:
        road.host.ping(address, count=1, size=4000)  # the host may have to learn the path MTU first
        assert road.host.ping(address, count=3, size=4000) == 3


def test_tcp_of_a_host_with_default_offloads(lab):
    """Its first super-packets are cut and dropped, then the kernel takes them apart."""
    road = Road(lab, device="af_packet", offloads=True).up()
    traffic.tcp(road.host, road.client, CLIENT[0], seconds=1)
    wait_for(lambda: road.box.drops().get("truncated", 0) >= 8, "cut packets", seconds=3)
    time.sleep(0.5)
    before = road.box.drops()["truncated"]
    result = traffic.tcp(road.host, road.client, CLIENT[0], seconds=2)
    assert result.rate_bits_per_second > 50e6, result
    assert road.box.drops()["truncated"] == before, road.box.drops()


def idle_cores(box, seconds=2):
    start = box.cpu_seconds()
    time.sleep(seconds)
    return (box.cpu_seconds() - start) / seconds


def nb_sleeps(box):
    return box.show("show", "workers")["workers"][0]["sleeps"]


def check_sleep(road):
    """Next to no work when idle, and a packet after a pause is not late."""
    wait_for(lambda: road.box.show("show", "workers")["workers"][0]["asleep"], "sleep", seconds=3)
    before = nb_sleeps(road.box)
    assert idle_cores(road.box) < 0.1
    # 20 in a second by the clock; without doorbells a worker looks some thousand times.
    assert nb_sleeps(road.box) - before < 500, nb_sleeps(road.box) - before
    result = traffic.round_trip(road.host, road.client, CLIENT[0], count=100, interval_us=20000)
    assert result["received"] == 100, result
    # A doorbell that does not ring lets the worker sleep on for up to 50 ms, both ways.
    assert result["p50_us"] < 10000, result


def test_af_packet_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="af_packet").up())


def test_af_xdp_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="af_xdp").up())


def test_tap_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="tap").up())


def test_busy_workers_do_not_sleep(lab):
    road = Road(lab, idle="busy").up()
    assert idle_cores(road.box) > 0.2
    assert not road.box.show("show", "workers")["workers"][0]["asleep"]
