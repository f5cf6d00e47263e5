# SPDX-License-Identifier: Apache-2.0
"""Datagrams that are cut on their way between client and box.

NarrowRoad of topology.py has the drawing.
"""

import random
import struct

import packets
import traffic
from lab import alone, wait_for
from topology import BOX_LAN, BOX_WAN, CLIENT, HOST, NarrowRoad, Road

ICMP6_TOO_BIG = 2


def check_uploads(lab, outer, mtu, client_mtu):
    """TCP both ways, and all of it that came in pieces was put together."""
    road = NarrowRoad(lab, outer, mtu, client_mtu)
    # The client's own fragments, which no MSS prevents.
    assert road.client.ping(HOST[0], size=1390, count=5) >= 3
    assert road.client.ping(HOST[0], size=1390) == 3
    before = road.box.drops()
    assert before.get("reassembled", 0) >= 3, before
    up = traffic.tcp(road.client, road.host, HOST[0], seconds=2)
    down = traffic.tcp(road.host, road.client, CLIENT[0], seconds=2, port=5202)
    assert up.bytes > 5_000_000 and down.bytes > 5_000_000, (up, down)
    drops = road.box.drops()
    lost = {reason: drops[reason] for reason in drops
            if reason.startswith("fragment_") and reason != "fragment_timeout"}
    assert not lost, drops


def test_uploads_over_ipv6_and_pppoe(lab):
    check_uploads(lab, outer=6, mtu=1492, client_mtu=1420)


def test_uploads_over_a_narrow_ipv4(lab):
    check_uploads(lab, outer=4, mtu=1400, client_mtu=1420)


def too_bigs(capture):
    """MTUs told by ICMPv6 in the captured frames."""
    return [struct.unpack("!I", frame[58:62])[0] for _, frame in capture.frames
            if frame[12:14] == b"\x86\xdd" and frame[20] == packets.ICMP6
            and frame[54] == ICMP6_TOO_BIG]


def check_narrower_than_ipv6(lab, outer):
    """IPv6 packets of 1280 bytes pass, their datagrams cut; nobody is told of less."""
    road = NarrowRoad(lab, outer, mtu=1300)
    with road.host.capture("eth0") as seen:
        # Which the box learns by the first that is lost.
        road.host.wait_ping(CLIENT[1], size=1280 - 48, dont_fragment=True)
        assert road.host.ping(CLIENT[1], size=1280 - 48, dont_fragment=True, count=10) == 10
        assert road.client.ping(HOST[1], size=1280 - 48, dont_fragment=True, count=10) == 10
        got, _ = road.host.ping_output(CLIENT[1], size=1281 - 48, dont_fragment=True)
        assert got == 0
    assert set(too_bigs(seen)) == {1280}, too_bigs(seen)
    mtu = road.box.peer_status("client")["mtu_bytes"]
    assert mtu < 1280 and mtu % 16 == 0, mtu
    assert traffic.tcp(road.client, road.host, HOST[1], seconds=1).bytes > 1_000_000


def test_ipv6_of_1280_through_ipv4_of_1300(lab):
    check_narrower_than_ipv6(lab, outer=4)


def test_ipv6_of_1280_through_ipv6_of_1300(lab):
    check_narrower_than_ipv6(lab, outer=6)


@alone("a flood")
def test_a_flood_of_fragments(lab):
    """Pieces that never become whole, of many sources: bounded, counted, and others do not notice."""
    road = Road(lab).up()
    wire = road.client.packet_socket("eth0")
    to_box, from_client = road.box.mac("wan0"), road.client.mac("eth0")
    chance = random.Random(1)
    flood = [packets.frame(packets.ip4(f"198.51.{chance.randrange(4)}.{chance.randrange(256)}",
                                       BOX_WAN[0], packets.UDP, bytes(1400), ident=number,
                                       more=True), to_box, from_client) for number in range(5000)]
    flow = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=1000, seconds=3)
    while flow.sender.popen.poll() is None:
        for frame in flood:
            wire.send(frame)
    result = flow.finish()
    assert result.lost == 0, result
    drops = road.box.drops()
    assert drops["fragment_limit"] > 1000, drops
    # A datagram in pieces has its place all the same.
    assert road.client.ping(HOST[0]) == 3
    wait_for(lambda: road.box.conservation()[0] == 0, "the last of the flood to time out", 15)
    assert road.box.drops()["fragment_timeout"] > 100, road.box.drops()


def test_echo_to_the_box_in_pieces(lab):
    """As much as a packet buffer holds; what is larger is dropped and counted."""
    road = Road(lab).up()
    assert road.client.ping(BOX_LAN[0], size=1900) == 3
    assert road.client.ping(BOX_LAN[0], size=1400) == 3
    assert road.client.ping(BOX_LAN[0], size=3000) == 0
    assert road.box.drops()["fragment_too_large"] >= 6, road.box.drops()


def test_echo_with_a_record_of_the_route(lab):
    road = Road(lab).up()
    for sender, own in ((road.client, CLIENT[0]), (road.host, HOST[0])):
        out = sender.run("ping", "-n", "-R", "-c", "2", "-i", "0.2", "-W", "1", BOX_LAN[0]).stdout
        assert " 2 received" in out, out
        recorded = out.split("RR:")[1].split("\n\n")[0].split()
        assert recorded[:2] == [own, BOX_LAN[0]], out
