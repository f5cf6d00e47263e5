# SPDX-License-Identifier: Apache-2.0
r"""Sizes at the edge: what fits passes, one byte more earns an honest answer.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)

NarrowRoad of topology.py has two routers on that cable, and 1400 bytes between them.
"""

import struct
import time

import packets
import traffic
from lab import wait_for
from topology import BOX_WAN, CLIENT, CLIENT_WAN, HOST, NarrowRoad, Road

IP4_ICMP, IP6_ICMP = 28, 48  # IP and ICMP headers of an echo request


def edge(road, outer_overhead):
    """Largest inner packet by the book, and what the box says of it."""
    mtu = 1500 - outer_overhead
    assert road.box.peer_status("client")["mtu_bytes"] == mtu, road.box.peer_status("client")
    return mtu


def check_edges(road, mtu):
    for address, headers in ((CLIENT[0], IP4_ICMP), (CLIENT[1], IP6_ICMP)):
        check_edge(road, mtu, address, headers)


def check_edge(road, mtu, address, headers):
    got, out = road.host.ping_output(address, size=mtu - headers, dont_fragment=True)
    assert got == 3, out
    got, out = road.host.ping_output(address, size=mtu - headers + 1, dont_fragment=True)
    assert got == 0, out
    assert f"mtu={mtu}" in out.replace(" ", "").lower().replace("mtu:", "mtu="), out


def test_edges_over_ipv4(lab):
    road = Road(lab, outer=4, client_mtu=1440).up()
    check_edges(road, edge(road, 60))


def test_edges_over_ipv6(lab):
    road = Road(lab, outer=6).up()
    check_edges(road, edge(road, 80))


def test_fragments_pass_where_they_may(lab):
    """IPv4 without DF is fragmented by the box; the client's fragments come through too."""
    road = Road(lab).up()
    road.host.run("ip", "route", "replace", "default", "via", "10.1.0.1", "mtu", "lock", "1500")
    for size in (1401, 1472, 3000, 8000):
        got = road.host.run("ping", "-c", "3", "-i", "0.1", "-W", "1", "-M", "dont", "-s", size,
                            CLIENT[0], check=False)
        assert " 3 received" in got.stdout, got.stdout
    assert road.client.ping(HOST[0], size=3000) == 3
    road.client.wait_ping(HOST[1], size=3000)  # the host learns the path's MTU by the first answer
    assert road.client.ping(HOST[1], size=3000) == 3


def syn_mss(frame):
    """The MSS option of a TCP SYN in an Ethernet frame, or None."""
    offset = 14 + 20 if frame[12:14] == b"\x08\x00" and frame[23] == 6 else None
    if frame[12:14] == b"\x86\xdd" and frame[20] == 6:
        offset = 14 + 40
    if offset is None or not frame[offset + 13] & 2:
        return None
    options = frame[offset + 20:offset + (frame[offset + 12] >> 4) * 4]
    while options and options[0] != 0:
        if options[0] == 2:
            return struct.unpack("!H", options[2:4])[0]
        options = options[1:] if options[0] == 1 else options[options[1]:]
    return None


def test_mss_is_clamped_both_ways(lab):
    road = Road(lab).up()
    with road.host.capture("eth0") as seen:
        assert traffic.tcp(road.client, road.host, HOST[0], seconds=1).bytes > 0
        assert traffic.tcp(road.client, road.host, HOST[1], seconds=1, port=5202).bytes > 0
    offers = {(frame[12:14], frame[6:12] == bytes.fromhex(road.host.mac("eth0").replace(":", ""))):
              syn_mss(frame) for _, frame in seen.frames if syn_mss(frame)}
    from_client = [mss for (_, from_host), mss in offers.items() if not from_host]
    assert from_client and max(from_client) <= 1440 - 40, offers
    # What the host itself offers (1460) is clamped before the client sees it; the proof is that no
    # full-size segment of the host was refused:
    assert road.box.drops().get("too_big", 0) == 0, road.box.drops()


def test_tcp_survives_a_smaller_underlay(lab):
    """The wan port says 1300: inner TCP still gets through."""
    road = Road(lab, start=False)
    road.box.config["ports"][0]["mtu"] = 1300
    road.client.run("ip", "link", "set", "dev", "eth0", "mtu", "1300")
    road.client.run("ip", "link", "set", "dev", road.tunnel.interface, "mtu", "1280")
    road.start()
    road.client.wait_ping(HOST[0])
    assert traffic.tcp(road.host, road.client, CLIENT[0], seconds=1).bytes > 1_000_000


def check_silent_routers(lab, outer, mtu):
    """TCP passes both ways, and soon in packets that fit with what the client pads them to."""
    road = NarrowRoad(lab, outer, mtu=1400, silent=("r1", "r2"))
    down = traffic.tcp(road.host, road.client, CLIENT[0], seconds=4)
    up = traffic.tcp(road.client, road.host, HOST[0], seconds=2, port=5202)
    assert down.bytes > 1_000_000 and up.bytes > 1_000_000, (down, up)
    peer = road.box.peer_status("client")
    assert (peer["mtu_bytes"], peer["mtu_origin"]) == (mtu, "probe"), peer
    road.host.run("ip", "route", "flush", "cache")  # it learned by TCP already
    check_edge(road, mtu, CLIENT[0], IP4_ICMP)


def test_silent_routers_over_ipv4(lab):
    check_silent_routers(lab, outer=4, mtu=1320)


def test_silent_routers_over_ipv6(lab):
    check_silent_routers(lab, outer=6, mtu=1280)


def test_a_peer_that_answers_no_probes(lab):
    """Nobody says what fits, neither routers nor the peer: routers may cut what the box sends."""
    road = NarrowRoad(lab, outer=4, mtu=1400, silent=("r1", "r2"))
    road.client.run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    down = traffic.tcp(road.host, road.client, CLIENT[0], seconds=2)
    assert down.bytes > 1_000_000, down
    peer = road.box.peer_status("client")
    assert (peer["mtu_bytes"], peer["mtu_origin"]) == (1440, "port"), peer


def learned(box):
    peer = box.peer_status("client")
    return peer["mtu_bytes"], peer["mtu_origin"]


def test_what_is_told_leaves_room_for_padding(lab):
    """1400 bytes outside are 1340 inside, which the client would pad to 1344. Nobody tells it."""
    road = NarrowRoad(lab, outer=4, mtu=1400, silent=("r1",))
    assert traffic.tcp(road.host, road.client, CLIENT[0], seconds=1).bytes > 0
    wait_for(lambda: learned(road.box) == (1328, "router"), lambda: learned(road.box))
    for port in (5202, 5203):
        up = traffic.tcp(road.client, road.host, HOST[0], seconds=1, port=port)
        assert up.bytes > 1_000_000, up
    # Nor does a probe of that size lose its answer, which the client pads too.
    assert learned(road.box) == (1328, "router"), learned(road.box)


def test_a_router_that_quotes_eight_bytes(lab):
    """All that RFC 792 asks for. Believed where addresses and ports are right, down to 576 bytes."""
    road = Road(lab).up()
    client_port = int(road.box.peer_status("client")["endpoint"].rsplit(":", 1)[1])
    wire = road.client.packet_socket("eth0")

    def report(mtu, port):
        udp = struct.pack("!HHHH", 51820, port, 1480, 0)
        quoted = packets.ip4(BOX_WAN[0], CLIENT_WAN[0], packets.UDP, udp)
        icmp = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
        icmp = icmp[:2] + struct.pack("!H", packets.checksum(icmp)) + icmp[4:]
        packet = packets.ip4("203.0.113.9", BOX_WAN[0], packets.ICMP, icmp)
        wire.send(packets.frame(packet, road.box.mac("wan0"), road.client.mac("eth0")))

    for mtu, port in ((1400, client_port + 1), (575, client_port), (0, client_port)):
        assert road.host.ping(CLIENT[0], count=1) == 1
        report(mtu, port)
    time.sleep(0.5)
    assert learned(road.box) == (1440, "port"), learned(road.box)
    report(1400, client_port)
    wait_for(lambda: learned(road.box) == (1328, "router"), lambda: learned(road.box))
    assert road.host.ping(CLIENT[0], size=1328 - IP4_ICMP, dont_fragment=True) == 3
