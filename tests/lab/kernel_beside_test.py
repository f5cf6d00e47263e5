# SPDX-License-Identifier: Apache-2.0
r"""The machine's kernel on the wires of the box: it forwards nothing there, and answers nothing.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
                   ext0 ---- outside
"""

import re
import signal
import socket
import time

from lab import wait_for
from topology import BOX_LAN, BOX_WAN, CLIENT, CLIENT_WAN, HOST, Road

FOREIGN = ("198.18.0.9", "fd99::9")  # behind the third interface, by the kernel's default routes


class Leaky(Road):
    """A machine on which something (Docker does) made a router of the kernel, with a way out."""

    def __init__(self, lab, start=True, **options):
        super().__init__(lab, start=False, **options)
        self.outside = lab.host("outside")
        lab.cable(self.outside, "eth0", self.box, "ext0")
        self.box.sysctl("net.ipv6.conf.all.disable_ipv6=0")
        self.box.environment["STATE_DIRECTORY"] = str(self.box.dir)
        self.box.address("ext0", "203.0.113.1/24", "fd03::1/64")
        self.outside.address("eth0", "203.0.113.2/24", "fd03::2/64")
        self.box.route("default", "via", "203.0.113.2")
        self.box.route("default", "via", "fd03::2")
        self.make_router()
        if start:
            self.start()

    def make_router(self):
        self.box.forward()
        self.box.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lan0.rp_filter=0",
                        "net.ipv4.conf.default.rp_filter=0")

    def settings(self):
        out = self.box.run("sysctl", "net.ipv4.conf.lan0.forwarding",
                           "net.ipv6.conf.lan0.disable_ipv6").stdout
        return [line.split(" = ")[1] for line in out.splitlines()]

    def leaks(self, addresses=CLIENT + FOREIGN):
        """Of 50 datagrams that the host sends to each address, those that come out in clear."""
        mac = bytes.fromhex(self.box.mac("lan0").replace(":", ""))
        with self.outside.capture("eth0") as seen:
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                gateway = BOX_LAN[1] if ":" in address else BOX_LAN[0]
                self.host.run("ip", "neighbor", "replace", gateway, "lladdr", mac.hex(":"),
                              "dev", "eth0")
                with self.host.socket(family, socket.SOCK_DGRAM) as sender:
                    for _ in range(50):
                        sender.sendto(b"in clear?", (address, 7777))
            time.sleep(0.3)
        return sum(frame.count(b"in clear?") for _, frame in seen.frames)


def check_no_leak(lab, device):
    road = Leaky(lab, device=device).up()
    assert road.leaks() == 0
    assert road.box.status()["problems"] == [], road.box.status()["problems"]
    assert road.host.ping(CLIENT[0]) == 3


def test_the_lab_sees_a_leak(lab):
    """Without a box the kernel of this machine does forward: 200 of 200."""
    road = Leaky(lab, start=False)
    road.host.address("eth0", f"{HOST[0]}/24", f"{HOST[1]}/64")
    road.host.route("default", "via", BOX_LAN[0])
    road.host.route("default", "via", BOX_LAN[1])
    road.box.sysctl("net.ipv6.conf.lan0.disable_ipv6=0")
    assert road.leaks() == 200


def test_the_kernel_forwards_nothing_af_packet(lab):
    check_no_leak(lab, "af_packet")


def test_the_kernel_forwards_nothing_af_xdp(lab):
    check_no_leak(lab, "af_xdp")


def test_what_others_switch_on_is_switched_off(lab):
    """Docker starts later; a firewall is loaded anew."""
    road = Leaky(lab).up()
    road.make_router()
    road.box.sysctl("net.ipv4.conf.lan0.forwarding=1", "net.ipv6.conf.lan0.disable_ipv6=0")
    road.box.run("nft", "flush", "ruleset")
    assert road.leaks() == 0
    wait_for(lambda: road.settings() == ["0", "1"], "the settings to be put right", seconds=3)
    problems = road.box.status()["problems"]
    assert any("lan0" in line and "again" in line for line in problems), problems
    lan0 = next(port for port in road.box.show("show", "ports")["ports"] if port["name"] == "lan0")
    assert lan0["kernel_repairs"] >= 1 and lan0["kernel_shut_out"], lan0


def test_the_kernel_gets_back_what_it_had(lab):
    """At the end of the box; after a crash, at the end of the next one."""
    road = Leaky(lab, start=False)
    road.box.sysctl("net.ipv6.conf.lan0.disable_ipv6=0", "net.ipv4.conf.wan0.forwarding=0")
    road.box.address("lan0", "fd77::7/64")
    found = road.settings()
    assert found == ["1", "0"], found
    road.start()
    assert road.settings() == ["0", "1"]
    road.box.stop(signal.SIGKILL)
    assert road.settings() == ["0", "1"]
    assert road.leaks() == 0, "nobody there: what the host sends is lost, and not in clear"
    road.box.start()
    assert road.settings() == ["0", "1"]
    road.box.stop()
    assert road.settings() == found
    assert "fd77::7/64" in road.box.run("ip", "-6", "addr", "show", "dev", "lan0").stdout
    wan0 = road.box.run("sysctl", "-n", "net.ipv4.conf.wan0.forwarding").stdout.strip()
    assert wan0 == "0", wan0
    assert road.leaks() == 200


def arp_answers(road, count=3):
    """Machines that answer for the box's address."""
    raw = road.host.packet_socket("eth0")
    raw.settimeout(0.3)
    mac = bytes.fromhex(road.host.mac("eth0").replace(":", ""))
    request = b"\xff" * 6 + mac + bytes.fromhex("0806000108000604" "0001") + mac \
        + socket.inet_aton(HOST[0]) + b"\0" * 6 + socket.inet_aton(BOX_LAN[0])
    answers = 0
    with raw:
        for _ in range(count):
            raw.send(request)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                try:
                    frame = raw.recv(2048)
                except TimeoutError:
                    break
                answers += frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02"
    return answers


def test_an_address_that_the_kernel_has_too(lab):
    """It answers nothing, and status says what to do, within ten seconds."""
    road = Road(lab).up()
    assert arp_answers(road) == 3
    road.box.run("ip", "address", "add", f"{BOX_LAN[0]}/24", "dev", "lan0")
    problem = wait_for(lambda: [line for line in road.box.status()["problems"]
                                if BOX_LAN[0] in line], "a problem line", seconds=10)[0]
    assert problem.startswith("lan0  "), problem
    assert arp_answers(road) == 3
    with road.client.capture("eth0") as seen:
        for _ in range(3):
            with road.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"to no port of the box", (BOX_WAN[0], 9))
        time.sleep(0.3)
    errors = [frame for _, frame in seen.frames if frame[12:14] == b"\x08\x00" and frame[23] == 1]
    assert errors == [], errors
    lan0 = next(port for port in road.box.show("show", "ports")["ports"] if port["name"] == "lan0")
    assert lan0["kernel_addresses"] == [f"{BOX_LAN[0]}/24 on lan0"], lan0
    cure = re.search(r"`(.+?)`", problem)[1]
    road.box.run(*cure.split())
    wait_for(lambda: road.box.status()["problems"] == [], "no problem any more", seconds=10)


def test_an_address_on_another_interface(lab):
    """The kernel answers ARP for any of its addresses on any of its interfaces."""
    road = Leaky(lab).up()
    road.box.run("ip", "address", "add", f"{BOX_WAN[1]}/128", "dev", "ext0")
    wait_for(lambda: [line for line in road.box.status()["problems"]
                      if line.startswith("wan0") and "dev ext0" in line], "a problem line")
    assert road.client.ping(CLIENT_WAN[0]) == 3
