# SPDX-License-Identifier: Apache-2.0
r"""What the outer header says, and what is taken over from it (W41, RFC 6040).

    host ---- lan0 [box] wan0 ---- b cable a ---- client (wireguard-go)
"""

import traffic
from topology import CLIENT, HOST, Road

ECT0, CE = 2, 3
EF = 0xb8  # an inner DSCP that must stay inside


def traffic_class(frame):
    if frame[12:14] == b"\x86\xdd":
        return (frame[14] & 15) << 4 | frame[15] >> 4
    return frame[15]


def wireguard(frames, mac):
    """(message type, traffic class) of the WireGuard datagrams that the box sent."""
    for _, frame in frames:
        if frame[6:12] != mac:
            continue
        payload = 54 + 8 if frame[12:14] == b"\x86\xdd" else 34 + 8
        is_udp = (frame[20] if frame[12:14] == b"\x86\xdd" else frame[23]) == 17
        if is_udp and len(frame) >= payload + 32:
            yield frame[payload], traffic_class(frame)


def sent_by_box(lab, outer, tos):
    road = Road(lab, outer=outer, box_knows=True, client_knows=False)
    mac = bytes.fromhex(road.box.show("show", "ports")["ports"][0]["mac"].replace(":", ""))
    with road.client.capture("eth0") as seen:
        road.host.wait_ping(CLIENT[0])
        assert traffic.udp(road.host, road.client, CLIENT[0], rate=100, seconds=0.5,
                           tos=tos).lost == 0
    return list(wireguard(seen.frames, mac))


def check_outer(lab, outer):
    seen = sent_by_box(lab, outer, EF | ECT0)
    initiations = [tos for kind, tos in seen if kind == 1]
    data = [tos for kind, tos in seen if kind == 4]
    assert initiations and set(initiations) == {0x88}, initiations
    assert data.count(ECT0) >= 50, data
    assert all(tos >> 2 == 0 for tos in data), "the inner DSCP leaked"


def test_outer_header_over_ipv4(lab):
    check_outer(lab, 4)


def test_outer_header_over_ipv6(lab):
    check_outer(lab, 6)


def received_classes(road, tos):
    """The traffic classes of what the host gets while the cable marks congestion."""
    road.cable.set("a>b", mark_ce=1)
    with road.host.capture("eth0") as seen:
        result = traffic.udp(road.client, road.host, HOST[0], rate=200, seconds=0.5, tos=tos)
    road.cable.clear()
    inner = [frame for _, frame in seen.frames
             if frame[12:14] == b"\x08\x00" and frame[23] == 17 and len(frame) > 100]
    return result, {traffic_class(frame) for frame in inner}


def test_congestion_on_the_way_reaches_the_host(lab):
    road = Road(lab, injected=True).up()
    # wireguard-go sets no ECN outside; the cable marks CE as a router that is full would.
    result, classes = received_classes(road, EF | ECT0)
    assert result.lost == 0 and classes == {EF | CE}, (result, classes)


def test_congestion_never_marks_what_is_not_ecn_capable(lab):
    road = Road(lab, injected=True).up()
    _, classes = received_classes(road, EF)
    assert classes <= {EF}, classes
