# SPDX-License-Identifier: Apache-2.0
r"""The client moves; sessions stay.

    host ---- lan0 [box] wan0 ---- b cable a ---- client (wireguard-go)
"""

import traffic
from lab import wait_for
from topology import BOX_WAN, CLIENT, CLIENT_WAN, HOST, Road, endpoint


def handshakes(road):
    return road.box.peer_status("client")["handshakes"]["completed"]


def test_client_changes_its_port(lab):
    road = Road(lab).up()
    before = handshakes(road)
    road.tunnel.set("listen-port", "44444")
    road.client.wait_ping(HOST[0], seconds=3)  # the first answer may still go to the old port
    assert road.box.peer_status("client")["endpoint"] == endpoint(CLIENT_WAN[0], 44444)
    assert road.host.ping(CLIENT[0]) == 3
    assert handshakes(road) == before, "roaming is no reason for a handshake"


def test_client_changes_its_address(lab):
    road = Road(lab).up()
    before = handshakes(road)
    road.client.run("ip", "addr", "del", f"{CLIENT_WAN[0]}/24", "dev", "eth0")
    road.client.address("eth0", "192.0.2.77/24")
    # wireguard-go would go on sending from the address that is gone.
    road.tunnel.set("peer", road.box.public_key, "endpoint", endpoint(BOX_WAN[0]))
    road.client.wait_ping(HOST[0], seconds=3)
    assert road.box.peer_status("client")["endpoint"] == endpoint("192.0.2.77")
    assert road.host.ping(CLIENT[0]) == 3
    assert handshakes(road) == before


def test_client_moves_from_ipv4_to_ipv6(lab):
    road = Road(lab, outer=4).up()
    before = handshakes(road)
    road.tunnel.set("peer", road.box.public_key, "endpoint", endpoint(BOX_WAN[1]))
    road.client.wait_ping(HOST[1], seconds=3)
    assert road.box.peer_status("client")["endpoint"] == endpoint(CLIENT_WAN[1])
    assert road.host.ping(CLIENT[1]) == 3
    assert handshakes(road) == before


def test_nat_gives_the_client_another_port_under_load(lab):
    """Twenty rebinds while data flows both ways. Outbound loses nothing; towards the client only
    what was on the way."""
    road = Road(lab, injected=True).up()
    up = traffic.UdpFlow(road.client, road.host, HOST[0], rate=1000, seconds=8)
    down = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=1000, seconds=8, port=7003)
    for port in range(40000, 40020):
        road.cable.command(f"nat {port}")
        wait_for(lambda: road.box.peer_status("client")["endpoint"] ==
                 endpoint(CLIENT_WAN[0], port), f"the endpoint with port {port}", seconds=2)
    sent, got = up.finish(), down.finish()
    assert sent.lost == 0, sent
    assert got.lost <= 20 * 50, got  # 50 ms of each rebind at the very most


def test_box_answers_from_the_address_that_was_asked(lab):
    """The box has several underlay addresses; the client's filter would drop another source."""
    road = Road(lab, start=False)
    road.box.config["ports"][0]["addresses"].append("192.0.2.200/24")
    road.start()
    # A new session, so that the first answer already knows the address; within a session it may
    # still leave by the old one, and would move the client back there.
    road.tunnel.set("peer", road.box.public_key, "remove")
    road.tunnel.set("peer", road.box.public_key, "allowed-ips", "10.1.0.0/16",
                    "endpoint", endpoint("192.0.2.200"))
    road.client.wait_ping(HOST[0], seconds=3)
    assert road.client.ping(HOST[0]) == 3
    assert road.tunnel.dump()["endpoint"] == endpoint("192.0.2.200")
