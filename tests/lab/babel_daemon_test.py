# SPDX-License-Identifier: Apache-2.0
r"""meshgated as a Babel router beside Debian's, on a lan port and inside a stock peer's tunnel.

    host ---- lan0 [box] lan1 ---- eth0 [theirs] lo
    10.1.0.10           10.1.2.1   10.1.2.2      10.6.0.1/32
    fd10:1::10          fd10:2::1                fd06::1/128
                  wan0 ---- eth0 [client]
                  192.0.2.1      192.0.2.2, wireguard-go
"""



from babel_test import KEY, THEIRS, Wire, babeld, bird, frr
from box import Box
from lab import wait_for
from topology import HOST
from wireguard_go import WireGuardGo

OURS = ("10.1.0.0/24", "fd10:1::/64")


class Site(Wire):
    """A box with a host at lan0; `theirs` is at lan1, or behind the tunnel of the peer client."""

    def __init__(self, lab, ipv4=True, tunnel=False, **entry):
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

    def wait_both(self):
        self.wait_ours()
        self.wait_theirs()
        for prefix in THEIRS:
            self.host.wait_ping(prefix.split("/")[0])

    def forget(self):
        """What a router that was killed left in the kernel."""
        for family in ("-4", "-6"):
            self.theirs.run("ip", family, "route", "flush", "proto", "babel")

    def cut(self, *, down):
        self.theirs.run("ip", "link", "set", "dev", "eth0", "down" if down else "up")


def test_babeld_on_a_lan_port(lab):
    site = Site(lab)
    process = babeld(site, "enable-timestamps true")
    site.wait_both()
    # It goes without a word, and comes back.
    process.stop(how=9)
    site.wait_ours(state="gone", seconds=20)
    (lab.dir / "babeld.pid").unlink()
    site.forget()
    babeld(site)
    site.wait_both()
    # We go with a word: it drops our routes at once.
    assert site.box.stop() == 0
    site.wait_theirs(present=False, seconds=3)
    site.box.start()
    site.wait_both()
