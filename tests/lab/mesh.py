# SPDX-License-Identifier: Apache-2.0
r"""Many boxes on an internet of their own, with a signed network file.

    h-a ---- lan0 [a] wan0 ------------------ 198.18.1.2 --.
    10.1.0.10                                               \
    h-b ---- lan0 [b] wan0 ---- [nat-b-0] --- 198.18.2.2 -- [internet] --- 198.18.3.2 ---- [c] ...
    10.2.0.10   192.168.2.2                                   |
                                                              '--- 198.18.4.2, c's second uplink

    mesh = Mesh(lab)
    a = mesh.box("a", relay=True)
    b = mesh.box("b", nats=["restricted"])
    c = mesh.box("c", nats=["none", "none"])
    mesh.start()
    mesh.internet.cut(a, c)

Each uplink has a network of its own behind one router, which loses what it is told to: nobody's
interface goes down, nothing is said to the sender.
"""

import itertools
import time
from dataclasses import dataclass

import traffic
from box import Box, to_yaml
from lab import LabError, run, wait_for

PORT = 51820
# What NATs do (RFC 4787): `open` maps and filters independently of the endpoint; `restricted` maps
# independently and lets in only whom the inside has sent to; `symmetric` takes another port for
# each destination and lets in only that one. `none` is a public address.
NATS = ("none", "open", "restricted", "symmetric")


@dataclass(frozen=True)
class Uplink:
    owner: str      # the box's (or other host's) name
    interface: str  # of the owner
    number: int     # of the network on the internet
    nat: str = "none"

    @property
    def network(self):
        return f"198.18.{self.number}.0/24"

    @property
    def outside(self):
        """The address that the internet sees."""
        return f"198.18.{self.number}.2"

    @property
    def network6(self):
        return f"2001:db8:{self.number}::/64"

    @property
    def outside6(self):
        return f"2001:db8:{self.number}::2"

    @property
    def inside(self):
        """The owner's own address."""
        return self.outside if self.nat == "none" else f"192.168.{self.number}.2"

    @property
    def gateway(self):
        return self.inside.rsplit(".", 1)[0] + ".1"

    @property
    def router_port(self):
        return f"net{self.number}"

    @property
    def endpoint(self):
        return f"{self.outside}:{PORT}"


class Internet:
    """One router between all uplinks."""

    def __init__(self, lab):
        self.lab = lab
        self.router = lab.host("internet")
        self.router.forward()
        self.uplinks, self.nats, self.rules = [], {}, {}

    def attach(self, node, interface, nat="none"):
        """Gives a host or box an uplink; addresses on it are the caller's to set."""
        uplink = Uplink(node.name, interface, len(self.uplinks) + 1, nat)
        self.uplinks.append(uplink)
        outer, outer_interface = node, interface
        if nat != "none":
            outer, outer_interface = self._nat(node, uplink), "out"
        self.lab.cable(self.router, uplink.router_port, outer, outer_interface)
        self.router.address(uplink.router_port, f"198.18.{uplink.number}.1/24",
                            f"2001:db8:{uplink.number}::1/64")
        if nat != "none":
            self._set_outside_up(outer, uplink)
        return uplink

    def _nat(self, node, uplink):
        gateway = self.lab.host(f"nat-{node.name}-{uplink.number}")
        gateway.forward()
        self.lab.cable(gateway, "in", node, uplink.interface)
        gateway.address("in", f"{uplink.gateway}/24")
        self.nats[uplink] = gateway
        self._set_nat_up(uplink)
        return gateway

    def rebind(self, uplink, port):
        """As if the NAT had been restarted: all mappings are gone, and it begins with that port
        (`symmetric`: with any)."""
        self._set_nat_up(uplink, f" to :{port}")
        gateway = self.nats[uplink]
        gateway.run("ip", "addr", "flush", "dev", "out")  # with what was masqueraded to it
        self._set_outside_up(gateway, uplink)

    @staticmethod
    def _set_outside_up(gateway, uplink):
        gateway.address("out", f"{uplink.outside}/24")
        gateway.route("default", "via", f"198.18.{uplink.number}.1")

    def _set_nat_up(self, uplink, to_port=""):
        gateway, nat = self.nats[uplink], uplink.nat
        masquerade = "masquerade fully-random" if nat == "symmetric" else \
            f"meta l4proto udp masquerade{to_port}"
        let_in = f"iifname out meta l4proto udp dnat to {uplink.inside}" if nat == "open" else ""
        # What comes unasked must not reach the gateway itself: its entry in the table of
        # connections would take the port from a mapping.
        gateway.run("nft", "-f", "-", input=f"""
            flush ruleset
            table ip lab {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat;
                    {let_in}
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    oifname out {masquerade}
                }}
                chain forward {{
                    type filter hook forward priority filter; policy drop;
                    iifname in accept
                    ct state established,related accept
                    ct status dnat accept
                }}
                chain input {{
                    type filter hook input priority filter; policy accept;
                    iifname out meta l4proto udp drop
                }}
            }}""")

    # ---- faults ----

    @staticmethod
    def _uplinks(of):
        return [of] if isinstance(of, Uplink) else of.uplinks

    def _both_ways(self, one, other):
        for a in self._uplinks(one):
            for b in self._uplinks(other):
                yield a, b
                yield b, a

    def cut(self, one, other, match=""):
        """Silently, both ways, between uplinks or all uplinks of boxes; all, or what matches."""
        for a, b in self._both_ways(one, other):
            self.rules[a, b] = f"{match} drop"
        self._apply()

    def lose(self, one, other, fraction):
        """That part of the packets, at random, both ways."""
        for a, b in self._both_ways(one, other):
            self.rules[a, b] = f"numgen random mod 1000 < {round(fraction * 1000)} drop"
        self._apply()

    def filter(self, source, target, match):
        """Drops what matches of the packets from source to target: an expression of nftables."""
        for a in self._uplinks(source):
            for b in self._uplinks(target):
                self.rules[a, b] = f"{match} drop"
        self._apply()

    def heal(self, one=None, other=None):
        """Between these, or everywhere."""
        if one is None:
            self.rules.clear()
        else:
            for pair in self._both_ways(one, other):
                self.rules.pop(pair, None)
        self._apply()

    def part(self, one, other):
        """Cuts every link between two groups of boxes."""
        for a, b in itertools.product(one, other):
            self.cut(a, b)

    def _apply(self):
        rules = "\n".join(f"iifname {a.router_port} oifname {b.router_port} {what}"
                          for (a, b), what in self.rules.items())
        self.router.run("nft", "-f", "-", input=f"""
            flush ruleset
            table inet lab {{
                chain forward {{
                    type filter hook forward priority filter; policy accept;
                    {rules}
                }}
            }}""")


class Authority:
    """The Ed25519 key that signs network files. OpenSSL's, so that what the boxes verify was not
    signed by the code that verifies."""

    def __init__(self, folder):
        self.key_file = folder / "authority.pem"
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key_file)

    def public_key(self):
        return run("sh", "-c", f"openssl pkey -in {self.key_file} -pubout -outform DER | "
                   "tail -c 32 | base64 -w 0").stdout

    def sign(self, path):
        """Writes PATH.sig."""
        run("sh", "-c", f"openssl pkeyutl -sign -rawin -inkey {self.key_file} -in {path} | "
            f"base64 -w 0 > {path}.sig && echo >> {path}.sig")


class Member(Box):
    """A box of the mesh, with a host behind it. `number` names its site: 10.NUMBER.0.0/16."""

    def __init__(self, mesh, name, number, relay=False):
        super().__init__(mesh.lab, name)
        self.mesh, self.number, self.relay = mesh, number, relay
        self.uplinks = []
        self.host_address, self.host_address6 = f"10.{number}.0.10", f"fd10:{number}::10"
        self.lan_address = f"10.{number}.0.1"
        self.prefixes = [f"10.{number}.0.0/16", f"fd10:{number}::/48"]
        self.endpoints, self.published, self.tags = [], [], []
        self.host = mesh.lab.host(f"h-{name}")
        mesh.lab.cable(self.host, "eth0", self, "lan0")
        self.host.address("eth0", f"{self.host_address}/24", f"{self.host_address6}/64")
        self.host.route("default", "via", self.lan_address)
        self.host.route("default", "via", f"fd10:{number}::1")
        self.port("lan0", "lan", [f"{self.lan_address}/24", f"fd10:{number}::1/64"])

    def add_uplink(self, nat="none", ipv6=False, **port):
        uplink = self.mesh.internet.attach(self, f"wan{len(self.uplinks)}", nat)
        self.uplinks.append(uplink)
        addresses, gateways = [f"{uplink.inside}/24"], [uplink.gateway]
        if ipv6:
            addresses.append(f"{uplink.outside6}/64")
            gateways.append(f"2001:db8:{uplink.number}::1")
            self.endpoints.append(f"[{uplink.outside6}]:{PORT}")
        self.port(uplink.interface, "wan", addresses, gateway=gateways, **port)
        if nat == "none":
            self.endpoints.append(uplink.endpoint)
        return uplink

    def entry(self):
        """As it stands in the network file."""
        more = {"endpoints": self.endpoints, "relay": self.relay, "published": self.published,
                "tags": self.tags}
        return {"name": self.name, "public_key": self.public_key, "prefixes": self.prefixes,
                **{key: value for key, value in more.items() if value}}

    def path_to(self, name):
        return next((path for path in self.show("show", "paths")["paths"]
                     if path["peer"] == name), None)

    def links_to(self, name):
        return [link for link in self.show("show", "links")["links"] if link["peer"] == name]

    def member(self, name):
        return next((member for member in self.show("show", "members")["members"]
                     if member["name"] == name), None)

    def log_text(self):
        return self.process.output()


class Mesh:
    def __init__(self, lab, name="acme"):
        self.lab, self.name = lab, name
        self.internet = Internet(lab)
        self.dir = lab.dir / "network"
        self.dir.mkdir()
        self.authority = Authority(self.dir)
        self.authority_key = self.authority.public_key()
        self.boxes, self.clients, self.version = {}, [], 0
        self.file = self.dir / "network.yaml"

    def box(self, name, relay=False, nats=("none",), **port):
        member = Member(self, name, len(self.boxes) + 1, relay)
        for nat in nats:
            member.add_uplink(nat, **port)
        member.config["network"] = {"file": "network.yaml", "authority": self.authority_key}
        self.boxes[name] = member
        return member

    # ---- the network file ----

    def write(self, members=None, path=None, version=None, more=()):
        """Writes and signs the next version; returns its path. `more`: entries of further members."""
        if version is None:
            self.version += 1
            version = self.version
        path = path or self.file
        members = self.boxes.values() if members is None else members
        content = {"version": version, "name": self.name,
                   "members": [*(member.entry() for member in members), *more],
                   **({"clients": self.clients} if self.clients else {})}
        path.write_text(to_yaml(content))
        self.authority.sign(path)
        return path

    def hand_over(self, box):
        """Lays the file and its signature into the box's folder, as at installation."""
        for suffix in ("", ".sig"):
            (box.dir / f"network.yaml{suffix}").write_text(
                (self.dir / f"network.yaml{suffix}").read_text())

    def push(self, box, path=None, check=True):
        return box.meshgate("network", "push", str(path or self.file), check=check)

    # ---- the boxes ----

    def start(self, *arguments, timings=()):
        self.write()
        for box in self.boxes.values():
            self.hand_over(box)
        for box in self.boxes.values():
            box.start(*arguments, *timings)

    def version_seen_by(self, box):
        return (box.member(box.name) or {}).get("network_version", 0)

    def wait_version(self, version, boxes=None, seconds=10):
        """Until all have it; the seconds it took."""
        started = time.monotonic()
        boxes = list(self.boxes.values() if boxes is None else boxes)

        def versions():
            return {box.name: self.version_seen_by(box) for box in boxes}
        wait_for(lambda: all(seen >= version for seen in versions().values()),
                 lambda: f"version {version} everywhere: {versions()}", seconds)
        return time.monotonic() - started

    # ---- traffic ----

    def pairs(self, boxes=None):
        """(source host, target host, address) of each ordered pair of sites."""
        boxes = list(self.boxes.values() if boxes is None else boxes)
        return [(a.host, b.host, b.host_address) for a, b in itertools.permutations(boxes, 2)]

    def reach(self, boxes=None, seconds=20):
        """Until every host has reached every other; the seconds it took."""
        started = time.monotonic()
        for source, _, address in self.pairs(boxes):
            source.wait_ping(address, seconds=max(1, seconds - (time.monotonic() - started)))
        return time.monotonic() - started

    def streams(self, boxes=None, **options):
        return traffic.UdpStreams(self.pairs(boxes), **options)

    def wait_path(self, box, peer, kind, seconds=45, **wanted):
        """Until box's path to peer is `direct` or `relay` (with relay= or port= as wanted)."""
        def right():
            path = box.path_to(peer.name)
            return path and path["kind"] == kind and \
                all(path.get(key) == value for key, value in wanted.items()) and path
        return wait_for(right, lambda: f"{box.name}'s path to {peer.name} being {kind} {wanted}: "
                        f"{box.path_to(peer.name)}\n{self.tables(box)}", seconds, interval=0.1)

    def way(self, one, other, size=1000):
        """What the router sees of pings from one's host to the other's: {("c", "a"), ("a", "d"),
        ...}, whatever the boxes say of it."""
        owner = {uplink.number: uplink.owner for uplink in self.internet.uplinks}
        with Underlay(self) as seen:
            one.host.ping(other.host_address, count=3, size=size, interval=0.05)
        return {(owner[frame[28]], owner[frame[32]]) for frame in seen.ipv4_frames()
                if len(frame) > size}

    @staticmethod
    def tables(box):
        """What an operator would look at."""
        return "".join(f"$ meshgate show {what}        (on {box.name})\n"
                       + box.meshgate("show", what, check=False).stdout
                       for what in ("members", "links", "paths", "relays"))


# ---- what passes on the underlay ----

CANARY = b"\xa5" * 24  # what traffic fills its packets with


class Underlay:
    """Captures on every network of the internet.

    with Underlay(mesh) as seen: ...; seen.check()
    """

    def __init__(self, mesh):
        self.internet = mesh.internet
        self.captures = {}

    def __enter__(self):
        for uplink in self.internet.uplinks:
            capture = self.internet.router.capture(uplink.router_port)
            self.captures[uplink] = capture.__enter__()
        return self

    def __exit__(self, *reason):
        for capture in self.captures.values():
            capture.__exit__(*reason)

    def ipv4_frames(self):
        for capture in self.captures.values():
            for _, frame in capture.frames:
                if frame[12:14] == b"\x08\x00" and frame[23] == 17:
                    yield frame

    def datagrams(self, source=None, target=None):
        """UDP payloads of the IPv4 datagrams between these uplinks' networks."""
        for frame in self.ipv4_frames():
            from_net, to_net = frame[28], frame[32]  # third octets
            if (source is None or from_net == source.number) \
                    and (target is None or to_net == target.number):
                yield frame[14 + (frame[14] & 15) * 4 + 8:]

    def check(self):
        """Nothing but WireGuard, and nothing readable in it."""
        nb_data = 0
        for uplink, capture in self.captures.items():
            for _, frame in capture.frames:
                if CANARY in frame:
                    raise LabError(f"plaintext on {uplink}: {frame.hex()}")
        for payload in self.datagrams():
            if payload[:4] not in (b"\1\0\0\0", b"\2\0\0\0", b"\3\0\0\0", b"\4\0\0\0"):
                raise LabError(f"no WireGuard message: {payload.hex()}")
            nb_data += payload[:1] == b"\4" and len(payload) > 32
        return nb_data
