# SPDX-License-Identifier: Apache-2.0
"""IP packets by hand, for what no socket would send."""

import struct
from ipaddress import ip_address

UDP, ICMP, ICMP6, FRAGMENT = 17, 1, 58, 44


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _pseudo(source, destination, proto, length):
    return ip_address(source).packed + ip_address(destination).packed + \
        struct.pack("!II", length, proto)


def udp(source, destination, payload, sport=4000, dport=4000, with_checksum=True):
    """A UDP datagram, the IP header not included."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", sport, dport, length, 0)
    value = checksum(_pseudo(source, destination, UDP, length) + header + payload) or 0xffff
    return struct.pack("!HHHH", sport, dport, length, value if with_checksum else 0) + payload


def ip4(source, destination, proto, payload, ident=0, more=False, offset=0, ttl=64):
    """With `more` or `offset` (bytes) it is a fragment."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident,
                         (0x2000 if more else 0) | offset // 8, ttl, proto, 0,
                         ip_address(source).packed, ip_address(destination).packed)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ip6(source, destination, proto, payload, ttl=64):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), proto, ttl,
                       ip_address(source).packed, ip_address(destination).packed) + payload


def ip6_fragment(source, destination, proto, payload, ident=0, more=False, offset=0):
    header = struct.pack("!BBHI", proto, 0, offset | more, ident)
    return ip6(source, destination, FRAGMENT, header + payload)


def ip(source, destination, proto, payload, **options):
    version = ip_address(destination).version
    return (ip4 if version == 4 else ip6)(source, destination, proto, payload, **options)


def frame(packet, destination, source):
    """Around a packet; MAC addresses as text."""
    ether_type = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes.fromhex((destination + source).replace(":", "")) + ether_type + packet
