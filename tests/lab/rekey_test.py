# SPDX-License-Identifier: Apache-2.0
r"""Keys change under load and nothing is lost.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
    left ---- lan0 [one] wan0 ---- wan0 [two] lan0 ---- right
"""

import traffic
from lab import alone
from topology import CLIENT, HOST, SHORT_LIVES, Pair, Road


@alone("3 000 packets/s, none lost")
def test_rekey_under_load_with_a_stock_peer(lab):
    road = Road(lab, box_knows=True, client_knows=False, arguments=SHORT_LIVES).up()
    before = road.box.peer_status("client")["handshakes"]["completed"]
    there = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=1500, seconds=20)
    back = traffic.UdpFlow(road.client, road.host, HOST[1], rate=1500, seconds=20, port=7003)
    results = there.finish(), back.finish()
    done = road.box.peer_status("client")["handshakes"]["completed"] - before
    assert done >= 8, done
    for result in results:
        assert result.lost == 0 and result.duplicates == 0 and result.reordered == 0, result


@alone("10 000 packets/s, none lost")
def test_rekey_under_load_between_boxes(lab):
    pair = Pair(lab, arguments=SHORT_LIVES).up()
    left, right = pair.hosts
    there = traffic.UdpFlow(left, right, pair.RIGHT[0], rate=5000, seconds=15)
    back = traffic.UdpFlow(right, left, pair.LEFT[1], rate=5000, seconds=15, port=7003)
    results = there.finish(), back.finish()
    done = sum(box.peer_status("other")["handshakes"]["completed"] for box in pair.boxes)
    assert done >= 10, done
    for result in results:
        assert result.lost == 0 and result.duplicates == 0, result
