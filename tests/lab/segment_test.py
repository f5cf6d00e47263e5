# SPDX-License-Identifier: Apache-2.0
r"""The box on a segment with switches and hosts that have their own mind.

    host ---- bridge ---- lan0 [box] wan0
"""

from box import Box
from lab import wait_for
from topology import BOX_LAN

HOP_BY_HOP, MLDV1_REPORT = 0, 131


class Segment:
    def __init__(self, lab, *bridge):
        self.box, self.host, self.switch = Box(lab, "box"), lab.host("host"), lab.host("switch")
        other = lab.host("other")
        lab.cable(other, "eth0", self.box, "wan0")
        self.switch.run("ip", "link", "add", "br0", "type", "bridge", *bridge)
        for host, interface, name in ((self.host, "eth0", "p1"), (self.box, "lan0", "p2")):
            lab.cable(host, interface, self.switch, name)
            self.switch.run("ip", "link", "set", "dev", name, "master", "br0")
        self.switch.address("br0", "fe80::5/64")
        self.box.port("wan0", "wan", ["192.0.2.1/24"])
        self.box.port("lan0", "lan", [f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64"])
        self.host.address("eth0", "10.1.0.10/24", "fd10:1::10/64")

    def groups(self):
        """Groups that the switch saw listeners of behind the box's cable."""
        out = self.switch.run("bridge", "mdb", "show", "dev", "br0").stdout
        return {line.split("grp ")[1].split()[0] for line in out.splitlines()
                if "port p2" in line and "grp " in line}


def test_a_snooping_switch_lets_solicitations_through(lab):
    """Its own queries come each 2 s; memberships that are not reported go after 5 s."""
    segment = Segment(lab, "mcast_snooping", "1", "mcast_querier", "1",
                      "mcast_query_interval", "200", "mcast_query_response_interval", "100",
                      "mcast_startup_query_interval", "50", "mcast_membership_interval", "500")
    segment.box.start()
    wait_for(lambda: "ff02::1:ff00:1" in segment.groups(), lambda: f"groups: {segment.groups()}")
    for _ in range(3):
        segment.host.run("ip", "-6", "neigh", "flush", "dev", "eth0")
        assert segment.host.ping(BOX_LAN[1], count=2, interval=1) == 2
        segment.host.run("sleep", "3")
    assert "ff02::1:ff00:1" in segment.groups(), "queries are answered"


def test_an_mldv1_querier_is_answered(lab):
    segment = Segment(lab, "mcast_snooping", "1", "mcast_querier", "1", "mcast_mld_version", "1",
                      "mcast_query_interval", "200", "mcast_query_response_interval", "100",
                      "mcast_startup_query_interval", "50", "mcast_membership_interval", "500")
    segment.box.start()
    wait_for(lambda: "ff02::1:ff00:1" in segment.groups(), lambda: f"groups: {segment.groups()}")
    with segment.switch.capture("p2") as seen:
        segment.host.run("sleep", "7")
    assert "ff02::1:ff00:1" in segment.groups(), "queries are answered"
    # The kernel's bridge takes reports of both versions; others do not.
    mac = bytes.fromhex(segment.box.mac("lan0").replace(":", ""))
    types = {frame[62] for _, frame in seen.frames
             if frame[6:14] == mac + b"\x86\xdd" and frame[20] == HOP_BY_HOP}
    assert types == {MLDV1_REPORT}, types


def test_errors_have_the_source_that_fits(lab):
    """A ULA stands first on the port; a host with a global address hears from the global one."""
    segment = Segment(lab)
    segment.box.config["ports"][1]["addresses"].append("2001:db8:a::1/64")
    segment.host.address("eth0", "2001:db8:a::10/64")
    segment.box.start()
    for prefix, gateway in (("2001:db8:dead::/48", "2001:db8:a::1"), ("fd77::/48", BOX_LAN[1])):
        segment.host.route(prefix, "via", gateway, "src", gateway[:-1] + "10")
        out = segment.host.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1",
                               prefix.split("/", maxsplit=1)[0] + "1", check=False).stdout
        assert f"From {gateway} icmp_seq=1" in out, out


def test_somebody_else_has_our_address(lab):
    segment = Segment(lab)
    segment.host.address("eth0", f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64")
    segment.box.start()
    mac = segment.host.mac("eth0")
    for address in BOX_LAN:
        problem = f"lan0  {mac} also claims our address {address}"
        wait_for(lambda p=problem: p in segment.box.status()["problems"],
                 lambda: f"the problem: {segment.box.status()['problems']}", 5)
