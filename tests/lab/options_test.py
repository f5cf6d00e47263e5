# SPDX-License-Identifier: Apache-2.0
"""IPv6 packets with options, on their way through the box and to the box itself."""

import socket
import struct
import time

import packets
from topology import BOX_LAN, CLIENT, HOST, Road

HOP_BY_HOP, DESTINATION = 0, 60
PADDING, ROUTER_ALERT, UNKNOWN_DISCARD = "010400000000", "050200000100", "470400000000"


def with_options(kind, options, source, destination, proto, payload):
    header = bytes([proto, 0]) + bytes.fromhex(options)
    return packets.ip6(source, destination, kind, header + payload)


def echo(source, destination, ident):
    message = struct.pack("!BBHHH", 128, 0, 0, ident, 1) + bytes(16)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, destination) + struct.pack("!II", len(message), 58)
    return message[:2] + struct.pack("!H", packets.checksum(pseudo + message)) + message[4:]


def test_packets_with_options(lab):
    road = Road(lab).up()
    wire = road.host.packet_socket("eth0")
    box, own = road.box.mac("lan0"), road.host.mac("eth0")

    def send(packet):
        wire.send(packets.frame(packet, box, own))

    kinds = ((HOP_BY_HOP, PADDING), (DESTINATION, PADDING), (HOP_BY_HOP, ROUTER_ALERT),
             (DESTINATION, UNKNOWN_DISCARD))
    with road.client.capture(road.tunnel.interface) as seen:
        for number, (kind, options) in enumerate(kinds):
            send(with_options(kind, options, HOST[1], CLIENT[1], packets.UDP,
                              packets.udp(HOST[1], CLIENT[1], b"through %d" % number)))
        time.sleep(0.3)
    for number in range(len(kinds)):
        assert any(b"through %d" % number in frame for _, frame in seen.frames), number

    with road.host.capture("eth0") as seen:
        for ident, (kind, options) in enumerate(kinds):
            send(with_options(kind, options, HOST[1], BOX_LAN[1], packets.ICMP6,
                              echo(HOST[1], BOX_LAN[1], ident)))
        time.sleep(0.3)
    answered = {frame[59] for _, frame in seen.frames if frame[12:14] == b"\x86\xdd"
                and frame[20] == packets.ICMP6 and frame[54] == 129}
    assert answered == {0, 1, 2}, (answered, road.box.drops())
    assert road.box.drops()["local_no_listener"] == 1, road.box.drops()
    # As a program sends them, through the tunnel.
    out = road.client.run("python3", "-c", PROGRAM, BOX_LAN[1], timeout=10).stdout
    assert out.strip() == "129", out


PROGRAM = """
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.settimeout(3)
s.connect((sys.argv[1], 0))
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes.fromhex("0000010400000000"))
s.send(struct.pack("!BBHHH", 128, 0, 0, 7, 1))
print(s.recv(2000)[0])
"""
