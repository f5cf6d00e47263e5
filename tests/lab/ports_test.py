# SPDX-License-Identifier: Apache-2.0
r"""Every kind of port that needs no card, and what hosts put on it.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import socket
import struct
import time

import traffic
from lab import alone, wait_for
from topology import BOX_LAN, CLIENT, HOST, Road


def check_everything(road, tcp_at_least):
    for address in CLIENT:
        assert road.host.ping(address) == 3
    result = traffic.udp(road.host, road.client, CLIENT[0], rate=3000, seconds=2, size=1200)
    assert result.lost == 0 and result.corrupt == 0, result
    result = traffic.udp(road.client, road.host, HOST[1], rate=3000, seconds=2, size=1200)
    assert result.lost == 0 and result.corrupt == 0, result
    for source, target, address in ((road.host, road.client, CLIENT[0]),
                                    (road.client, road.host, HOST[1])):
        got = traffic.tcp(source, target, address, seconds=1.5)
        assert got.rate_bits_per_second > tcp_at_least, got


@alone("a rate of TCP")
def test_af_packet(lab):
    check_everything(Road(lab, device="af_packet").up(), 50e6)


@alone("a rate of TCP")
def test_af_xdp(lab):
    check_everything(Road(lab, device="af_xdp").up(), 50e6)


@alone("a rate of TCP")
def test_tap(lab):
    check_everything(Road(lab, device="tap").up(), 50e6)


@alone("a rate of TCP")
def test_af_xdp_with_a_hosts_default_offloads(lab):
    """Unfinished checksums on every packet of the host."""
    check_everything(Road(lab, device="af_xdp", offloads=True).up(), 50e6)


@alone("a rate of TCP")
def test_af_packet_with_unfinished_checksums(lab):
    """Segmentation is off, checksums are left to a card that is not there."""
    road = Road(lab, device="af_packet", offloads=True).up()
    road.host.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    check_everything(road, 50e6)


@alone("a rate of TCP")
def test_two_workers(lab):
    check_everything(Road(lab, workers=2).up(), 50e6)


def check_engine(lab, engine):
    road = Road(lab, crypto=engine).up()
    assert engine in road.box.status()["dataplane"]["aead_engine"], road.box.status()
    check_everything(road, 20e6)


@alone("a rate of TCP")
def test_libsodium(lab):
    check_engine(lab, "libsodium")


@alone("a rate of TCP")
def test_ipsec_mb(lab):
    check_engine(lab, "ipsec-mb")


def port(box, name):
    return next(each for each in box.show("show", "ports")["ports"] if each["name"] == name)


def test_link_down_and_up_is_seen(lab):
    road = Road(lab).up()
    assert port(road.box, "lan0")["up"]
    changes = port(road.box, "lan0")["link_changes"]
    road.host.run("ip", "link", "set", "dev", "eth0", "down")
    wait_for(lambda: not port(road.box, "lan0")["up"], "link down", seconds=3)
    wait_for(lambda: road.box.meshgate("status", check=False).returncode == 1,
             "status to say that something needs attention", seconds=3)
    road.host.run("ip", "link", "set", "dev", "eth0", "up")
    wait_for(lambda: port(road.box, "lan0")["up"], "link up", seconds=3)
    assert port(road.box, "lan0")["link_changes"] >= changes + 2
    road.host.address("eth0", f"{HOST[1]}/64")  # IPv6 addresses go with the link
    road.host.route("default", "via", BOX_LAN[0])
    road.host.wait_ping(CLIENT[0], seconds=5)


def test_a_cable_that_is_gone_for_good(lab):
    """The peer of the port vanishes while packets flow: the box lives on."""
    road = Road(lab).up()
    flow = traffic.UdpFlow(road.client, road.host, HOST[0], rate=2000, seconds=2)
    time.sleep(0.5)
    road.host.run("ip", "link", "delete", "eth0")
    flow.finish()
    assert road.box.process.running()
    wait_for(lambda: not port(road.box, "lan0")["up"], "link down", seconds=3)


VLAN = 7
SOL_PACKET = 263


class VlanHost:
    """Speaks 802.1Q on a cable, since this kernel may not know it."""

    def __init__(self, host, interface, address, vlan):
        self.raw, self.address = host.packet_socket(interface), socket.inet_aton(address)
        self.raw.settimeout(0.05)
        self.raw.setsockopt(SOL_PACKET, 8, 1)  # PACKET_AUXDATA: tags the kernel took off
        self.mac = bytes.fromhex(host.mac(interface).replace(":", ""))
        self.tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""

    def send(self, destination, body):
        self.raw.send(destination + self.mac + self.tag + body)

    def receive(self, wanted, seconds=1.0):
        """The first frame to us (destination .. body without tag, vlan) that `wanted` accepts."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                frame, ancillary, *_ = self.raw.recvmsg(2048, 256)
            except TimeoutError:
                continue
            vlan = 0
            for _, _, data in ancillary:
                status, _, _, _, _, tci, _ = struct.unpack_from("=IIIHHHH", data)
                vlan = tci if status & 16 else 0
            if frame[12:14] == b"\x81\x00":
                vlan, frame = struct.unpack("!H", frame[14:16])[0], frame[:12] + frame[16:]
            if frame[:6] == self.mac and wanted(frame):
                return frame, vlan
        return None, None

    def resolve(self, address):
        request = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + self.mac + self.address \
            + b"\0" * 6 + socket.inet_aton(address)
        self.send(b"\xff" * 6, request)
        return self.receive(lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02")


def test_vlan(lab):
    """The port answers under its tag only."""
    road = Road(lab, start=False)
    road.box.config["ports"][1]["vlan"] = VLAN
    road.start()
    road.host.run("ip", "addr", "flush", "dev", "eth0")
    tagged = VlanHost(road.host, "eth0", HOST[0], VLAN)
    reply, vlan = tagged.resolve(BOX_LAN[0])
    assert reply is not None, "no ARP reply under the tag"
    assert vlan & 0xfff == VLAN, vlan
    assert port(road.box, "lan0")["vlan"] == VLAN
    for wrong in (0, VLAN + 1):
        other = VlanHost(road.host, "eth0", HOST[0], wrong)
        reply, _ = other.resolve(BOX_LAN[0])
        assert reply is None, f"answered to VLAN {wrong}"
    assert road.box.drops()["wrong_vlan"] >= 2, road.box.drops()


def test_vlan_traffic_passes_the_tunnel(lab):
    """A ping from the client is answered by a host that speaks only 802.1Q."""
    road = Road(lab, start=False)
    road.box.config["ports"][1]["vlan"] = VLAN
    road.start()
    road.host.run("ip", "addr", "flush", "dev", "eth0")
    tagged = VlanHost(road.host, "eth0", HOST[0], VLAN)
    box_mac = tagged.resolve(BOX_LAN[0])[0][6:12]
    pinger = road.client.spawn("ping", "-n", "-c", "3", "-i", "0.3", "-W", "2", HOST[0])
    answered = 0
    deadline = time.monotonic() + 8
    while answered < 3 and time.monotonic() < deadline:
        frame, vlan = tagged.receive(
            lambda frame: frame[12:14] in (b"\x08\x00", b"\x08\x06"), seconds=0.5)
        if frame is None:
            continue
        assert vlan & 0xfff == VLAN, vlan
        if frame[12:14] == b"\x08\x06":
            tagged.send(box_mac, struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2) + tagged.mac
                        + tagged.address + frame[22:32])
        elif frame[23] == 1 and frame[34] == 8:
            ip = bytearray(frame[14:34])
            ip[12:16], ip[16:20] = ip[16:20], ip[12:16]
            icmp = bytearray(frame[34:14 + struct.unpack("!H", frame[16:18])[0]])
            icmp[0] = 0
            checksum = struct.unpack("!H", icmp[2:4])[0] + 0x0800  # RFC 1624, type 8 -> 0
            struct.pack_into("!H", icmp, 2, (checksum & 0xffff) + (checksum >> 16))
            tagged.send(box_mac, b"\x08\x00" + bytes(ip) + bytes(icmp))
            answered += 1
    pinger.popen.wait(10)
    assert " 3 received" in pinger.output(), pinger.output()
