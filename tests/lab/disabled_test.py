# SPDX-License-Identifier: Apache-2.0
r"""`enabled: false` on a peer, a port and a route, switched by reloads beside a flow.

    host ---- lan0 [box] wan0 ---- eth0 client (wireguard-go)
             lan1 ---- spare
"""

import traffic
from lab import wait_for
from topology import CLIENT, HOST, Road

SPARE, BEHIND = "10.7.0.10", "10.8.0.0/24"


class Spare(Road):
    """A road whose box has a second LAN, and a route by way of its host."""

    def __init__(self, lab, **more):
        super().__init__(lab, start=False, box_knows=True)
        self.spare = lab.host("spare")
        lab.cable(self.spare, "eth0", self.box, "lan1")
        self.spare.address("eth0", f"{SPARE}/24")
        self.spare.route("default", "via", "10.7.0.1")
        self.box.port("lan1", "lan", ["10.7.0.1/24"], **more)
        self.box.config["routes"] = [{"prefix": BEHIND, "via": SPARE}]
        self.start()

    def set(self, kind, index, enabled):
        self.box.config[kind][index]["enabled"] = enabled
        return self.box.reload().stdout


def test_a_port_is_closed_and_opened(lab):
    net = Spare(lab)
    net.up()
    net.host.wait_ping(SPARE)
    flow = traffic.UdpFlow(net.client, net.host, HOST[0], rate=1000, seconds=4)
    net.set("ports", 2, False)
    wait_for(lambda: not net.host.ping(SPARE, count=1, wait=0.2), "silence of the spare LAN", 3)
    status = net.box.status()
    assert status["disabled"] == {"ports": 1, "peers": 0, "routes": 0}, status
    assert not status["problems"], status["problems"]
    assert "disabled" in net.box.meshgate("status").stdout
    wait_for(lambda: not net.box.show("show", "ports")["ports"][2]["up"], "a closed port", 3)
    assert "10.7.0" not in net.box.meshgate("show", "routes").stdout
    net.box.address("lan1", "10.7.0.9/24")  # the interface is the kernel's again
    assert net.spare.ping("10.7.0.9") == 3
    net.box.run("ip", "addr", "flush", "dev", "lan1")
    net.set("ports", 2, True)
    net.host.wait_ping(SPARE, seconds=4)
    assert flow.finish().lost == 0, "the rest is not touched"


def test_a_port_may_be_disabled_from_the_start(lab):
    """Its interface need not even be there; nothing is said about it."""
    net = Spare(lab, enabled=False)
    net.up()
    port = net.box.show("show", "ports")["ports"][2]
    assert (port["enabled"], port["up"]) == (False, False), port
    assert not net.box.status()["problems"], net.box.status()["problems"]
    net.set("ports", 2, True)
    net.host.wait_ping(SPARE, seconds=4)


def test_a_peer_is_switched_off_and_on(lab):
    net = Spare(lab)
    net.up()
    net.set("peers", 0, False)
    assert net.client.ping(HOST[0], count=2, wait=0.3) == 0
    assert net.box.peer_status("client")["enabled"] is False
    assert net.box.status()["wireguard"]["peers_total"] == 0
    assert CLIENT[0] not in net.box.meshgate("show", "routes").stdout
    assert net.tunnel.public_key not in net.box.wg_show()
    net.set("peers", 0, True)
    net.host.wait_ping(CLIENT[0], seconds=5)  # the client does not know yet that its session is gone


def test_a_route_is_switched_off_and_on(lab):
    net = Spare(lab)
    net.spare.address("eth0", "10.8.0.1/24")
    net.host.wait_ping("10.8.0.1")
    net.set("routes", 0, False)
    assert "nreachable" in net.host.ping_output("10.8.0.1", count=1)[1]
    assert "gateway (disabled)" in net.box.meshgate("show", "routes").stdout
    net.set("routes", 0, True)
    assert net.host.ping("10.8.0.1") == 3
