# SPDX-License-Identifier: Apache-2.0
r"""Keys change under load and nothing is lost.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
    left ---- lan0 [one] wan0 ---- wan0 [two] lan0 ---- right
"""

import traffic
from box import Box
from topology import CLIENT, HOST, SHORT_LIVES, Road, endpoint


def test_rekey_under_load_with_a_stock_peer(lab):
    road = Road(lab, box_knows=True, client_knows=False, arguments=SHORT_LIVES).up()
    before = road.box.peer_status("client")["handshakes"]["completed"]
    there = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=5000, seconds=20)
    back = traffic.UdpFlow(road.client, road.host, HOST[1], rate=5000, seconds=20, port=7003)
    results = there.finish(), back.finish()
    done = road.box.peer_status("client")["handshakes"]["completed"] - before
    assert done >= 8, done
    for result in results:
        assert result.lost == 0 and result.duplicates == 0 and result.reordered == 0, result


def test_rekey_under_load_between_boxes(lab):
    boxes = [Box(lab, "one"), Box(lab, "two")]
    hosts = [lab.host("left"), lab.host("right")]
    lab.cable(boxes[0], "wan0", boxes[1], "wan0")
    for side, (box, host) in enumerate(zip(boxes, hosts), 1):
        lab.cable(host, "eth0", box, "lan0")
        host.address("eth0", f"10.{side}.0.10/24")
        host.route("default", "via", f"10.{side}.0.1")
        box.port("wan0", "wan", [f"192.0.2.{side}/24"])
        box.port("lan0", "lan", [f"10.{side}.0.1/24"])
        other = boxes[2 - side]
        box.peer("other", other.public_key, [f"10.{3 - side}.0.0/16"],
                 endpoint=endpoint(f"192.0.2.{3 - side}"))
    for box in boxes:
        box.start(*SHORT_LIVES)
    hosts[0].wait_ping("10.2.0.10")
    there = traffic.UdpFlow(hosts[0], hosts[1], "10.2.0.10", rate=5000, seconds=15)
    back = traffic.UdpFlow(hosts[1], hosts[0], "10.1.0.10", rate=5000, seconds=15, port=7003)
    results = there.finish(), back.finish()
    done = sum(box.peer_status("other")["handshakes"]["completed"] for box in boxes)
    assert done >= 10, done
    for result in results:
        assert result.lost == 0 and result.duplicates == 0, result
