# SPDX-License-Identifier: Apache-2.0
r"""meshgated as a Babel router beside Debian's, on a lan port and inside a stock peer's tunnel.

    host ---- lan0 [box] lan1 ---- eth0 [theirs] lo
    10.1.0.10           10.1.2.1   10.1.2.2      10.6.0.1/32
    fd10:1::10          fd10:2::1                fd06::1/128
                  wan0 ---- eth0 [theirs], in place of lan1
                  192.0.2.1      192.0.2.2, wireguard-go: the peer "client"
"""

import re
from types import SimpleNamespace

from babel_test import KEY, THEIRS, Wire, babeld, bird, frr
from box import Box
from lab import wait_for
from mesh import Mesh
from topology import HOST
from wireguard_go import WireGuardGo, new_key, public_key

OURS = ("10.1.0.0/24", "fd10:1::/64")


class Site(Wire):
    """A box with a host at lan0; `theirs` is at lan1, or behind the tunnel of the peer client."""

    def __init__(self, lab, ipv4=True, tunnel=False, start=True, **entry):
        self.lab = lab
        self.box, self.host, self.theirs = Box(lab, "box"), lab.host("host"), lab.host("theirs")
        self.interfaces = [None, "eth0"]
        lab.cable(self.host, "eth0", self.box, "lan0")
        lab.cable(self.theirs, "eth0", self.box, "wan0" if tunnel else "lan1")
        self.box.port("wan0", "wan", ["192.0.2.1/24"], device="af_packet" if tunnel else "tap")
        self.box.port("lan0", "lan", ["10.1.0.1/24", "fd10:1::1/64"])
        if tunnel:
            self.dig()
        else:
            self.box.port("lan1", "lan", ["10.1.2.1/24"] if ipv4 else ["fd10:2::1/64"])
            if ipv4:
                self.theirs.address("eth0", "10.1.2.2/24")
        self.entry = {"peer" if tunnel else "port": "client" if tunnel else "lan1",
                      "accept": ["10.6.0.0/16", "fd06::/16"], "hello": "500ms", **entry}
        self.box.config["babel"] = [self.entry]
        self.theirs.address("lo", *THEIRS)
        self.theirs.forward()
        if start:
            self.start()

    def start(self):
        self.box.start()
        self.host.address("eth0", f"{HOST[0]}/24", f"{HOST[1]}/64")
        self.host.route("default", "via", "10.1.0.1")
        self.host.route("default", "via", "fd10:1::1")

    def dig(self):
        self.theirs.address("eth0", "192.0.2.2/24")
        self.tunnel = WireGuardGo(self.theirs, ["fe80::2/64", "10.9.0.2/32"])
        self.interfaces[1] = self.tunnel.interface
        self.tunnel.set("peer", self.box.public_key, "allowed-ips", "0.0.0.0/0,::/0",
                        "endpoint", "192.0.2.1:51820", "persistent-keepalive", "1")
        self.box.peer("client", self.tunnel.public_key, ["10.9.0.2/32"])

    def our_route(self, prefix):
        """(state, next hop or peer) of a prefix in the box's table, or None."""
        for route in self.box.show("show", "routes")["routes"]:
            if route["prefix"] == prefix and route["origin"] == "babel":
                reachable = route["kind"] in ("gateway", "peer")
                return ("reachable" if reachable else "unreachable",
                        route["next_hop"] or route["peer"])
        return None

    def wait_ours(self, prefixes=THEIRS, state="reachable", seconds=30):
        for prefix in prefixes:
            wait_for(lambda prefix=prefix: (self.our_route(prefix) or ("gone",))[0] == state,
                     lambda prefix=prefix: f"{prefix} {state}: "
                     f"{self.box.meshgate('show', 'routes').stdout}", seconds)

    def wait_theirs(self, prefixes=OURS, present=True, seconds=30):
        super().wait_theirs(prefixes, present, seconds)

    def neighbors(self):
        return self.box.show("show", "babel")["places"][0]["neighbors"]

    def wait_both(self):
        self.wait_ours()
        self.wait_theirs()
        for prefix in THEIRS:
            self.host.wait_ping(prefix.split("/")[0])

    def forget(self):
        """What a router that was killed left in the kernel."""
        for family in ("-4", "-6"):
            self.theirs.run("ip", family, "route", "flush", "proto", "babel")

    def leave(self):
        """Our Hellos would be missed after some 8 s: what goes sooner was taken back."""
        def sent():
            return self.box.show("show", "babel")["counters"]["packets_sent"]
        self.entry["hello"] = "4s"
        before = sent()
        self.box.reload()
        wait_for(lambda: sent() > before, "the new interval")
        assert self.box.stop() == 0
        self.wait_theirs(present=False, seconds=3)

    def cut(self, *, down):
        self.theirs.run("ip", "link", "set", "dev", "eth0", "down" if down else "up")


def test_babeld_on_a_lan_port(lab):
    site = Site(lab)
    process = babeld(site, "enable-timestamps true")
    site.wait_both()
    neighbor = wait_for(lambda: [n for n in site.neighbors() if n["rtt_p50_ms"]],
                        lambda: f"a round-trip time: {site.neighbors()}")[0]
    assert neighbor["state"] == "up" and neighbor["rtt_p50_ms"] < 100, neighbor
    assert neighbor["cost"] == 96 and neighbor["routes"] >= len(THEIRS), neighbor
    # It goes without a word, and comes back.
    process.stop(how=9)
    site.wait_ours(state="gone", seconds=20)
    (lab.dir / "babeld.pid").unlink()
    site.forget()
    babeld(site)
    site.wait_both()
    site.leave()
    site.box.start()
    site.wait_both()


def test_bird_on_a_lan_port(lab):
    site = Site(lab)
    process = bird(site)
    site.wait_both()
    assert process.stop() == 0  # it says goodbye
    site.wait_ours(state="gone", seconds=5)
    bird(site)
    site.wait_both()
    site.leave()


def test_frr_on_a_lan_port(lab):
    site = Site(lab)
    processes = frr(site)
    site.wait_both()
    for process in processes:  # not asked to end: it would write a state file into /var
        process.stop(how=9)
    site.wait_ours(state="gone")


def test_ipv4_over_ipv6_next_hops(lab):
    """Nobody on the cable has an IPv4 address (RFC 9229)."""
    site = Site(lab, ipv4=False)
    babeld(site, "v4-via-v6 true")
    site.wait_both()
    assert site.our_route(THEIRS[0])[1].startswith("fe80::"), site.our_route(THEIRS[0])
    assert re.search(r"10\.1\.0\.0/24 via inet6 fe80::", site.their_routes()), site.their_routes()


def test_loss_of_the_link_and_reload(lab):
    site = Site(lab)
    babeld(site)
    site.wait_both()
    # A silent cut elsewhere on the segment would take three Hellos; the port's own link is seen.
    site.cut(down=True)
    site.wait_ours(state="gone", seconds=2)
    site.cut(down=False)
    site.wait_both()
    downs = site.box.process.output().count("babel-neighbor-down")
    site.entry.update(accept=["10.6.0.0/16"], announce=["10.0.0.0/8"], hello="400ms")
    changes = site.box.reload().stdout
    assert "babel[port lan1].accept" in changes, changes
    site.wait_ours(THEIRS[1:], "gone", seconds=2)
    site.wait_theirs(OURS[1:], present=False, seconds=2)
    assert site.our_route(THEIRS[0])[0] == "reachable"
    assert site.box.process.output().count("babel-neighbor-down") == downs, "disturbed"
    site.box.config["babel"] = []
    site.box.reload()
    site.wait_ours(state="gone", seconds=2)


def test_refused_prefix_raises_an_alarm(lab):
    site = Site(lab, accept=["0.0.0.0/0", "::/0"])
    site.box.peer("alice", public_key(new_key()), [THEIRS[0]])
    site.box.reload()
    babeld(site)
    site.wait_ours(THEIRS[1:])
    site.box.process.wait_output(f"may not announce {THEIRS[0]}: it is peer alice's", seconds=1)
    assert site.our_route(THEIRS[0]) is None
    assert site.box.show("show", "babel")["refused"]["peer"] == 1
    # Nor does it stay when it becomes somebody's.
    site.box.peer("bob", public_key(new_key()), [THEIRS[1]])
    site.box.reload()
    site.box.process.wait_output(f"may not announce {THEIRS[1]}: it is peer bob's")
    assert site.our_route(THEIRS[1]) is None


def test_mac_authentication(lab):
    site = Site(lab, start=False)
    site.entry["key_file"] = site.box.secret("lan.mac", KEY)
    site.start()
    babeld(site, "key one", first=(f"key id one type hmac-sha256 value {KEY}",))
    site.wait_both()
    # Another key is a segment of strangers: nothing of theirs stays.
    site.box.secret("lan.mac", KEY[::-1])
    assert "other contents" in site.box.reload().stdout
    site.wait_ours(state="gone", seconds=3)
    site.box.process.wait_output("babel-sender-refused")
    site.box.secret("lan.mac", KEY)
    site.box.reload()
    site.wait_both()


def test_babeld_inside_a_tunnel(lab):
    site = Site(lab, tunnel=True)
    with site.theirs.capture("eth0") as seen:
        babeld(site)
        site.wait_both()  # what it announces it may also send from
    assert seen.frames and not any(b"\x1a\x28\x1a\x28" in frame for _, frame in seen.frames)
    assert site.our_route(THEIRS[0])[1] == "client"
    site.cut(down=True)
    site.wait_ours(state="gone", seconds=10)
    site.cut(down=False)
    site.wait_both()


def test_what_the_network_file_gives_to_others(lab):
    r"""Also of a network, the box learns what is behind it, and nothing that is somebody else's.

        [theirs] ---- lan1 [one] ---- internet ---- [two] ---- host
        10.1.77.1                                              10.2.0.10
        10.2.9.9, which is two's
    """
    mesh = Mesh(lab)
    one, two = mesh.box("one", relay=True), mesh.box("two")
    theirs = lab.host("theirs")
    lab.cable(theirs, "eth0", one, "lan1")
    theirs.address("eth0", "10.1.2.2/24")
    theirs.address("lo", "10.1.77.1/32", "10.2.9.9/32")
    one.port("lan1", "lan", ["10.1.2.1/24"])
    one.config["babel"] = [{"port": "lan1", "accept": ["0.0.0.0/0"], "hello": "500ms"}]
    mesh.start()
    babeld(SimpleNamespace(lab=lab, theirs=theirs, interfaces=[None, "eth0"]))

    def learned():
        return {route["prefix"] for route in one.show("show", "routes")["routes"]
                if route["origin"] == "babel"}
    wait_for(lambda: "10.1.77.1/32" in learned(), learned)
    one.process.wait_output("may not announce 10.2.9.9/32: it is member two's", seconds=1)
    assert "10.2.9.9/32" not in learned(), learned()
    assert one.show("show", "babel")["refused"]["member"] == 1
    wait_for(lambda: "10.2.0.0/16 via 10.1.2.1" in theirs.run("ip", "route").stdout,
             lambda: theirs.run("ip", "route").stdout)
    two.host.wait_ping("10.1.77.1")


def test_two_boxes_on_one_lan(lab):
    r"""What boxes of one network tell the routers of a site, each other among them, is no alarm, be
    it heard from the box or from a router; what a router says by itself is.

        h-one ---- [one] ----.               .---- [two] ---- h-two
                        lan1 |  br0 [theirs] | lan1
        internet: one, two, three            10.6.0.1, 10.3.9.9 (which is three's)
    """
    mesh = Mesh(lab)
    one, two, _ = [mesh.box(name, relay=name == "three") for name in ("one", "two", "three")]
    theirs = lab.host("theirs")
    theirs.run("ip", "link", "add", "br0", "type", "bridge")
    for number, box in enumerate((one, two), 1):
        lab.cable(theirs, f"p{number}", box, "lan1")
        theirs.run("ip", "link", "set", "dev", f"p{number}", "master", "br0")
        box.port("lan1", "lan", [f"192.168.77.{number}/24"])
        box.config["babel"] = [{"port": "lan1", "accept": ["10.0.0.0/8", "fd00::/8"],
                                "hello": "500ms"}]
    theirs.run("ip", "link", "set", "dev", "br0", "up")
    theirs.address("br0", "192.168.77.9/24")
    theirs.address("lo", "10.6.0.1/32")
    mesh.start()
    # Split horizon off: the router says on the segment what it heard there.
    babeld(SimpleNamespace(lab=lab, theirs=theirs, interfaces=[None, "br0"]), "split-horizon false")

    def babel(box):
        return box.show("show", "babel")

    def passed_over(box):
        return babel(box)["counters"]["prefixes_of_our_network"]
    for box in (one, two):
        wait_for(lambda box=box: sum(neighbor["state"] == "up" for neighbor in
                                     babel(box)["places"][0]["neighbors"]) == 2,
                 lambda box=box: babel(box))
        wait_for(lambda box=box: "10.6.0.1/32" in [
            route["prefix"] for route in box.show("show", "routes")["routes"]],
                 lambda box=box: box.meshgate("show", "routes").stdout)
    wait_for(lambda: "10.3.0.0/16" in theirs.run("ip", "route").stdout,
             lambda: theirs.run("ip", "route").stdout)
    two.stop(how=9)  # its routes with their former router-id stay with the router for a while
    two.start()
    for box in (one, two):
        before = passed_over(box)
        wait_for(lambda box=box, before=before: passed_over(box) > before + 5,
                 lambda box=box: babel(box))
        assert "babel-prefix-refused" not in box.log_text(), box.log_text()
        assert not any(babel(box)["refused"].values()), babel(box)
    theirs.address("lo", "10.3.9.9/32")
    for box in (one, two):
        box.process.wait_output("may not announce 10.3.9.9/32: it is member three's")
