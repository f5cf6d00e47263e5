# SPDX-License-Identifier: Apache-2.0
r"""Sizes at the edge: what fits passes, one byte more earns an honest answer.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import struct

import traffic
from topology import CLIENT, HOST, Road

IP4_ICMP, IP6_ICMP = 28, 48  # IP and ICMP headers of an echo request


def edge(road, outer_overhead):
    """Largest inner packet by the book, and what the box says of it."""
    mtu = 1500 - outer_overhead
    assert road.box.peer_status("client")["mtu_bytes"] == mtu, road.box.peer_status("client")
    return mtu


def check_edges(road, mtu):
    for address, headers in ((CLIENT[0], IP4_ICMP), (CLIENT[1], IP6_ICMP)):
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
