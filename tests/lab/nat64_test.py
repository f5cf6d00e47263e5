# SPDX-License-Identifier: Apache-2.0
r"""A client on an IPv6-only network, whose provider translates to IPv4 (RFC 6146, RFC 7915).

    host ---- lan0 [box] wan0 ---- w0 [nat64: tayga] c0 ---- eth0 client (wireguard-go)
                     192.0.2.1    192.0.2.254    2001:db8:6::1   2001:db8:6::2
"""

import traffic
from lab import wait_for
from topology import CLIENT, HOST, Road

PREFIX = "2001:db8:64::"
CLIENT_WAN6, CLIENT_AS_V4 = "2001:db8:6::2", "198.18.64.2"


def translate(lab, nat64):
    """Runs tayga on the host. The client has an IPv4 address of its own out there."""
    folder = lab.dir / "tayga"
    folder.mkdir()
    (folder / "tayga.conf").write_text(f"""tun-device nat64
ipv4-addr 198.18.64.1
ipv6-addr 2001:db8:64:ffff::1
prefix {PREFIX}/96
map {CLIENT_AS_V4} {CLIENT_WAN6}
data-dir {folder}
""")
    nat64.forward()
    nat64.run("tayga", "--config", folder / "tayga.conf", "--mktun")
    nat64.run("ip", "link", "set", "dev", "nat64", "up")
    nat64.route("198.18.64.0/24", "dev", "nat64")
    nat64.route(f"{PREFIX}/96", "dev", "nat64")
    nat64.spawn("tayga", "--config", folder / "tayga.conf", "--nodetach")


class TranslatedRoad(Road):
    def __init__(self, lab, **settings):
        super().__init__(lab, start=False, client_knows=False)
        # The cable between box and client goes by way of the translator.
        self.client.run("ip", "link", "delete", "dev", "eth0")
        nat64 = lab.host("nat64")
        lab.cable(nat64, "w0", self.box, "wan0")
        lab.cable(self.client, "eth0", nat64, "c0")
        nat64.address("w0", "192.0.2.254/24")
        nat64.address("c0", "2001:db8:6::1/64")
        self.client.address("eth0", f"{CLIENT_WAN6}/64")
        self.client.route("default", "via", "2001:db8:6::1")
        translate(lab, nat64)
        self.box.config["ports"][0].update(addresses=["192.0.2.1/24"], gateway="192.0.2.254",
                                           **settings)
        self.tunnel.set("peer", self.box.public_key, "endpoint", f"[{PREFIX}c000:201]:51820")
        self.start()


def test_a_client_behind_a_nat64_gets_a_session(lab):
    road = TranslatedRoad(lab)
    assert road.client.wait_ping(HOST[0], seconds=5) < 3
    road.client.wait_ping(HOST[1])
    assert road.client.ping(HOST[1], size=1200) == 3
    result = traffic.tcp(road.host, road.client, CLIENT[0], seconds=1)
    assert result.bytes > 1_000_000, result
    assert road.box.peer_status("client")["endpoint"] == f"{CLIENT_AS_V4}:51820"


def test_no_checksum_where_the_box_file_says_so(lab):
    """The translator throws away what has none; a reload brings the session up."""
    road = TranslatedRoad(lab, udp_checksum="never")
    assert road.client.ping(HOST[0], count=20) == 0
    road.box.config["ports"][0]["udp_checksum"] = "always"
    road.box.reload()
    wait_for(lambda: road.client.ping(HOST[0], count=1), "a session after the reload", 15)
