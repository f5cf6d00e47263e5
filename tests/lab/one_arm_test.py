# SPDX-License-Identifier: Apache-2.0
r"""A box with one port, beside the router that an office has already.

    host ---- switch ---- [router, NAT] ---- internet ---- wan0 [far] lan0 ---- right
                 |        10.1.0.1   192.0.2.1         192.0.2.2          10.2.0.10
              arm0 [box] 10.1.0.2

Nobody but the router knows of the box: it has a route to 10.2.0.0/16 by way of it, and forwards
UDP 51820 from outside to it.
"""

import traffic
from box import Box
from lab import wait_for

HOST, BOX, ROUTER, RIGHT = ("10.1.0.10", "fd10:1::10"), ("10.1.0.2", "fd10:1::2"), \
    ("10.1.0.1", "fd10:1::1"), ("10.2.0.10", "fd10:2::10")
BEHIND_ROUTER = "10.3.0.0/16"
NAT = """
table ip nat {
  chain out { type nat hook postrouting priority 100; oifname "out" masquerade; }
  chain in { type nat hook prerouting priority -100; iifname "out" udp dport 51820 dnat to 10.1.0.2; }
}
"""


class OneArm:
    def __init__(self, lab, box_knows=True):
        self.box, self.far = Box(lab, "box"), Box(lab, "far")
        self.host, self.right = lab.host("host"), lab.host("right")
        self.router, self.switch = lab.host("router"), lab.host("switch")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge")
        self.switch.run("ip", "link", "set", "dev", "br0", "up")
        for host, interface, name in ((self.host, "eth0", "p1"), (self.box, "arm0", "p2"),
                                      (self.router, "in", "p3")):
            lab.cable(host, interface, self.switch, name)
            self.switch.run("ip", "link", "set", "dev", name, "master", "br0")
        self._router(lab)
        self.host.address("eth0", f"{HOST[0]}/24", f"{HOST[1]}/64")
        self.host.route("default", "via", ROUTER[0])
        self.host.route("default", "via", ROUTER[1])
        lab.cable(self.right, "eth0", self.far, "lan0")
        self.right.address("eth0", f"{RIGHT[0]}/24", f"{RIGHT[1]}/64")
        self.right.route("default", "via", "10.2.0.1")
        self.right.route("default", "via", "fd10:2::1")
        self.box.port("arm0", ["wan", "lan"], [f"{BOX[0]}/24", f"{BOX[1]}/64"], gateway=ROUTER[0])
        self.box.config["routes"] = [{"prefix": BEHIND_ROUTER, "via": ROUTER[0]}]
        self.box.peer("far", self.far.public_key, ["10.2.0.0/16", "fd10:2::/64"],
                      endpoint="192.0.2.2:51820" if box_knows else None)
        self.far.port("wan0", "wan", ["192.0.2.2/24"])
        self.far.port("lan0", "lan", ["10.2.0.1/24", "fd10:2::1/64"])
        self.far.peer("box", self.box.public_key, ["10.1.0.0/16", "fd10:1::/64"],
                      endpoint="192.0.2.1:51820")
        self.far.start()
        self.box.start()

    def _router(self, lab):
        router = self.router
        lab.cable(router, "out", self.far, "wan0")
        router.address("in", f"{ROUTER[0]}/24", f"{ROUTER[1]}/64")
        router.address("out", "192.0.2.1/24")
        router.forward()
        router.sysctl(*(f"net.ipv4.conf.{interface}.send_redirects=0"
                        for interface in ("all", "in", "out")))
        router.run("nft", "-f", "-", input=NAT)
        for prefix, via in (("10.2.0.0/16", BOX[0]), (BEHIND_ROUTER, BOX[0]),
                            ("fd10:2::/64", BOX[1])):
            router.route(prefix, "via", via)


def clear_text(seen, source, destination):
    """IPv4 frames from one to another, neither of them sealed."""
    wanted = bytes(map(int, source.split("."))) + bytes(map(int, destination.split(".")))
    return [frame for _, frame in seen.frames if frame[12:14] == b"\x08\x00"
            and frame[26:34] == wanted]


def test_the_router_leads_hosts_to_the_box(lab):
    """In and out by one port: plain packets, sealed ones, both address families, both ways."""
    net = OneArm(lab)
    with net.router.capture("out") as outside:
        for address in RIGHT:
            net.host.wait_ping(address)
            assert net.host.ping(address) == 3, address
        for address in HOST:
            assert net.right.ping(address) == 3, address
    assert not clear_text(outside, HOST[0], RIGHT[0]), "nothing leaves unsealed"
    assert net.box.show("show", "ports")["ports"][0]["role"] == "one_arm"
    result = traffic.udp(net.host, net.right, RIGHT[0], rate=2000, seconds=1, size=1200)
    assert result.lost == 0, result
    assert traffic.tcp(net.right, net.host, HOST[0], seconds=1).bytes > 1_000_000
    assert net.host.ping(BOX[0]) == 3 and net.host.ping(BOX[1]) == 3
    assert not net.box.status()["problems"], net.box.status()["problems"]


def test_behind_a_port_forward(lab):
    """The far box begins; the box knows no endpoint. What else comes in dies with its reason."""
    net = OneArm(lab, box_knows=False)
    net.right.wait_ping(HOST[0])
    assert net.right.ping(HOST[1]) == 3
    assert net.host.ping(RIGHT[0]) == 3
    with net.host.packet_socket("eth0") as raw:
        for destination in ("020000000099", net.box.mac("arm0").replace(":", "")):
            raw.send(bytes.fromhex(destination + net.host.mac("eth0").replace(":", "") + "88b5")
                     + bytes(46))
    wait_for(lambda: net.box.drops().get("unknown_ethertype"),
             lambda: f"the drops: {net.box.drops()}", 3)


def test_what_would_go_in_circles_is_dropped(lab):
    """Router and box have routes to each other for 10.3.0.0/16."""
    net = OneArm(lab)
    net.host.wait_ping(RIGHT[0])
    with net.switch.capture("p2") as seen:
        assert net.host.ping("10.3.0.9", count=2) == 0
    passed = clear_text(seen, HOST[0], "10.3.0.9")
    assert len(passed) <= 4, f"{len(passed)} frames"
    assert net.box.drops()["sent_back"] == 2, net.box.drops()
