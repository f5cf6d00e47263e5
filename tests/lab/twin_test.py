# SPDX-License-Identifier: Apache-2.0
r"""The machine's own kernel on the ports of the box: twins, and the way into the network.

    stranger --.
               |
    client -- bridge -- ewan [wan0]   box   [lan0] elan ---- host
    192.0.2.2                192.0.2.1  |  10.1.0.1          10.1.0.10
                                     meshgate

Brackets are twins, which the kernel of the box's namespace has.
"""

import contextlib
import json
import re
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from random import Random

from box import Box
from lab import wait_for
from topology import BOX_LAN, BOX_WAN, CLIENT, CLIENT_WAN, HOST
from wireguard_go import WireGuardGo

STRANGER = ("192.0.2.66", "2001:db8::66")
SOL_PACKET, PACKET_AUXDATA, TAG_VALID = 263, 8, 16


def tagged_interface(host, interface, vlan):
    """One whose frames travel on `interface` under a tag: the lab's kernel may not know 802.1Q."""
    for name in (interface, "untagged"):
        if name == "untagged":
            host.run("ip", "link", "add", "tagged", "type", "veth", "peer", "name", name)
        host.run("ip", "link", "set", "dev", name, "up")
    host.run("ip", "link", "set", "dev", "tagged", "address", host.mac(interface), "up")
    host.run("ethtool", "-K", "tagged", "tx", "off", "tso", "off", "gso", "off")
    near, wire = host.packet_socket("untagged"), host.packet_socket(interface)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    tag = struct.pack("!HH", 0x8100, vlan)

    def to_wire():
        while True:
            frame = near.recv(65536)
            wire.send(frame[:12] + tag + frame[12:])

    def from_wire():
        while True:
            frame, ancillary, _, sender = wire.recvmsg(65536, 256)
            tags = [struct.unpack_from("=IIIHHHH", data) for *_, data in ancillary]
            if sender[2] != socket.PACKET_OUTGOING and \
                    any(each[0] & TAG_VALID and each[5] & 0xfff == vlan for each in tags):
                near.send(frame)

    for copy in (to_wire, from_wire):
        threading.Thread(target=ignoring_its_end(copy), daemon=True).start()
    return "tagged"


def ignoring_its_end(function):
    """A thread that lives as long as its sockets."""
    def run():
        with contextlib.suppress(OSError):
            function()
    return run


class Office:
    """One box whose ports both have twins, a stock peer, a LAN host, and a stranger on the WAN."""

    def __init__(self, lab, start=True, wan=None, device="af_packet", vlan=None, **dataplane):
        self.lab = lab
        self.box, self.host, self.client = Box(lab, "box"), lab.host("host"), lab.host("client")
        self.stranger, self.net = lab.host("stranger"), lab.host("net")
        self.box.sysctl("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
        self.net.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.net.run("ip", "link", "set", "dev", "br0", "up")
        for number, (end, name) in enumerate(
                [(self.client, "eth0"), (self.stranger, "eth0"), (self.box, "ewan")]):
            lab.cable(end, name, self.net, f"p{number}")
            self.net.run("ip", "link", "set", "dev", f"p{number}", "up", "master", "br0")
        lab.cable(self.host, "eth0", self.box, "elan")
        self.client.address("eth0", f"{CLIENT_WAN[0]}/24", f"{CLIENT_WAN[1]}/64")
        self.stranger.address("eth0", f"{STRANGER[0]}/24", f"{STRANGER[1]}/64")
        addresses = [f"{BOX_WAN[0]}/24", f"{BOX_WAN[1]}/64"] if wan is None else wan
        self.box.config["ports"] = [
            {"name": "wan0", "device": f"{device}:ewan", "role": "wan", "addresses": addresses,
             "host": True},
            {"name": "lan0", "device": f"{device}:elan", "role": "lan",
             "addresses": [f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64"], "host": True,
             **({"vlan": vlan} if vlan else {})},
        ]
        self.box.config["dataplane"].update(dataplane)
        self.tunnel = WireGuardGo(self.client, [f"{CLIENT[0]}/32", f"{CLIENT[1]}/128"], mtu=1420)
        self.box.peer("client", self.tunnel.public_key, [f"{CLIENT[0]}/32", f"{CLIENT[1]}/128"])
        self.tunnel.peer(self.box.public_key, ["10.1.0.0/16", "fd10:1::/64"],
                         endpoint=f"{BOX_WAN[0]}:51820")
        self.lan = "eth0"
        if vlan:
            self.lan = tagged_interface(self.host, "eth0", vlan)
        self.host.address(self.lan, f"{HOST[0]}/24", f"{HOST[1]}/64")
        self.host.route("default", "via", BOX_LAN[0])
        self.host.route("default", "via", BOX_LAN[1])
        if start:
            self.box.start()

    def addresses(self, interface):
        out = json.loads(self.box.run("ip", "-j", "address", "show", "dev", interface).stdout)
        return {f"{each['local']}/{each['prefixlen']}" for link in out
                for each in link.get("addr_info", []) if each.get("scope") == "global"}


@contextlib.contextmanager
def echo_server(host, address, port=7000):
    """Sends back what comes in over TCP."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = host.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    while data := connection.recv(65536):
                        connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def talk(host, address, port=7000, data=b"hello", seconds=3):
    """What an echo server sends back; empty when nobody answers."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect((address, port))
            sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
            sender.start()
            got = b""
            while len(got) < len(data):
                part = connection.recv(65536)
                if not part:
                    break
                got += part
            return got
        except OSError:
            return b""


def check_twin(office):
    """TCP of both families, both ways, more than one segment; the kernel has the addresses."""
    box = office.box
    assert office.addresses("lan0") == {f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64"}
    assert office.addresses("wan0") == {f"{BOX_WAN[0]}/24", f"{BOX_WAN[1]}/64"}
    assert box.mac("lan0") == box.mac("elan")
    data = bytes(range(256)) * 4096
    for address in BOX_LAN:
        with echo_server(box, address):
            assert talk(office.host, address, data=data) == data, address
    for address in HOST:
        with echo_server(office.host, address):
            assert talk(box, address, data=data) == data, address


def test_a_lan_host_and_the_box_speak(lab):
    check_twin(Office(lab))


def test_a_lan_host_and_the_box_speak_tagged(lab):
    check_twin(Office(lab, vlan=7))


def test_a_lan_host_and_the_box_speak_by_xdp(lab):
    check_twin(Office(lab, device="af_xdp"))


def test_the_wan_answers_and_lets_nothing_in(lab):
    """The box's shell reaches out; from out there nothing of the host is reached."""
    office = Office(lab)
    box = office.box
    for own, far in zip(BOX_WAN, STRANGER):
        with echo_server(office.stranger, far):
            assert talk(box, far) == b"hello", far
        assert box.ping(far) == 3
        with echo_server(box, own):
            assert talk(office.stranger, own, seconds=1) == b"", own
    with box.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 5353))
        server.settimeout(0.5)
        with office.stranger.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                              socket.inet_aton(STRANGER[0]))
            for target in (BOX_WAN[0], "192.0.2.255", "224.0.0.251"):
                sender.sendto(b"?", (target, 5353))
        try:
            raise AssertionError(f"from the WAN: {server.recvfrom(100)}")
        except TimeoutError:
            pass
    assert box.drops().get("host_guarded", 0) >= 5, box.drops()


def test_the_box_reaches_the_network(lab):
    """By the kernel's routes on the interface meshgate, and answers come back."""
    office = Office(lab)
    box = office.box
    office.client.wait_ping(HOST[0])
    routes = box.run("ip", "route", "show", "proto", "176").stdout
    assert f"{CLIENT[0]} dev meshgate" in routes and f"src {BOX_LAN[0]}" in routes, routes
    data = bytes(range(256)) * 1024
    for near, far in zip(BOX_LAN, CLIENT):
        assert box.ping(far) == 3, far
        with echo_server(office.client, far):
            assert talk(box, far, data=data) == data, far
        with echo_server(box, near):
            assert talk(office.client, near, data=data) == data, near
    box.config["peers"] = []
    box.reload()
    wait_for(lambda: CLIENT[0] not in box.run("ip", "route").stdout, "the route to go")
    box.stop()
    assert "meshgate" not in box.run("ip", "-br", "link").stdout


def test_twins_outlive_the_daemon(lab):
    """Addresses of others, routes and a TCP connection are there after a restart, also a hard one."""
    office = Office(lab)
    box = office.box
    box.run("ip", "address", "add", "10.1.0.77/24", "dev", "lan0")
    box.run("ip", "route", "add", "203.0.113.0/24", "via", HOST[0])
    with echo_server(box, BOX_LAN[0]), \
            office.host.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect((BOX_LAN[0], 7000))
        for how in (signal.SIGTERM, signal.SIGKILL):
            box.restart(how=how)
            assert "10.1.0.77/24" in office.addresses("lan0")
            assert "via 10.1.0.10" in box.run("ip", "route", "show", "203.0.113.0/24").stdout
            connection.sendall(b"still here")
            assert connection.recv(100) == b"still here"
    box.config["ports"][1]["addresses"] = ["10.1.0.2/24"]
    box.reload()
    wait_for(lambda: office.addresses("lan0") == {"10.1.0.2/24", "10.1.0.77/24"},
             lambda: office.addresses("lan0"))
    box.stop()
    box.config["ports"][0]["host"] = False
    box.start()
    assert "wan0" not in box.run("ip", "-br", "link").stdout


def test_a_name_that_is_taken(lab):
    office = Office(lab, start=False)
    office.box.run("ip", "link", "add", "lan0", "type", "bridge")
    office.box.write()
    done = office.box.run(*office.box.daemon_command(), check=False)
    assert done.returncode == 1 and "lan0" in done.stderr and "host_name" in done.stderr, done.stderr
    assert "delete" not in done.stderr, done.stderr
    office.box.run("ip", "link", "set", "dev", "lan0", "alias", "meshgate /other.sock: twin of port x")
    done = office.box.run(*office.box.daemon_command(), check=False)
    assert "/other.sock" in done.stderr and "is that daemon still there" in done.stderr, done.stderr
    office.box.config["ports"][1]["host_name"] = "twin0"
    office.box.start()
    assert f"{BOX_LAN[0]}/24" in office.addresses("twin0")


def test_a_kernel_without_taps(lab):
    office = Office(lab, start=False)
    office.box.write()
    done = office.box.run("unshare", "--mount", "sh", "-c",
                          'mount -t tmpfs none /dev/net && exec "$@"', "sh",
                          *office.box.daemon_command(), check=False)
    assert done.returncode == 1 and "is the module tun loaded?" in done.stderr, done.stderr
    assert "port wan0" in done.stderr, done.stderr


def host_thread_state(box):
    """S where it sleeps; R where it runs or would like to, however busy the machine is."""
    time.sleep(0.02)
    for task in Path(f"/proc/{box.pid()}/task").iterdir():
        name, fields = (task / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
        if name == "host":
            return fields[0]
    raise AssertionError("no thread of that name")


def test_a_twin_that_somebody_deletes(lab):
    """The box says so and how to get it back; the rest works on, and nothing spins."""
    office = Office(lab)
    box = office.box
    box.run("ip", "link", "delete", "lan0")
    wait_for(lambda: "kernel interface lan0 is gone" in "".join(box.show("status")["problems"]),
             lambda: box.show("status"))
    office.client.wait_ping(HOST[0])
    with echo_server(office.stranger, STRANGER[0]):
        assert talk(box, STRANGER[0]) == b"hello"
    states = [host_thread_state(box) for _ in range(20)]
    assert states.count("S") >= 10, states
    box.restart()
    assert f"{BOX_LAN[0]}/24" in office.addresses("lan0")


def test_nmap_finds_nothing(lab):
    """TCP and UDP of both families, from the internet, while servers listen on the box."""
    office = Office(lab)
    box, stranger = office.box, office.stranger
    with contextlib.ExitStack() as servers:
        for address in BOX_WAN:
            servers.enter_context(echo_server(box, address, 22))
            servers.enter_context(echo_server(box, address, 7000))
        udp = servers.enter_context(box.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        udp.bind(("::", 123))
        udp.settimeout(0.1)
        stranger.wait_ping(BOX_WAN[0])
        for address, family in zip(BOX_WAN, ([], ["-6"])):
            report = stranger.run("nmap", *family, "-n", "-Pn", "--reason", "--max-retries", "1",
                                  "-T5", "-sS", "-sU", "-p",
                                  "T:22,53,80,7000,7001,U:53,123,161,51820", "-oG", "-",
                                  address).stdout
            ports = re.findall(r"(\d+)/([a-z|]+)/(tcp|udp)", report)
            assert {state for _, state, proto in ports if proto == "tcp"} <= {"filtered"}, report
            assert {state for _, state, proto in ports if proto == "udp"} <= {"open|filtered"}, \
                report
        try:
            raise AssertionError(f"from the internet: {udp.recvfrom(2000)}")
        except TimeoutError:
            pass
        assert talk(box, BOX_WAN[0], 22) == b"hello"
    assert box.drops().get("host_guarded", 0) >= 15, box.drops()


def hostile_frames(random, mac):
    """To everybody or to `mac`: cut off, too long for what they say, tagged, of no known kind."""
    for number in range(600):
        kind = random.choice([0x0800, 0x86dd, 0x0806, 0x8100, 0x88cc,
                              random.randrange(0x600, 0xffff)])
        target = random.choice([mac, b"\xff" * 6, b"\x01\0\x5e\0\0\1"])
        body = bytearray(random.randbytes(random.choice([1, 19, 20, 40, 60, 500, 1490])))
        if number % 2:
            body[0] = 0x45 if kind == 0x0800 else 0x60
        yield target + random.randbytes(5).rjust(6, b"\2") + kind.to_bytes(2, "big") + body


def test_hostile_frames_up_and_down(lab):
    """From both sides, from the internet and by the kernel: all counted, and the box works on."""
    office = Office(lab)
    box = office.box
    random = Random(10)
    for host, interface, target in ((office.host, "eth0", box.mac("lan0")),
                                    (office.stranger, "eth0", box.mac("wan0")),
                                    (box, "lan0", office.host.mac("eth0")),
                                    (box, "wan0", office.stranger.mac("eth0"))):
        mac = bytes.fromhex(target.replace(":", ""))
        with host.packet_socket(interface) as raw:
            for frame in hostile_frames(random, mac):
                with contextlib.suppress(OSError):
                    raw.send(frame)
                if random.random() < 0.05:
                    time.sleep(0.001)
    with echo_server(box, BOX_LAN[0]):
        assert talk(office.host, BOX_LAN[0]) == b"hello"
    office.client.wait_ping(HOST[0])
    drops = box.drops()
    assert all(drops.get(reason) for reason in ("wrong_vlan", "bad_ip_header")), drops
    box.check_invariants()


def test_the_twin_follows_its_port(lab):
    """Link state and MAC address; a question by ARP has one answer."""
    office = Office(lab)
    box = office.box

    def carrier():
        return box.run("cat", "/sys/class/net/lan0/carrier").stdout.strip()

    assert carrier() == "1"
    office.host.run("ip", "link", "set", "dev", "eth0", "down")
    wait_for(lambda: carrier() == "0", "the carrier to go")
    office.host.run("ip", "link", "set", "dev", "eth0", "up")
    wait_for(lambda: carrier() == "1", "the carrier to come back")
    box.run("ip", "link", "set", "dev", "elan", "address", "02:00:00:00:00:77")
    wait_for(lambda: box.mac("lan0") == "02:00:00:00:00:77", "the MAC address")
    box.run("ip", "link", "set", "dev", "lan0", "address", "02:00:00:00:00:88")  # as udev would
    wait_for(lambda: box.mac("lan0") == "02:00:00:00:00:77", "the port's MAC address again")
    office.host.run("ip", "neighbor", "flush", "dev", "eth0")
    with office.host.capture("eth0") as seen:
        assert office.host.ping(BOX_LAN[0]) == 3
        time.sleep(0.3)
    answers = [frame for _, frame in seen.frames
               if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02"
               and frame[28:32] == socket.inet_aton(BOX_LAN[0])
               and frame[38:42] == socket.inet_aton(HOST[0])]
    assert len(answers) == 1, answers
