# SPDX-License-Identifier: Apache-2.0
r"""Addresses that mean something on one link, or nowhere, go no further, whatever the routes say.

    host ---- lan0 [box] wan0 ---- client (wireguard-go), the way to 0.0.0.0/0 and ::/0
"""

from ipaddress import ip_address

import packets
from lab import wait_for
from topology import BOX_LAN, CLIENT, HOST, Road

PACKETS = 10
TO_NOBODY = [("255.255.255.255", "broadcast"), ("224.0.0.251", "multicast"),
             ("239.1.2.3", "multicast"), ("169.254.7.7", "link_local"),
             ("127.0.0.9", "martian_destination"), ("0.1.2.3", "martian_destination"),
             ("243.0.0.1", "reserved"), ("ff02::fb", "multicast"), ("ff0e::1234", "multicast"),
             ("fe80::77", "link_local"), ("::1", "martian_destination"), ("::10.9.0.2", "reserved")]
FROM_NOBODY = [("169.254.7.7", "link_local"), ("fe80::77", "link_local"), ("241.0.0.1", "reserved"),
               ("0.1.2.3", "martian_source"), ("::10.1.0.7", "reserved")]


def packet(source, destination):
    return packets.ip(source, destination, packets.UDP,
                      packets.udp(source, destination, b"canary"))


def cases(ours, theirs):
    """(source, destination, reason) of what must not pass between the two."""
    for destination, reason in TO_NOBODY:
        yield ours[ip_address(destination).version == 6], destination, reason
    for source, reason in FROM_NOBODY:
        yield source, theirs[ip_address(source).version == 6], reason


def check(box, send, seen, wanted):
    for source, destination, reason in wanted:
        before = box.drops().get(reason, 0)
        for _ in range(PACKETS):
            send(packet(source, destination))
        wait_for(lambda: box.drops().get(reason, 0) >= before + PACKETS,
                 lambda: f"{source} > {destination}: {PACKETS} {reason}, not {box.drops()}", 5)
    carried = [frame for _, frame in seen.frames if b"canary" in frame]
    assert not carried, carried[0].hex()


def road_of_last_resort(lab):
    road = Road(lab, start=False)
    road.box.config["peers"][0]["allowed_ips"] = ["0.0.0.0/0", "::/0"]
    road.start()
    return road.up()


def test_from_the_lan(lab):
    road = road_of_last_resort(lab)
    wire = road.host.packet_socket("eth0")
    to_box, from_host = road.box.mac("lan0"), road.host.mac("eth0")
    def send(packet):
        wire.send(packets.frame(packet, to_box, from_host))
    with road.client.capture(road.tunnel.interface) as seen:
        check(road.box, send, seen, cases(HOST, CLIENT))
    assert road.host.ping(BOX_LAN[0]) == 3 and road.host.ping(CLIENT[1]) == 3


def test_from_a_peer(lab):
    road = road_of_last_resort(lab)
    # wireguard-go looks at the destination alone to find the peer.
    road.tunnel.set("peer", road.box.public_key, "allowed-ips", "0.0.0.0/0,::/0")
    tunnel = road.client.packet_socket(road.tunnel.interface)
    with road.host.capture("eth0") as seen:
        check(road.box, tunnel.send, seen, cases(CLIENT, HOST))
        # All hosts of the office's network, from outside (RFC 2644).
        check(road.box, tunnel.send, seen, [(CLIENT[0], "10.1.0.255", "broadcast"),
                                            (CLIENT[0], "10.1.0.0", "broadcast")])
    assert road.client.ping(HOST[0]) == 3 and road.client.ping(HOST[1]) == 3
