# SPDX-License-Identifier: Apache-2.0
"""What a provider gives: leases and router advertisements that a test can change at any moment.

    server = DhcpServer(isp, "eth0", "192.0.2.100", "192.0.2.66", seconds=2, mtu=1400)
    server.address = "192.0.2.150"    # the next renewal is refused (NAK)

    raw.send(advertisement(isp.mac("eth0"), prefix("2001:db8::/64")))
"""

import contextlib
import ipaddress
import socket
import struct
import threading

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
SO_BINDTODEVICE = 25
COOKIE = b"\x63\x82\x53\x63"
ICMPV6 = 58


class DhcpServer:
    """RFC 2131, for one client. Debian's servers give no lease of less than a minute."""

    def __init__(self, host, interface, address, router, seconds=120, mtu=None, bits=24):
        self.address, self.router, self.seconds, self.mtu = address, router, seconds, mtu
        self.bits, self.own, self.nb_naks = bits, router, 0
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode())
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.bind(("", 67))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                self._answer(self.socket.recv(2048))

    def _answer(self, question):
        options = self._options(question[240:])
        kind = options.get(53, b"\0")[0]
        if kind not in (DISCOVER, REQUEST):
            return
        wanted = options.get(50) or question[12:16]
        if kind == DISCOVER:
            answer = OFFER
        else:
            answer = ACK if wanted == socket.inet_aton(self.address) else NAK
        self.nb_naks += answer == NAK
        self.socket.sendto(self._message(question, answer), ("255.255.255.255", 68))

    @staticmethod
    def _options(data):
        options = {}
        while data and data[0] != 255:
            if data[0] == 0:
                data = data[1:]
                continue
            options[data[0]] = data[2:2 + data[1]]
            data = data[2 + data[1]:]
        return options

    def _message(self, question, kind):
        given = bytes(4) if kind == NAK else socket.inet_aton(self.address)
        head = b"\2" + question[1:10] + b"\x80\0" + bytes(4) + given + bytes(8) + question[28:44]
        options = bytes((53, 1, kind, 54, 4)) + socket.inet_aton(self.own)
        if kind != NAK:
            mask = (0xffffffff << 32 - self.bits) & 0xffffffff
            options += struct.pack("!BBI", 51, 4, self.seconds) + struct.pack("!BBI", 1, 4, mask)
            options += b"\3\4" + socket.inet_aton(self.router)
            if self.mtu:
                options += struct.pack("!BBH", 26, 2, self.mtu)
        return head + bytes(192) + COOKIE + options + b"\xff"


def prefix(network, valid=60, preferred=30):
    """An option of a router advertisement: on the link, and to make addresses of."""
    net = ipaddress.ip_network(network)
    return struct.pack("!BBBBIII", 3, 4, net.prefixlen, 0xc0, valid, preferred, 0) \
        + net.network_address.packed


def link_local(mac):
    raw = bytes.fromhex(mac.replace(":", ""))
    return bytes.fromhex("fe80") + bytes(6) + bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]


def advertisement(mac, *options, lifetime=60):
    """The frame of a router advertisement (RFC 4861) to all nodes."""
    raw = bytes.fromhex(mac.replace(":", ""))
    source, target = link_local(mac), bytes.fromhex("ff02" + "00" * 13 + "01")
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0) + b"\1\1" + raw
    body += b"".join(options)
    pseudo = source + target + struct.pack("!II", len(body), ICMPV6)
    total = sum(struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:]
    return bytes.fromhex("333300000001") + raw + b"\x86\xdd" \
        + struct.pack("!IHBB", 6 << 28, len(body), ICMPV6, 255) + source + target + body

