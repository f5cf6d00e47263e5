# SPDX-License-Identifier: Apache-2.0
r"""How sessions begin, with a stock peer in both roles.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import time

import traffic
from lab import wait_for
from topology import BOX_WAN, CLIENT, CLIENT_WAN, HOST, SHORT_LIVES, Road, endpoint
from wireguard_go import WireGuardGo, new_key, new_preshared_key, public_key


def passes_both_ways(road):
    for address in HOST:
        assert road.client.ping(address) == 3, f"client to {address}"
    for address in CLIENT:
        assert road.host.ping(address) == 3, f"host to {address}"


def test_first_contact_from_the_client_over_ipv4(lab):
    road = Road(lab, outer=4)
    took = road.client.wait_ping(HOST[0])
    assert took < 1, f"{took} s until the first answer"
    passes_both_ways(road)
    peer = road.box.peer_status("client")
    assert peer["endpoint"] == endpoint(CLIENT_WAN[0]), peer
    assert peer["session"] == "up", peer
    assert peer["handshakes"]["initiations_received"] == 1, peer


def test_first_contact_from_the_client_over_ipv6(lab):
    road = Road(lab, outer=6)
    assert road.client.wait_ping(HOST[1]) < 1
    passes_both_ways(road)
    assert road.box.peer_status("client")["endpoint"] == endpoint(CLIENT_WAN[1])


def test_first_contact_from_the_box_over_ipv4(lab):
    road = Road(lab, outer=4, box_knows=True, client_knows=False)
    assert road.host.wait_ping(CLIENT[0]) < 2
    passes_both_ways(road)
    assert road.box.peer_status("client")["handshakes"]["initiations_sent"] >= 1
    assert road.tunnel.dump()["endpoint"] == endpoint(BOX_WAN[0])


def test_first_contact_from_the_box_over_ipv6(lab):
    road = Road(lab, outer=6, box_knows=True, client_knows=False)
    assert road.host.wait_ping(CLIENT[1]) < 2
    passes_both_ways(road)
    assert road.tunnel.dump()["endpoint"] == endpoint(BOX_WAN[1])


def test_the_first_packets_wait_for_the_session(lab):
    """What is sent before there is a session is staged, not lost (W36: up to 128)."""
    road = Road(lab, outer=4, box_knows=True, client_knows=False)
    result = traffic.udp(road.host, road.client, CLIENT[0], rate=100, seconds=0.5)
    assert result.lost == 0, result


def test_both_sides_at_once(lab):
    road = Road(lab, outer=4, box_knows=True, client_knows=True)
    there = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=100, seconds=8)
    back = traffic.UdpFlow(road.client, road.host, HOST[0], rate=100, seconds=8)
    assert there.finish().lost == 0
    assert back.finish().lost == 0


def test_preshared_key(lab):
    road = Road(lab, outer=4, preshared_key=new_preshared_key()).up()
    passes_both_ways(road)
    assert road.box.peer_status("client")["has_preshared_key"]


def test_wrong_preshared_key_gives_no_session_until_it_is_right(lab):
    right = new_preshared_key()
    road = Road(lab, outer=4, preshared_key=right)
    road.tunnel.peer(road.box.public_key, ["10.1.0.0/16"], endpoint=endpoint(BOX_WAN[0]),
                     preshared_key=new_preshared_key())
    assert road.client.ping(HOST[0], count=3) == 0
    assert road.box.peer_status("client")["session"] != "up"
    road.tunnel.peer(road.box.public_key, ["10.1.0.0/16"], endpoint=endpoint(BOX_WAN[0]),
                     preshared_key=right)
    road.client.wait_ping(HOST[0], seconds=12)


def box_says(frames, box_mac):
    """Frames from the box that are not ARP, ND, MLD reports (to ff02::16) or other link chatter."""
    mac = bytes.fromhex(box_mac.replace(":", ""))
    return [frame for _, frame in frames if frame[6:12] == mac
            and frame[:6] != bytes.fromhex("333300000016")
            and (frame[12:14] == b"\x08\x00" or (frame[12:14] == b"\x86\xdd" and frame[20] != 58))]


def test_silence_towards_strangers(lab):
    """A client whose key the box does not know, and one that mistakes the box for another: no
    byte comes back."""
    road = Road(lab, outer=4).up()
    mac = road.box.show("show", "ports")["ports"][0]["mac"]
    road.tunnel.stop()
    stranger = WireGuardGo(road.client, ["10.9.0.2/32"])
    stranger.peer(road.box.public_key, ["10.1.0.0/16"], endpoint=endpoint(BOX_WAN[0]))
    mistaken = WireGuardGo(road.client, ["10.9.0.3/32"], listen_port=51821)
    mistaken.peer(public_key(new_key()), ["10.1.9.0/24"], endpoint=endpoint(BOX_WAN[0]))
    with road.client.capture("eth0") as seen:
        assert road.client.ping(HOST[0]) == 0
        assert road.client.ping("10.1.9.1") == 0
        time.sleep(1)
    sent = [frame for _, frame in seen.frames if frame[12:14] == b"\x08\x00"]
    assert len(sent) >= 2, "the strangers said nothing: the test shows nothing"
    said = box_says(seen.frames, mac)
    assert not said, [frame.hex() for frame in said]
    handshakes = road.box.status()["wireguard"]["handshakes"]
    assert sum(handshakes.values()) >= 3, handshakes


def test_handshake_through_30_percent_loss(lab):
    """Rekeys each 2 s while 30 % of the handshake messages are lost in both directions: no data is
    lost, for the old session serves until the new one stands."""
    road = Road(lab, outer=4, injected=True, box_knows=True, seed=4, arguments=SHORT_LIVES).up()
    road.cable.command("select handshake")
    road.cable.set("both", loss=0.3)
    flow = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=2000, seconds=25)
    result = flow.finish()
    lost = [road.cable.counters(direction)["lost"] for direction in ("a>b", "b>a")]
    completed = road.box.peer_status("client")["handshakes"]["completed"]
    assert sum(lost) >= 3, lost
    assert completed >= 5, completed
    assert result.lost == 0, result


def test_first_handshake_through_30_percent_loss(lab):
    """Ten first contacts from the box; each ends within the retransmissions (5 s apart here 0.3)."""
    quick = ("--lab-timings",
             "rekey=2s,reject=8s,retry=300ms,keepalive=2s,jitter=50ms")
    road = Road(lab, outer=6, injected=True, box_knows=True, client_knows=False, arguments=quick)
    road.cable.command("select handshake")
    road.cable.set("both", loss=0.3)
    for _ in range(10):
        road.tunnel.set("peer", road.box.public_key, "remove")
        road.tunnel.peer(road.box.public_key, ["10.1.0.0/16", "fd10:1::/64"])
        road.box.restart(*quick)
        assert road.host.wait_ping(CLIENT[1], seconds=15) < 12
    lost = [road.cable.counters(direction)["lost"] for direction in ("a>b", "b>a")]
    assert sum(lost) >= 3, lost


def test_gives_up_and_starts_again_with_new_data(lab):
    """Nobody answers: the initiations end; new data begins anew."""
    quick = ("--lab-timings",
             "rekey=2s,reject=8s,retry=100ms,keepalive=2s,jitter=0ms,initiations=5")
    road = Road(lab, outer=4, injected=True, box_knows=True, client_knows=False, arguments=quick)
    road.cable.set("both", partition=True)
    road.host.ping(CLIENT[0], count=1, wait=0.2)
    wait_for(lambda: road.box.peer_status("client")["handshakes"]["given_up"] == 1, "giving up")
    sent = road.cable.counters("b>a")["initiations"]
    assert sent == 5, sent
    time.sleep(1)
    assert road.cable.counters("b>a")["initiations"] == sent
    road.cable.clear()
    road.host.wait_ping(CLIENT[0], seconds=5)
