# SPDX-License-Identifier: Apache-2.0
r"""What the wire of a provider asks for.

    host ---- lan0 [box] wan0 ---- switch ---- r1, r2 ---- far switch ---- client (wireguard-go)
              10.1.0.1   192.0.2.1           .251, .252                   198.51.100.2
"""

import socket
import struct
import time

import traffic
from box import Box
from lab import run, wait_for
from ports_test import VLAN, VlanHost
from topology import BOX_LAN, BOX_WAN, CLIENT, HOST, Road
from wireguard_go import WireGuardGo

GATEWAY, PRIORITY = "192.0.2.254", 5


class TwoRouters:
    """One of them has the gateway's address at a time."""

    def __init__(self, lab):
        self.box, self.host, self.client = Box(lab, "box"), lab.host("host"), lab.host("client")
        near, far = self._switch(lab, "near"), self._switch(lab, "far")
        self.routers = []
        self._plug(lab, near, self.box, "wan0")
        for number in (1, 2):
            router = lab.host(f"r{number}")
            self._plug(lab, near, router, "in")
            self._plug(lab, far, router, "out")
            router.address("in", f"192.0.2.25{number}/24")
            router.address("out", f"198.51.100.25{number}/24")
            router.forward()
            self.routers.append(router)
        self.routers[0].address("in", f"{GATEWAY}/24")
        self._plug(lab, far, self.client, "eth0")
        self.client.address("eth0", "198.51.100.2/24")
        self.client.route("192.0.2.0/24", "via", "198.51.100.251")
        lab.cable(self.host, "eth0", self.box, "lan0")
        self.host.address("eth0", f"{HOST[0]}/24")
        self.host.route("default", "via", BOX_LAN[0])
        self.tunnel = WireGuardGo(self.client, [f"{CLIENT[0]}/32"])
        self.tunnel.peer(self.box.public_key, ["10.1.0.0/16"], endpoint="192.0.2.1:51820")
        self.box.port("wan0", "wan", ["192.0.2.1/24"], gateway=GATEWAY)
        self.box.port("lan0", "lan", [f"{BOX_LAN[0]}/24"])
        self.box.peer("client", self.tunnel.public_key, [f"{CLIENT[0]}/32"],
                      endpoint="198.51.100.2:51820")
        self.box.start()

    @staticmethod
    def _switch(lab, name):
        switch = lab.host(name)
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "dev", "br0", "up")
        return switch

    @staticmethod
    def _plug(lab, switch, host, interface):
        lab.cable(host, interface, switch, f"p-{host.name}")
        switch.run("ip", "link", "set", "dev", f"p-{host.name}", "master", "br0")

    def take_over(self, operation):
        """The second router becomes the gateway, as VRRP has it: by a gratuitous ARP."""
        first, second = self.routers
        first.run("ip", "addr", "del", f"{GATEWAY}/24", "dev", "in")
        first.sysctl("net.ipv4.ip_forward=0")
        self.client.route("192.0.2.0/24", "via", "198.51.100.252")
        second.address("in", f"{GATEWAY}/24")
        mac = bytes.fromhex(second.mac("in").replace(":", ""))
        address = socket.inet_aton(GATEWAY)
        target = mac if operation == 2 else bytes(6)
        with second.packet_socket("in") as raw:
            raw.send(b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, operation)
                     + mac + address + target + address)


    def run_vrrp(self, number):
        """keepalived on a router, of which the first is preferred; both addresses move together."""
        router = self.routers[number]
        config = router.lab.dir / f"{router.name}-keepalived.conf"
        config.write_text(f"""
            global_defs {{
                vrrp_version 3
                script_user root
            }}
            vrrp_instance gateway {{
                interface in
                virtual_router_id 7
                priority {200 - 50 * number}
                advert_int 0.1
                virtual_ipaddress {{
                    {GATEWAY}/24 dev in
                    198.51.100.254/24 dev out
                }}
            }}""")
        files = (f"--{kind}={router.lab.dir}/{router.name}-{kind}" for kind in ("pid", "vrrp_pid"))
        return router.spawn("keepalived", "--dont-fork", "--log-console", "--vrrp",
                            f"--use-file={config}", *files)

    def has_gateway(self, number):
        return GATEWAY in self.routers[number].run("ip", "address", "show", "dev", "in").stdout


def gap_of_take_over(lab, operation):
    net = TwoRouters(lab)
    net.host.wait_ping(CLIENT[0])
    time.sleep(1.2)  # a MAC address that was just learned is held for a second
    flow = traffic.UdpFlow(net.host, net.client, CLIENT[0], rate=1000, seconds=3)
    time.sleep(1)
    net.take_over(operation)
    result = flow.finish()
    assert net.box.status()["problems"] == []
    return result


def test_a_gateway_moves_by_a_gratuitous_request(lab):
    """As keepalived sends it."""
    result = gap_of_take_over(lab, operation=1)
    assert result.lost < 500, result


def test_a_gateway_moves_by_a_gratuitous_reply(lab):
    result = gap_of_take_over(lab, operation=2)
    assert result.lost < 500, result


def test_a_gateway_moves_by_vrrp(lab):
    """The first router dies under traffic."""
    net = TwoRouters(lab)
    net.routers[0].run("ip", "addr", "del", f"{GATEWAY}/24", "dev", "in")
    net.client.route("192.0.2.0/24", "via", "198.51.100.254")
    for number in (0, 1):
        net.run_vrrp(number)
    wait_for(lambda: net.has_gateway(0) and not net.has_gateway(1), "the first to be the gateway")
    net.host.wait_ping(CLIENT[0])
    flow = traffic.UdpFlow(net.host, net.client, CLIENT[0], rate=1000, seconds=2)
    time.sleep(0.5)
    for interface in ("in", "out"):
        net.routers[0].run("ip", "link", "set", "dev", interface, "down")
    result = flow.finish()
    assert net.has_gateway(1) and 0 < result.lost < 1000, result


def test_a_tag_with_priority(lab):
    """ARP, handshakes and data leave with both; any priority comes in."""
    road = Road(lab, start=False, box_knows=True)
    road.box.config["ports"][0].update(vlan=VLAN, priority=PRIORITY)
    road.start()
    road.client.run("ip", "addr", "flush", "dev", "eth0")
    provider = VlanHost(road.client, "eth0", "192.0.2.2", 1 << 13 | VLAN)
    reply, tag = provider.resolve(BOX_WAN[0])
    assert reply is not None and tag == PRIORITY << 13 | VLAN, (reply, tag)
    road.host.spawn("ping", "-n", "-i", "0.2", CLIENT[0], name="flow")
    frame, tag = provider.receive(lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 17, 8)
    assert frame is not None, "no handshake"
    assert tag == PRIORITY << 13 | VLAN, hex(tag)


def test_a_wan_port_on_the_network_of_a_lan_port(lab):
    """As a provider's router with the office's own prefix would have it."""
    road = Road(lab).up()
    road.box.config["ports"][0]["addresses"] = ["10.1.0.77/24"]
    refused = road.box.reload(check=False)
    assert refused.returncode == 78, refused
    assert "network-overlap" in refused.stdout + refused.stderr, refused
    assert road.client.ping(HOST[0]) == 3
    checked = run(*road.box.meshgate_command()[:1], "check", road.box.config_file, check=False)
    assert checked.returncode == 78 and "network-overlap" in checked.stdout + checked.stderr
    wait_for(lambda: "the last reload was refused" in str(road.box.status()["problems"]),
             lambda: road.box.status(), 3)
