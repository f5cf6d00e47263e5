# SPDX-License-Identifier: Apache-2.0
r"""Two offices as they are: one has a line with changing addresses, the other a router that stays.

    h-berlin ---- lan0 [berlin] wan0 ----.
                                       [isp] ---- [internet] ---- [router] ---.---- arm0 [munich]
                             stranger ----'          www                      '---- h-munich

berlin gets its WAN addresses from the ISP by DHCP and router advertisements, on the twin of wan0,
and gives addresses and names to its office by dnsmasq, on the twin of lan0. munich has one card,
beside a stock Linux router that masquerades and forwards one port. Both boxes run Debian's sshd on
their twins. They are one network by a signed network file; nobody knows where berlin is.
"""

import ipaddress
import signal
import socket
import time
from dataclasses import asdict, dataclass, field

import traffic
from box import Box
from lab import LabError, wait_for
from mesh import Mesh
from services import DhcpClient, Sshd, SshKeys, dnsmasq, resolve, scan, services

LEASES = ("198.51.100.100", "198.51.100.150")  # of berlin: at first, and later
PREFIXES = ("2001:db8:1::/64", "2001:db8:2::/64")
ISP, STRANGER, STRANGER6 = "198.51.100.1", "198.51.100.66", "2001:db8:1::66"
WWW, WWW6, WWW_NAME = "192.0.2.80", "2001:db8:ff::80", "www.example.net"
ROUTER = "203.0.113.2"
BERLIN, BERLIN6, H_BERLIN = "10.1.0.1", "fd10:1::1", "10.1.0.50"
MUNICH, MUNICH6 = "10.2.0.2", "fd10:2::2"
H_MUNICH, H_MUNICH6 = "10.2.0.10", "fd10:2::10"

OUTAGE_SECONDS = 1.0       # after the kernel has a new address
PING_INTERVAL_SECONDS = 0.05
ROUTER_RULES = f"""
table ip nat {{
  chain out {{ type nat hook postrouting priority srcnat; oifname "out" masquerade; }}
  chain in {{
    type nat hook prerouting priority dstnat; iifname "out" udp dport 51820 dnat to {MUNICH};
  }}
}}
"""


@dataclass
class Check:
    what: str
    wanted: str
    got: str
    ok: bool

    def row(self):
        return f"{self.what:60} | {self.wanted:22} | {self.got:35} | {'yes' if self.ok else 'NO'}"


HEADER = f"{'what':60} | {'wanted':22} | {'got':35} | ok"


class Site(Box):
    """A box of the network file. The kernel has twins, so it takes part in IPv6."""

    def __init__(self, mesh, name, prefixes, endpoints=()):
        super().__init__(mesh.lab, name)
        self.prefixes, self.endpoints = prefixes, list(endpoints)
        self.sysctl("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0",
                    "net.ipv6.conf.default.accept_ra=1", "net.ipv6.conf.default.autoconf=1",
                    "net.ipv6.conf.default.router_solicitations=3")
        self.config["network"] = {"file": "network.yaml", "authority": mesh.authority_key}

    def entry(self):
        return {"name": self.name, "public_key": self.public_key, "prefixes": self.prefixes,
                **({"endpoints": self.endpoints} if self.endpoints else {})}

    def port_status(self, name):
        return next(port for port in self.show("show", "ports")["ports"] if port["name"] == name)

    def addresses(self, port, version):
        """As the box uses them, without prefix lengths."""
        return [address.split("/")[0] for address in self.port_status(port)["addresses"]
                if (":" in address) == (version == 6)]


@dataclass
class OfficeDemo:
    lab: object
    hosts: dict = field(default_factory=dict)
    boxes: dict = field(default_factory=dict)
    checks: list = field(default_factory=list)
    h_berlin6: str = "fd10:1::50"  # until it has one

    drawing = __doc__.split("\n\n")[1]

    def play(self, say):
        """Builds it and shows it; whether all went well, and what --json prints."""
        started = time.monotonic()
        self.say = say
        self.build()
        say(f"up after {time.monotonic() - started:.1f} s\n\n{HEADER}")
        for stage in (self.isp_gives, self.office_gets, self.who_reaches_whom, self.box_is_a_host,
                      self.stranger_knocks, self.addresses_change, self.boxes_are_well):
            try:
                stage()
            except (LabError, OSError) as reason:
                self.check(stage.__name__.replace("_", " "), "can be tried",
                           str(reason).split("\n", maxsplit=1)[0])
        right = sum(check.ok for check in self.checks)
        say(f"{right} of {len(self.checks)} as wanted, after {time.monotonic() - started:.1f} s")
        return right == len(self.checks), {"checks": [asdict(check) for check in self.checks]}

    def check(self, what, wanted, got, *arguments, ok=None):
        """`got` is what was measured, or a function that measures: (got, ok). Without ok it must be
        what is wanted."""
        try:
            got, ok = got(*arguments) if callable(got) else (got, ok)
        except (LabError, OSError) as reason:
            got, ok = str(reason).split("\n", maxsplit=1)[0], False
        got = ", ".join(got) if isinstance(got, (list, tuple)) else str(got)
        self.checks.append(Check(what, wanted, got or "nothing", (got == wanted) if ok is None
                                 else bool(ok)))
        self.say(self.checks[-1].row())

    # ---- who there is ----

    def build(self):
        self.mesh = Mesh(self.lab)
        self.internet = self.mesh.internet.router
        self.build_isp()
        self.build_munich()
        self.build_berlin()
        self.mesh.write(members=self.boxes.values())
        self.keys, self.sshd = SshKeys(self.lab), {}
        for name, box in self.boxes.items():
            self.mesh.hand_over(box)
            box.start()
            self.sshd[name] = Sshd(box, self.keys)
        self.serve_berlin()

    def new_host(self, name):
        self.hosts[name] = self.lab.host(name)
        return self.hosts[name]

    def switch(self, host, name, *ports):
        """A bridge of `host` by that name; (other host, its interface) each get a port of it."""
        host.run("ip", "link", "add", name, "type", "bridge", "mcast_snooping", "0")
        for number, (other, interface) in enumerate(ports):
            self.lab.cable(other, interface, host, f"{name}p{number}")
            host.run("ip", "link", "set", "dev", f"{name}p{number}", "master", name)
        host.run("ip", "link", "set", "dev", name, "up")

    def build_isp(self):
        internet, isp = self.internet, self.new_host("isp")
        isp.forward()
        self.lab.cable(internet, "isp", isp, "up")
        internet.address("isp", "192.0.2.1/24", f"{WWW}/24", "2001:db8:ff::1/64", f"{WWW6}/64")
        isp.address("up", "192.0.2.2/24", "2001:db8:ff::2/64")
        for version in ("192.0.2.1", "2001:db8:ff::1"):
            isp.route("default", "via", version)
        internet.route("198.51.100.0/24", "via", "192.0.2.2")
        for prefix in PREFIXES:
            internet.route(prefix, "via", "2001:db8:ff::2")
        folder = self.lab.dir / "www"
        folder.mkdir()
        (folder / "index.html").write_text("the internet\n")
        internet.spawn("python3", "-m", "http.server", "80", "--bind", WWW, "--directory", folder)

    def build_munich(self):
        router, host = self.new_host("router"), self.new_host("h-munich")
        munich = self.boxes["munich"] = Site(self.mesh, "munich", ["10.2.0.0/16", "fd10:2::/48"],
                                             [f"{ROUTER}:51820"])
        self.lab.cable(self.internet, "router", router, "out")
        self.internet.address("router", "203.0.113.1/24")
        router.address("out", f"{ROUTER}/24")
        router.route("default", "via", "203.0.113.1")
        self.switch(router, "lan", (munich, "card"), (host, "eth0"))
        router.address("lan", "10.2.0.1/24", "fd10:2::1/64")
        router.forward()
        router.run("nft", "-f", "-", input=ROUTER_RULES)
        router.route("10.1.0.0/16", "via", MUNICH)
        router.route("fd10:1::/48", "via", MUNICH6)
        host.address("eth0", f"{H_MUNICH}/24", f"{H_MUNICH6}/64")
        for gateway in ("10.2.0.1", "fd10:2::1"):
            host.route("default", "via", gateway)
        munich.config["ports"] = [
            {"name": "arm0", "device": "af_packet:card", "role": ["wan", "lan"], "host": True,
             "addresses": [f"{MUNICH}/24", f"{MUNICH6}/64"], "gateway": "10.2.0.1"}]

    def build_berlin(self):
        isp, host, stranger = self.hosts["isp"], self.new_host("h-berlin"), self.new_host("stranger")
        berlin = self.boxes["berlin"] = Site(self.mesh, "berlin", ["10.1.0.0/16", "fd10:1::/48"])
        self.switch(isp, "access", (berlin, "card0"), (stranger, "eth0"))
        isp.address("access", f"{ISP}/24", PREFIXES[0].replace("::/", "::1/"))
        stranger.address("eth0", f"{STRANGER}/24", f"{STRANGER6}/64")
        self.lab.cable(host, "eth0", berlin, "card1")
        host.sysctl("net.ipv6.conf.eth0.accept_ra=1")
        berlin.config["ports"] = [
            {"name": "wan0", "device": "af_packet:card0", "role": "wan", "host": True,
             "addresses": "host"},
            {"name": "lan0", "device": "af_packet:card1", "role": "lan", "host": True,
             "addresses": [f"{BERLIN}/24", f"{BERLIN6}/64"]}]
        self.lease_file = self.lab.dir / "isp-hosts"
        self.offer(LEASES[0])
        self.isp_server = dnsmasq(
            isp, "access", "--dhcp-range=198.51.100.10,static,10m", f"--dhcp-option=3,{ISP}",
            f"--dhcp-option=6,{ISP}", f"--dhcp-hostsfile={self.lease_file}", "--enable-ra",
            "--dhcp-range=::,constructor:access,ra-only,10m", "--ra-param=access,4,60",
            "--no-resolv", f"--host-record={WWW_NAME},{WWW}")

    def offer(self, address):
        self.lease_file.write_text(f"{self.boxes['berlin'].mac('card0')},{address}\n")

    def serve_berlin(self):
        berlin = self.boxes["berlin"]
        self.line = DhcpClient(berlin, "wan0")
        dnsmasq(berlin, "lan0", f"--dhcp-range={H_BERLIN},{H_BERLIN},10m", "--enable-ra",
                "--dhcp-range=::,constructor:lan0,ra-only,10m", "--no-hosts", "--domain=office",
                f"--host-record=berlin.office,{BERLIN}", f"--resolv-file={self.line.resolv_conf}")
        self.desk = DhcpClient(self.hosts["h-berlin"], "eth0")

    # ---- what is seen ----

    def isp_gives(self):
        berlin = self.boxes["berlin"]
        self.check("berlin wan0: address by DHCP", LEASES[0], lambda: self.address_of(4, LEASES[0]))
        self.check("berlin wan0: gateway of the lease", ISP,
                   lambda: (berlin.port_status("wan0").get("gateway", ""), None))
        self.check("berlin wan0: address by router advertisement", PREFIXES[0],
                   lambda: self.address_of(6, PREFIXES[0]))

    def address_of(self, version, wanted):
        """The first one that the box uses on wan0, once it is within what is wanted."""
        def first():
            return (self.boxes["berlin"].addresses("wan0", version) or [""])[0]

        def right():
            return first() and ipaddress.ip_address(first()) in ipaddress.ip_network(wanted)
        try:
            wait_for(right, wanted)
        except LabError:
            return first(), False
        return first(), True

    def office_gets(self):
        host = self.hosts["h-berlin"]

        def address():
            wait_for(lambda: self.desk.bound()[0], "a lease", 15)
            return self.desk.bound()[0], None

        def own_prefix():
            def found():
                words = host.run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope",
                                 "global").stdout.split()
                return [word for word in words if word.startswith("fd10:1:")]
            wait_for(found, "an IPv6 address")
            self.h_berlin6 = found()[0].split("/")[0]
            return self.h_berlin6, True

        self.check("h-berlin: address by DHCP of berlin's dnsmasq", H_BERLIN, address)
        self.check("h-berlin: address by router advertisement", "fd10:1::/64", own_prefix)
        for name, wanted in (("berlin.office", BERLIN), (WWW_NAME, WWW)):
            self.check(f"h-berlin: {name}, asked of berlin's dnsmasq", wanted,
                       lambda name=name: (resolve(host, name, self.desk.resolv_conf), None))

    def who_reaches_whom(self):
        h_berlin, h_munich = self.hosts["h-berlin"], self.hosts["h-munich"]
        with self.internet.capture("router") as outside:
            self.check("h-berlin -> h-munich: first ping", "an answer",
                       lambda: (f"after {h_berlin.wait_ping(H_MUNICH, seconds=10):.1f} s", True))
            for source, target, address in (
                    (h_berlin, "h-munich", H_MUNICH), (h_munich, "h-berlin", H_BERLIN),
                    (h_berlin, "h-munich", H_MUNICH6), (h_munich, "h-berlin", self.h_berlin6),
                    (self.boxes["berlin"], "h-munich", H_MUNICH),
                    (self.boxes["munich"], "h-berlin", H_BERLIN)):
                self.pings(source, target, address)
        frames = [frame for _, frame in outside.frames if frame[12:14] == b"\x08\x00"]
        sealed = sum(is_wireguard(frame) for frame in frames)
        self.check("meanwhile outside: packets that are WireGuard's", "all",
                   f"{sealed} of {len(frames)}", ok=0 < sealed == len(frames))
        self.check("munich: role of its only port", "one_arm",
                   lambda: (self.boxes["munich"].port_status("arm0")["role"], None))

    def pings(self, source, target, address):
        version = 6 if ":" in address else 4
        self.check(f"{source.name} -> {target}: ping, IPv{version}", "3 of 3",
                   lambda: (f"{source.ping(address)} of 3", None))

    def box_is_a_host(self):
        """Whoever logs in sees the twin of the box that was meant."""
        h_berlin, h_munich = self.hosts["h-berlin"], self.hosts["h-munich"]
        for source, name, address in ((h_berlin, "berlin", BERLIN), (h_berlin, "berlin", BERLIN6),
                                      (h_munich, "berlin", BERLIN), (h_munich, "munich", MUNICH),
                                      (h_berlin, "munich", MUNICH), (h_berlin, "munich", MUNICH6)):
            self.check(f"{source.name} -> {name}: ssh root@{address}", f"{address} is its own",
                       self.login, source, name, address)
        for box in self.boxes.values():
            self.check(f"{box.name}'s own shell -> {WWW_NAME}: curl", "the internet", self.curl,
                       box)
        self.pings(self.boxes["berlin"], WWW_NAME, WWW6)

    def login(self, source, name, address):
        shown = self.keys.login(source, self.sshd[name], address, "ip", "-o", "address")
        return (f"{address} is its own" if f" {address}/" in shown else shown), None

    @staticmethod
    def curl(box):
        return box.run("curl", "-s", "-m", "5", f"http://{WWW}/", check=False).stdout.strip(), None

    def stranger_knocks(self):
        """On the same wire as berlin's card; what is silent there answers in the office."""
        berlin, stranger = self.boxes["berlin"], self.hosts["stranger"]
        wan6 = berlin.addresses("wan0", 6)[:1]
        stranger.route("10.1.0.0/16", "via", LEASES[0])
        stranger.route("fd10:1::/48", "via", *(wan6 or [STRANGER6]))
        doors = sorted(services(berlin))
        self.check("h-berlin -> berlin: services that answer", "tcp 22, tcp 53, udp 53", lambda: (
            [str(door) for (_, door), answer in scan(
                self.hosts["h-berlin"], [(BERLIN, door) for door in doors]).items()
             if answer == "open"], None))
        self.pings(stranger, "berlin", LEASES[0])
        before = berlin.drops().get("host_guarded", 0)
        targets = [(address, door) for address in (LEASES[0], *wan6, BERLIN, BERLIN6, H_BERLIN)
                   for door in doors]
        self.check("stranger -> berlin, h-berlin: services that answer", "none", lambda: (
            [f"{door} of {address} {answer}" for (address, door), answer in scan(
                stranger, targets).items()] or "none", None))
        guarded = berlin.drops().get("host_guarded", 0) - before
        self.check("of the stranger's packets, kept from berlin's kernel", "> 0", guarded,
                   ok=guarded > 0)

    # ---- what changes ----

    def addresses_change(self):
        h_berlin, h_munich = self.hosts["h-berlin"], self.hosts["h-munich"]
        talk = traffic.Conversation(h_berlin, h_munich, H_MUNICH)
        session = self.keys.session(h_munich, self.sshd["berlin"], BERLIN, "cat")
        say_into(session, "before")
        pings = h_munich.spawn("ping", "-n", "-D", "-i", PING_INTERVAL_SECONDS, H_BERLIN)
        pings.wait_output("64 bytes")
        self.check("berlin wan0: the ISP refuses the lease and gives", LEASES[1], self.new_lease)
        self.check("h-munich <-> h-berlin: flows again, after the new lease",
                   f"within {OUTAGE_SECONDS} s", self.first_answer, pings)
        self.check("berlin wan0: its address", LEASES[1], self.address_of, 4, LEASES[1])
        self.isp_renumbers()
        self.check("berlin wan0: the ISP gives another prefix", PREFIXES[1], self.address_of, 6,
                   PREFIXES[1])
        self.pings(self.boxes["berlin"], WWW_NAME, WWW6)
        say_into(session, "after")
        self.check("h-munich -> berlin: ssh session from before", "goes on", lambda: (
            session.wait_output("after", 20) or "goes on", None))
        sent, back, error = talk.finish()
        self.check("h-berlin -> h-munich: TCP connection from before", "every message is back",
                   error or f"{back} of {sent} messages", ok=not error and back == sent > 0)

    def new_lease(self):
        self.offer(LEASES[1])
        self.isp_server.popen.send_signal(signal.SIGHUP)
        wait_for(lambda: self.isp_server.output().count(f"read {self.lease_file}") == 2,
                 "the ISP to read its hosts")
        self.line.renew()
        self.line.wait_bound(LEASES[1])
        return LEASES[1], None

    def first_answer(self, pings):
        _, bound_at = self.line.bound()

        def after():
            times = [float(line[1:line.index("]")]) for line in pings.output().splitlines()
                     if " bytes from " in line]
            return [at - bound_at for at in times if at > bound_at]
        wait_for(after, "an answer")
        pings.stop(how=signal.SIGINT)
        return f"after {after()[0]:.2f} s", after()[0] <= OUTAGE_SECONDS

    def boxes_are_well(self):
        for name, box in self.boxes.items():
            forwards = [line.split(" = ")[0] for line in
                        box.run("sysctl", "-ar", r"^net\.ipv[46]\.conf\..*\.forwarding$").stdout
                        .splitlines() if not line.endswith(" = 0")]
            self.check(f"{name}: interfaces between which its kernel forwards", "none",
                       forwards or "none")
            self.check(f"{name}: what `meshgate status` complains of", "nothing",
                       box.status()["problems"] or "nothing")

    def isp_renumbers(self):
        isp = self.hosts["isp"]
        isp.address("access", PREFIXES[1].replace("::/", "::1/"))
        isp.run("ip", "address", "delete", PREFIXES[0].replace("::/", "::1/"), "dev", "access")


def say_into(session, text):
    session.popen.stdin.write(f"{text}\n".encode())
    session.popen.stdin.flush()
    if text == "before":
        session.wait_output(text)


def is_wireguard(frame):
    """Of IPv4 frames: UDP between the boxes' ports with a message of WireGuard's."""
    payload = frame[14 + (frame[14] & 15) * 4:]
    return frame[23] == socket.IPPROTO_UDP and payload[8:12] in (b"\1\0\0\0", b"\2\0\0\0",
                                                                b"\3\0\0\0", b"\4\0\0\0")
