# SPDX-License-Identifier: Apache-2.0
"""A member of the network that is no Meshgate box: wireguard-go with the member's key, and a script
that says over its sessions whatever a test wants said to a box's control."""

import base64
import hashlib
import ipaddress
import socket
import struct

from lab import LabError
from mesh import PORT
from wireguard_go import WireGuardGo

MESH_PORT, BABEL_PORT = 6698, 6696
BABEL_GROUP = "ff02::1:6"


def cbor(value):
    """Integers, booleans, byte strings, lists and mappings, as RFC 8949 has them."""
    def head(kind, number):
        for code, size, form in ((24, 1 << 8, ">B"), (25, 1 << 16, ">H"), (26, 1 << 32, ">I"),
                                 (27, 1 << 64, ">Q")):
            if number < 24:
                return bytes([kind << 5 | number])
            if number < size:
                return bytes([kind << 5 | code]) + struct.pack(form, number)
        raise LabError(f"{number} is too large for CBOR")
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(key) + cbor(value[key]) for key in sorted(value))


# Type numbers of control/mesh/protocol/messages.h; a message is its type and fields in their order.
STATE, FILE_REQUEST, FILE_PIECE, RELAY_OPEN, RELAY_REPLY, RELAY_CLOSE, HANDSHAKE, SEEN, CANDIDATES, \
    PROBE, PROBE_REPLY, CLIENT_AT = range(1, 13)


def message(kind, *fields):
    return cbor({0: 1, 1: kind, **dict(enumerate(fields, 2))})


def node_address(authority_key, public_key):
    network = hashlib.blake2s(base64.b64decode(authority_key)).digest()[:5]
    return ipaddress.IPv6Address(
        b"\xfd" + network + hashlib.blake2s(base64.b64decode(public_key)).digest()[:10])


def link_local_address(public_key):
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6)
                                 + hashlib.blake2s(base64.b64decode(public_key)).digest()[:8])


class Rogue:
    """Takes the place of a member that was made with mesh.box(), and speaks to one box."""

    def __init__(self, mesh, member, victim):
        self.member, self.victim = member, victim
        mesh.lab.boxes.remove(member)  # nothing of ours runs there
        del mesh.boxes[member.name]
        member.sysctl("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
        uplink = member.uplinks[0]
        member.address(uplink.interface, f"{uplink.inside}/24")
        member.route("198.18.0.0/16", "via", uplink.gateway)
        self.node = node_address(mesh.authority_key, member.public_key)
        self.victim_node = node_address(mesh.authority_key, victim.public_key)
        self.link_local = link_local_address(member.public_key)
        self.tunnel = WireGuardGo(member, [f"{self.node}/128", f"{self.link_local}/64",
                                           f"10.{member.number}.0.2/32"],
                                  private_key=member.private_key, listen_port=PORT)
        self.tunnel.set("peer", victim.public_key, "allowed-ips", "0.0.0.0/0,::/0", "endpoint",
                        victim.uplinks[0].endpoint, "persistent-keepalive", 1)
        for prefix in (f"{self.victim_node}/128", "10.0.0.0/8"):
            member.route(prefix, "dev", self.tunnel.interface)
        self.control = member.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.control.bind((str(self.node), MESH_PORT))
        self.babel = member.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        index = int(member.run("cat", f"/sys/class/net/{self.tunnel.interface}/ifindex").stdout)
        self.babel.bind((str(self.link_local), BABEL_PORT, 0, index))
        self.babel.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        self.group = (BABEL_GROUP, BABEL_PORT, 0, index)
        self.hellos = 0

    def say(self, *messages):
        for one in messages:
            self.control.sendto(one, (str(self.victim_node), MESH_PORT))

    def announce(self, *prefixes, metric=0, seqno=1):
        """A Babel packet: that it is there, hears the victim well, and has the way to these."""
        self.hellos += 1
        neighbor = link_local_address(self.victim.public_key).packed
        body = struct.pack(">BBHHH", 4, 6, 0, self.hellos & 0xffff, 20)  # Hello
        body += struct.pack(">BBBBHH", 5, 14, 3, 0, 96, 60) + neighbor[8:]  # IHU, link-local
        body += struct.pack(">BBH", 6, 10, 0) + b"rogue!!!"  # Router-Id
        for prefix in map(ipaddress.ip_network, prefixes):
            encoding = 1 if prefix.version == 4 else 2
            address = prefix.network_address.packed[:(prefix.prefixlen + 7) // 8]
            body += struct.pack(">BBBBBBHHH", 8, 10 + len(address), encoding, 0, prefix.prefixlen,
                                0, 400, seqno, metric) + address
        self.babel.sendto(struct.pack(">BBH", 42, 2, len(body)) + body, self.group)
