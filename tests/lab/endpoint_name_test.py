# SPDX-License-Identifier: Apache-2.0
r"""A peer whose endpoint is a name, and a real name server (dnsmasq) whose answers change.

    host ---- lan0 [box] wan0 ---- eth0 client (wireguard-go), which never speaks first
                   dns0 ---- [dns] 10.53.0.1      the box's kernel has this cable for itself
"""

import shutil
import signal
import time
from pathlib import Path

from lab import wait_for
from topology import CLIENT, SHORT_LIVES, Road

NAME, SERVER = "gw.example.test", "10.53.0.1"
PROBLEM = f"name {NAME} does not resolve"


class NamedRoad:
    def __init__(self, lab, *addresses):
        self.road = Road(lab, client_knows=False, arguments=SHORT_LIVES, start=False)
        self.box, self.host, self.client = self.road.box, self.road.host, self.road.client
        self.dns, self.records = lab.host("dns"), lab.dir / "records"
        resolver = Path("/etc/netns") / self.box.netns  # `ip netns exec` puts it over /etc
        resolver.mkdir(parents=True)
        lab.at_end.append(lambda: shutil.rmtree(resolver))
        (resolver / "resolv.conf").write_text(f"nameserver {SERVER}\noptions timeout:1 attempts:1\n")
        lab.cable(self.dns, "eth0", self.box, "dns0")
        self.dns.address("eth0", f"{SERVER}/24")
        self.box.address("dns0", "10.53.0.2/24")
        self.server = None
        self.says(*addresses)
        self.box.config["peers"][0]["endpoint"] = f"{NAME}:51820"
        self.road.start()

    def says(self, *addresses):
        """From now on the name stands for these."""
        self.records.write_text("".join(f"{address} {NAME}\n" for address in addresses))
        if self.server is not None:
            self.server.popen.send_signal(signal.SIGHUP)
            return
        self.server = self.dns.spawn("dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv",
                                     "--no-hosts", f"--addn-hosts={self.records}", "--user=root",
                                     "--local=/test/", "--pid-file", f"--listen-address={SERVER}",
                                     "--bind-interfaces", "--log-facility=-")
        self.server.wait_output("started")

    def problems(self):
        return [problem for problem in self.box.status()["problems"] if problem.startswith(PROBLEM)]

    def endpoint(self):
        return self.box.peer_status("client")["endpoint"]


def test_a_name_is_followed_when_the_peer_is_gone(lab):
    net = NamedRoad(lab, "192.0.2.2")
    net.host.wait_ping(CLIENT[0])
    assert net.endpoint() == "192.0.2.2:51820"
    assert net.box.peer_status("client")["endpoint_name"] == f"{NAME}:51820"
    flow = net.host.spawn("ping", "-n", "-i", "0.2", CLIENT[0], name="flow")
    net.says("192.0.2.3")
    time.sleep(1)
    assert net.endpoint() == "192.0.2.2:51820", "a session that works stays"
    net.client.run("ip", "addr", "flush", "dev", "eth0")
    net.client.address("eth0", "192.0.2.3/24")
    # Before the client, which may speak from there after 15 s, says so itself.
    wait_for(lambda: "is tried at 192.0.2.3:51820" in net.box.process.output(), net.endpoint, 12)
    net.host.wait_ping(CLIENT[0], seconds=8)
    flow.stop()


def test_a_name_that_does_not_resolve_is_said(lab):
    net = NamedRoad(lab)
    wait_for(net.problems, "the problem", 8)
    assert f"getent ahosts {NAME}" in net.problems()[0]
    assert net.endpoint() is None
    net.says("192.0.2.2")
    wait_for(lambda: not net.problems(), lambda: f"its end: {net.problems()}", 8)
    net.host.wait_ping(CLIENT[0], seconds=5)


def test_addresses_are_tried_in_turn(lab):
    """Nobody, ourselves, what no host can have, a family without a port; then the peer."""
    net = NamedRoad(lab, "192.0.2.1", "127.0.0.1", "224.0.0.5", "192.0.2.66", "2001:db8:9::1",
                    "2001:db8::2")
    net.host.spawn("ping", "-n", "-i", "0.2", CLIENT[0], name="flow")
    tried = set()

    def arrived():
        tried.add(net.endpoint())
        return net.host.ping(CLIENT[0], count=1, wait=0.3)

    wait_for(arrived, lambda: f"the peer, after {tried}", 20)
    assert net.endpoint() == "[2001:db8::2]:51820", net.endpoint()
    assert tried <= {None, "192.0.2.66:51820", "[2001:db8::2]:51820"}, tried


def test_a_silent_name_server_delays_nobody(lab):
    net = NamedRoad(lab, "192.0.2.2")
    net.host.wait_ping(CLIENT[0])
    net.server.stop()
    net.dns.run("ip", "link", "set", "dev", "eth0", "down")
    net.box.config["peers"][0]["endpoint"] = "other.example.test:51820"
    net.box.reload()
    for _ in range(20):
        started = time.monotonic()
        assert net.host.ping(CLIENT[0], count=1) == 1, "the session stays"
        net.box.status()
        assert time.monotonic() - started < 1.5
        time.sleep(0.1)
