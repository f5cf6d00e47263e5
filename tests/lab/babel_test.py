# SPDX-License-Identifier: Apache-2.0
r"""The Babel core beside Debian's routers: routes both ways, IPv4 and IPv6.

    [ours] eth0 ------------ eth0 [theirs]
    babel_node                babeld, bird, FRR
    10.5.0.0/16               10.6.0.1/32
    fd05::/48                 fd06::1/128
"""

import re

from lab import BUILD, wait_for
from wireguard_go import WireGuardGo

OURS = ("10.5.0.0/16", "fd05::/48")
THEIRS = ("10.6.0.1/32", "fd06::1/128")
KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


class Wire:
    """Two hosts on a cable; ours runs the core, theirs has a loopback address to announce."""

    def __init__(self, lab, *arguments, ipv4=True):
        self.lab = lab
        self.ours, self.theirs = lab.host("ours"), lab.host("theirs")
        self.interfaces = ["eth0", "eth0"]  # where Babel speaks, ours and theirs
        lab.cable(self.ours, "eth0", self.theirs, "eth0")
        if ipv4:
            self.ours.address("eth0", "192.0.2.1/24")
            self.theirs.address("eth0", "192.0.2.2/24")
        self.connect()
        self.ours.address("lo", "10.5.0.1/32", "fd05::1/128")
        self.theirs.address("lo", *THEIRS)
        self.theirs.forward()
        self.arguments = ["hello_ms=500", "update_ms=2000", *[f"announce={p}" for p in OURS],
                          *(["ipv4=192.0.2.1"] if ipv4 else []), *arguments]
        self.start()

    def connect(self):
        for host in (self.ours, self.theirs):
            wait_for(lambda host=host: "fe80" in host.run("ip", "-6", "addr", "show", "dev",
                                                          "eth0").stdout, "a link-local address")

    def start(self):
        self.node = self.ours.spawn(BUILD / "tests/lab/babel_node", self.interfaces[0],
                                    *self.arguments)

    def file(self, name, text):
        path = self.lab.dir / name
        path.write_text(text)
        return path

    def our_route(self, prefix):
        """What the core last said of a prefix: (state, next hop), or None."""
        found = re.findall(rf"^route {re.escape(prefix)} (\S+) via (\S+)", self.node.output(), re.M)
        return found[-1] if found else None

    def wait_ours(self, prefixes=THEIRS, state="reachable", seconds=30):
        for prefix in prefixes:
            wait_for(lambda prefix=prefix: (self.our_route(prefix) or ("gone",))[0] == state,
                     lambda prefix=prefix: f"{prefix} {state}: {self.node.output()[-2000:]}",
                     seconds)

    def their_routes(self):
        return "".join(self.theirs.run("ip", family, "route").stdout for family in ("-4", "-6"))

    def wait_theirs(self, prefixes=OURS, present=True, seconds=30):
        def seen(prefix):
            lines = [line for line in self.their_routes().splitlines()
                     if line.startswith(f"{prefix} ") and "unreachable" not in line]
            return bool(lines) == present
        for prefix in prefixes:
            wait_for(lambda prefix=prefix: seen(prefix),
                     lambda prefix=prefix: f"{prefix} {present}: {self.their_routes()}", seconds)

    def ping_both(self):
        """From and to what was announced, over the next hops that each has learnt."""
        for prefix, source in zip(THEIRS, ("10.5.0.1", "fd05::1")):
            address, next_hop = prefix.split("/")[0], self.our_route(prefix)[1]
            family = "inet6" if ":" in next_hop else "inet"
            self.ours.route(address, "via", family, next_hop, "dev", self.interfaces[0],
                            *(["onlink"] if family == "inet" else []))
            self.ours.run("ping", "-n", "-c", "2", "-i", "0.1", "-W", "2", "-I", source, address)


def babeld(wire, *interface_words, first=()):
    words = ["babeld", "-I", wire.lab.dir / "babeld.pid", "-S", wire.lab.dir / "babeld.state"]
    for statement in (*first, f"interface {wire.interfaces[1]} type wired hello-interval 1 "
                      "update-interval 4 " + " ".join(interface_words),
                      "redistribute local if lo allow", "redistribute local deny"):
        words += ["-C", statement]
    return wire.theirs.spawn(*words)


def test_babeld_exchanges_routes_and_measures(lab):
    wire = Wire(lab)
    process = babeld(wire, "enable-timestamps true")
    wire.wait_ours()
    wire.wait_theirs()
    wire.ping_both()
    rtt = wait_for(lambda: re.findall(r"up .* rtt_us ([1-9]\d*) ", wire.node.output()),
                   "a round-trip time")
    assert int(rtt[-1]) < 100_000, rtt
    # It goes without a word: its Hellos are missed.
    process.stop(how=9)
    wire.wait_ours(state="gone")
    (lab.dir / "babeld.pid").unlink()
    babeld(wire)
    wire.wait_ours()
    # We go with one: it drops our routes at once, long before they expire.
    assert wire.node.stop() == 0
    wire.wait_theirs(present=False, seconds=3)
    wire.start()
    wire.wait_theirs()


def test_babeld_survives_loss_of_the_link(lab):
    wire = Wire(lab)
    babeld(wire)
    wire.wait_ours()
    wire.theirs.run("ip", "link", "set", "dev", "eth0", "down")
    wire.wait_ours(state="gone", seconds=10)
    wire.theirs.run("ip", "link", "set", "dev", "eth0", "up")
    wire.wait_ours()
    wire.wait_theirs()


def test_babeld_ipv4_via_ipv6(lab):
    """Nobody on the cable has an IPv4 address (RFC 9229)."""
    wire = Wire(lab, ipv4=False)
    babeld(wire, "v4-via-v6 true")
    wire.wait_ours()
    assert wire.our_route(THEIRS[0])[1].startswith("fe80::"), wire.our_route(THEIRS[0])
    wire.wait_theirs()
    assert re.search(r"10\.5\.0\.0/16 via inet6 fe80::", wire.their_routes()), wire.their_routes()


def test_babeld_refused_prefix_raises_an_alarm(lab):
    wire = Wire(lab, f"refuse={THEIRS[1]}")
    babeld(wire)
    wire.wait_ours(THEIRS[:1])
    wire.node.wait_output(f"event prefix_refused {THEIRS[1]}")
    assert wire.our_route(THEIRS[1]) is None


def test_babeld_with_mac_authentication(lab):
    wire = Wire(lab, f"key=hmac-sha256:{KEY}")
    key = f"key id one type hmac-sha256 value {KEY}"
    process = babeld(wire, "key one", first=(key,))
    wire.wait_ours()
    wire.wait_theirs()
    # Restarted, it has another counter and has to prove itself again.
    process.stop()
    wire.wait_ours(state="gone")
    process = babeld(wire, "key one", first=(key,))
    wire.wait_ours()
    process.stop()
    wire.wait_ours(state="gone")
    babeld(wire)  # without the key
    wire.node.wait_output("event sender_refused")
    assert wire.our_route(THEIRS[0])[0] == "gone"


def bird(wire, interface_options=""):
    config = wire.file("bird.conf", f"""
        log stderr all;
        router id 10.6.0.1;
        protocol device {{ scan time 1; }}
        protocol direct {{ ipv4; ipv6; interface "lo"; }}
        protocol kernel {{ ipv4 {{ export where source = RTS_BABEL; }}; }}
        protocol kernel {{ ipv6 {{ export where source = RTS_BABEL; }}; }}
        protocol babel {{
            interface "eth0" {{ type wired; hello interval 1 s; update interval 4 s;
                                {interface_options} }};
            ipv4 {{ import all; export where source = RTS_DEVICE; }};
            ipv6 {{ import all; export where source = RTS_DEVICE; }};
        }}
        """)
    return wire.theirs.spawn("bird", "-f", "-c", config, "-s", wire.lab.dir / "bird.ctl")


def test_bird_exchanges_routes(lab):
    wire = Wire(lab)
    process = bird(wire)
    wire.wait_ours()
    wire.wait_theirs()
    wire.ping_both()
    assert process.stop() == 0  # it says goodbye
    wire.wait_ours(state="gone", seconds=5)
    bird(wire)
    wire.wait_ours()
    assert wire.node.stop() == 0
    wire.wait_theirs(present=False, seconds=3)
    wire.start()
    wire.wait_theirs()


def bird_with_mac(lab, ours, theirs):
    wire = Wire(lab, f"key={ours}:{KEY}")
    bird(wire, f"authentication mac; password {KEY} {{ algorithm {theirs}; }};")
    wire.wait_ours()
    wire.wait_theirs()


def test_bird_with_hmac_sha256(lab):
    bird_with_mac(lab, "hmac-sha256", "hmac sha256")


def test_bird_with_blake2s(lab):
    bird_with_mac(lab, "blake2s", "blake2s128")


class Tunnel(Wire):
    """Babel and its routes inside a stock WireGuard tunnel over the cable."""

    def connect(self):
        super().connect()
        ends = [WireGuardGo(host, [f"fe80::{number}/64"])
                for number, host in ((1, self.ours), (2, self.theirs))]
        for end, other, address in ((ends[0], ends[1], "192.0.2.2"), (ends[1], ends[0],
                                                                      "192.0.2.1")):
            end.set("peer", other.public_key, "allowed-ips", "0.0.0.0/0,::/0", "endpoint",
                    f"{address}:51820", "persistent-keepalive", "1")
        self.interfaces = [end.interface for end in ends]


def test_babeld_over_a_wireguard_tunnel(lab):
    wire = Tunnel(lab)
    with wire.ours.capture("eth0") as seen:
        babeld(wire)
        wire.wait_ours()
        wire.wait_theirs()
    assert seen.frames and not any(b"\x1a\x28\x1a\x28" in frame for _, frame in seen.frames)
    wire.ping_both()
    wire.theirs.run("ip", "link", "set", "dev", "eth0", "down")
    wire.wait_ours(state="gone", seconds=10)
    wire.theirs.run("ip", "link", "set", "dev", "eth0", "up")
    wire.wait_ours()


def frr(wire):
    folder = wire.lab.dir / "frr"
    folder.mkdir()
    folder.chmod(0o777)
    zebra = wire.file("zebra.conf", "ip forwarding\n")
    config = wire.file("frr-babeld.conf", """
router babel
 redistribute ipv4 connected
 redistribute ipv6 connected
""")
    common = ["-z", folder / "zserv.api", "--vty_socket", folder, "--log", "stdout", "-P", "0"]
    processes = [wire.theirs.spawn("/usr/lib/frr/zebra", "-f", zebra, "-i", folder / "zebra.pid",
                                   *common)]
    wait_for((folder / "zserv.api").exists, "zebra")
    processes.append(wire.theirs.spawn("/usr/lib/frr/babeld", "-f", config, "-i",
                                       folder / "babeld.pid", *common))
    # Named in the file, 8.4 joins the group of the interface twice and then takes it down
    # (FRR issue 13569).
    wait_for((folder / "babeld.vty").exists, "babeld")
    words = ["vtysh", "--vty_socket", folder, "-d", "babeld", "-c", "configure terminal"]
    for line in ("interface eth0", "babel wired", "babel hello-interval 1000",
                 "babel update-interval 4000", "exit", "router babel", "network eth0"):
        words += ["-c", line]
    wire.theirs.run(*words)
    return processes


def test_frr_exchanges_routes(lab):
    wire = Wire(lab)
    processes = frr(wire)
    wire.wait_ours()
    wire.wait_theirs()
    wire.ping_both()
    for process in processes:  # not asked to end: it would write a state file into /var
        process.stop(how=9)
    wire.wait_ours(state="gone")
