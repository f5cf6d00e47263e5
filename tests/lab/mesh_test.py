# SPDX-License-Identifier: Apache-2.0
r"""Boxes that were given one signed network file.

    h-a ---- [a] ---.              .--- [c] ---- h-c
        relay        \            /
                      [ internet ]                        every box has one public address
        relay        /            \
    h-b ---- [b] ---'              '--- [d] ---- h-d

Times that a busy machine stretches are bounded loosely here; the demo and ./run bench --peers measure
them.
"""

import random
import time

from mesh import Mesh, Underlay
from rogue import (CLIENT_AT, FILE_PIECE, FILE_REQUEST, HANDSHAKE, RELAY_OPEN, STATE, Rogue, message,
                   node_address)

OUTAGE_MS = 5000  # a silent loss is repaired after three probes, 0.2 s apart


def square(lab):
    mesh = Mesh(lab)
    for name in "abcd":
        mesh.box(name, relay=name in "ab")
    mesh.start()
    mesh.reach()
    return mesh, *mesh.boxes.values()


def both_ways(mesh, one, other, kind, **wanted):
    for box, peer in ((one, other), (other, one)):
        mesh.wait_path(box, peer, kind, **wanted)


def during(mesh, action, boxes=None, settled=0.5, **options):
    """What streams between all boxes lost while it happened."""
    streams = mesh.streams(boxes, **options)
    time.sleep(0.5)
    action()
    time.sleep(settled)
    return streams.finish()


def between(outcome, one, other):
    names = {one.host.name, other.host.name}
    return outcome.of(lambda *pair: set(pair) == names)


def elsewhere(outcome, one, other):
    names = {one.host.name, other.host.name}
    return outcome.of(lambda *pair: set(pair) != names)


def handshakes(box):
    return {peer["name"]: peer["handshakes"]["completed"]
            for peer in box.show("show", "peers")["peers"]}


def test_a_link_fails_and_returns(lab):
    mesh, a, b, c, d = square(lab)
    both_ways(mesh, c, d, "direct")
    before = handshakes(c)
    with Underlay(mesh) as seen:
        cut = during(mesh, lambda: (mesh.internet.cut(c, d), mesh.reach([c, d]),
                                    both_ways(mesh, c, d, "relay")))
        assert elsewhere(cut, c, d).lost == 0, cut.losers()
        assert between(cut, c, d).outage_ms < OUTAGE_MS, cut.losers()
        after = during(mesh, lambda: None)
        assert after.lost == 0, after.losers()
        returned = during(mesh, lambda: (mesh.internet.heal(), both_ways(mesh, c, d, "direct")))
        assert returned.lost == 0, returned.losers()
    assert seen.check() > 1000
    assert handshakes(c) == before, "a path moves without a handshake"


def test_ipv6(lab):
    """Inside and outside: what IPv4 loses on the underlay goes over IPv6."""
    mesh = Mesh(lab)
    mesh.box("a", relay=True)
    c, d = (mesh.box(name, ipv6=True) for name in "cd")
    mesh.start()
    mesh.reach()
    c.host.wait_ping(d.host_address6)
    streams = mesh.streams([c, d])
    mesh.internet.cut(c, d, "meta nfproto ipv4")
    mesh.reach([c, d])
    both_ways(mesh, c, d, "direct")
    assert c.path_to("d")["remote"] == f"[{d.uplinks[0].outside6}]:51820", c.path_to("d")
    mesh.internet.cut(c, d)
    mesh.reach([c, d])
    both_ways(mesh, c, d, "relay")
    mesh.internet.cut(c, d, "meta nfproto ipv6")
    both_ways(mesh, c, d, "direct")
    assert c.path_to("d")["remote"] == d.uplinks[0].endpoint, c.path_to("d")
    streams.finish()


def test_two_uplinks(lab):
    """The metered one comes last: after a relay over the other."""
    mesh = Mesh(lab)
    a, c, d = mesh.box("a", relay=True), mesh.box("c"), mesh.box("d")
    c.add_uplink(metered=True)
    mesh.start()
    mesh.reach()
    free, metered = c.uplinks
    streams = mesh.streams([c, d])
    mesh.wait_path(c, d, "direct", port=free.interface)
    mesh.internet.cut(free, d)
    both_ways(mesh, c, d, "relay")
    assert c.path_to("d")["port"] == free.interface
    mesh.internet.cut(free, a)
    mesh.wait_path(c, d, "direct", port=metered.interface)
    mesh.wait_path(c, a, "direct", port=metered.interface)
    mesh.reach()
    mesh.internet.heal()
    mesh.wait_path(c, d, "direct", port=free.interface)
    mesh.wait_path(c, a, "direct", port=free.interface)
    streams.finish()
    after = during(mesh, lambda: None)
    assert after.lost == 0, after.losers()


def test_a_lossy_link_loses_to_a_clean_relay(lab):
    mesh, a, b, c, d = square(lab)
    both_ways(mesh, c, d, "direct")
    mesh.internet.lose(c, d, 0.2)
    streams = mesh.streams([c, d])  # links in use are probed fast
    mesh.wait_path(c, d, "relay", seconds=30)
    mesh.wait_path(d, c, "relay", seconds=30)
    streams.finish()
    outcome = during(mesh, lambda: time.sleep(2), [c, d])
    assert outcome.lost == 0, outcome.losers()
    words = c.meshgate("explain", "d").stdout
    assert "lost" in words and "relay" in words, words


def own_index(seen, source, target):
    """The receiver index of what source itself sends to target, as on the wire."""
    indices = {payload[4:8] for payload in seen.datagrams(source.uplinks[0], target.uplinks[0])
               if payload[:1] == b"\4"}
    assert len(indices) == 1, indices
    return int.from_bytes(indices.pop(), "big")


def test_relays_in_a_row_and_relays_that_lie(lab):
    mesh, a, b, c, d = square(lab)
    with Underlay(mesh) as seen:
        both_ways(mesh, c, d, "direct")
        time.sleep(1)
    own = {relay.name: own_index(seen, relay, d) for relay in (a, b)}

    mesh.internet.cut(c, d)
    mesh.internet.cut(c, b)
    mesh.internet.cut(a, d)
    mesh.reach()
    mesh.wait_path(c, d, "relay", relay="a")
    mesh.wait_path(d, c, "relay", relay="b")
    row = during(mesh, lambda: time.sleep(1))
    assert row.lost == 0, row.losers()
    mesh.internet.heal()
    mesh.internet.cut(c, d)
    mesh.reach()
    both_ways(mesh, c, d, "relay")

    # It takes what it is asked to forward, answers, announces, and forwards nothing.
    liar = mesh.boxes[c.path_to("d")["relay"]]
    honest = next(relay for relay in (a, b) if relay is not liar)
    mesh.internet.filter(liar, d, f"udp sport 51820 @th,64,8 4 @th,96,32 != {own[liar.name]:#x}")
    streams = mesh.streams([c, d])
    mesh.wait_path(c, d, "relay", relay=honest.name, seconds=30)
    streams.finish()
    mesh.reach([c, d])
    avoided = during(mesh, lambda: time.sleep(2), [c, d])
    assert avoided.lost == 0, avoided.losers()


def test_a_byzantine_member(lab):
    """A leaf that says it has the way to others, asks for too much, replays and floods."""
    mesh = Mesh(lab)
    a, b, c = (mesh.box(name, relay=name == "a") for name in "abc")
    member = mesh.box("rogue")
    mesh.write()
    boxes = [a, b, c]
    for box in boxes:
        mesh.hand_over(box)
        box.start()
    rogue = Rogue(mesh, member, a)
    mesh.reach()
    member.wait_ping(a.host_address)
    nodes = {box: node_address(mesh.authority_key, box.public_key) for box in boxes}
    for box in boxes:
        assert a.member(box.name)["node_address"] == str(nodes[box])
    chance = random.Random(4)
    index = [chance.randrange(1 << 32) for _ in range(2000)]
    memory = a.memory_kib()
    streams = mesh.streams()
    for _ in range(20):
        rogue.announce(f"{rogue.node}/128", f"{nodes[b]}/128", f"{nodes[c]}/128", "10.2.0.0/16",
                       "10.3.0.0/24", "0.0.0.0/0", "::/0", "fd10:2::/48", metric=0)
        time.sleep(0.1)
    rogue.say(message(STATE, 1 << 52), message(FILE_PIECE, 1 << 52, 1 << 20, 0, bytes(1024)),
              message(CLIENT_AT, [[bytes(32), nodes[b].packed, bytes(12), 0, 0, False]]))
    for number in index:
        target = chance.choice([nodes[b], nodes[c], rogue.node])
        rogue.say(message(RELAY_OPEN, number, number, target.packed),
                  message(RELAY_OPEN, number, number, chance.randbytes(16)),
                  message(FILE_REQUEST, mesh.version, 0, 64),
                  message(HANDSHAKE, rogue.node.packed, nodes[b].packed, 16,
                          b"\1\0\0\0" + chance.randbytes(144)),
                  message(HANDSHAKE, nodes[c].packed, nodes[b].packed, 16,
                          b"\1\0\0\0" + chance.randbytes(144)),
                  chance.randbytes(chance.randrange(1, 1200)))
    time.sleep(1)
    outcome = streams.finish()
    assert outcome.lost == 0, outcome.losers()
    assert a.memory_kib() - memory < 16384, "memory grew"
    for box in (b, c):
        assert a.path_to(box.name)["kind"] == "direct", a.path_to(box.name)
        assert a.links_to(box.name)[0]["state"] == "up"
    assert all(mesh.version_seen_by(box) == mesh.version for box in boxes)
    refused = [line for line in a.log_text().splitlines() if "rogue" in line
               and ("10.2.0.0/16" in line or str(nodes[b]) in line)]
    assert refused, a.log_text()[-3000:]
    # What it says of itself still counts: it is a member.
    assert member.ping(a.host_address) == 3
