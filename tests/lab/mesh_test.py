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

import base64
import os
import random
import signal
import time

from lab import wait_for
from mesh import Authority, Mesh, Underlay
from rogue import (CLIENT_AT, FILE_PIECE, FILE_REQUEST, HANDSHAKE, RELAY_OPEN, STATE, Rogue, message,
                   node_address)
from topology import endpoint
from wireguard_go import WireGuardGo

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


def test_relays_leave_and_come(lab):
    mesh, a, b, c, d = square(lab)
    relays = {"a": a, "b": b}
    mesh.internet.cut(c, d)
    mesh.reach([c, d])
    both_ways(mesh, c, d, "relay")
    used = relays[c.path_to("d")["relay"]]
    other = next(relay for relay in relays.values() if relay is not used)

    # It relays no more by the network file, then again; then it is told to end.
    for role in (False, True):
        used.relay = role
        mesh.write()
        changed = during(mesh, lambda: (mesh.push(c), mesh.wait_version(mesh.version)))
        assert changed.lost == 0, changed.losers()
        if not role:
            both_ways(mesh, c, d, "relay", relay=other.name)
    mesh.internet.cut(other, c)
    both_ways(mesh, c, d, "relay", relay=used.name)
    mesh.internet.heal(other, c)
    drained = during(mesh, used.stop, [c, d])
    assert drained.lost == 0, drained.losers()
    both_ways(mesh, c, d, "relay", relay=other.name)
    used.start()
    mesh.reach([used, c, d])
    killed = during(mesh, lambda: (other.stop(signal.SIGKILL), mesh.reach([c, d])), [c, d])
    assert killed.outage_ms < OUTAGE_MS, killed.losers()
    both_ways(mesh, c, d, "relay", relay=used.name)
    after = during(mesh, lambda: None, [c, d])
    assert after.lost == 0, after.losers()

    # It comes back while it is the only one: without its table, as fast as it is ready.
    used.restart(how=signal.SIGKILL)
    mesh.reach([c, d])
    other.start()
    mesh.reach()


def own_index(seen, source, target):
    """The receiver index of what source itself sends to target, as on the wire."""
    indices = {payload[4:8] for payload in seen.datagrams(source.uplinks[0], target.uplinks[0])
               if payload[:1] == b"\4"}
    assert len(indices) == 1, indices
    return int.from_bytes(indices.pop(), "big")


def test_relays_in_a_row_and_relays_that_lie(lab):
    mesh, a, b, c, d = square(lab)
    both_ways(mesh, c, d, "direct")
    time.sleep(1)  # what was relayed meanwhile arrives
    with Underlay(mesh) as seen:
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


def refused(mesh, box, path, *words):
    done = mesh.push(box, path, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1, (done.returncode, said)
    assert any(word in said for word in words), said
    return said


def test_the_network_file(lab):
    mesh, a, b, c, d = square(lab)
    boxes = list(mesh.boxes.values())

    # What a box refuses changes nothing.
    other = mesh.dir / "other.yaml"
    mesh.write(path=other, version=50)
    other.write_text(other.read_text().replace("acme", "acne"))
    refused(mesh, a, other, "signature")
    stranger = (mesh.dir / "stranger")
    stranger.mkdir()
    right, mesh.authority = mesh.authority, Authority(stranger)
    mesh.write(path=other, version=50)
    mesh.authority = right
    refused(mesh, a, other, "signature")
    mesh.write(path=other, version=mesh.version)
    other.write_text(other.read_text() + "# another one of the same version\n")
    mesh.authority.sign(other)
    refused(mesh, a, other, "version")
    for box in boxes:
        assert mesh.version_seen_by(box) == mesh.version, box.name

    # Half of c's prefix moves to d, by a file that one box is given.
    moved = "10.3.128.0/17"
    c.prefixes, d.prefixes = ["10.3.0.0/17"], [*d.prefixes, moved]
    d.config["routes"] = [{"prefix": moved, "via": d.host_address}]
    d.reload()
    d.host.address("lo", "10.3.200.1/32")
    mesh.write()
    outcome = during(mesh, lambda: (mesh.push(a), mesh.wait_version(mesh.version)))
    assert outcome.lost == 0, outcome.losers()
    a.host.wait_ping("10.3.200.1", seconds=5)
    c.host.wait_ping("10.3.200.1", seconds=5)

    # A thousand more, of whom nobody is there.
    c.prefixes = ["10.3.0.0/16"]
    d.prefixes = d.prefixes[:-1]
    thousand = [{"name": f"site{number}", "public_key": base64.b64encode(os.urandom(32)).decode(),
                 "prefixes": [f"172.{16 + number // 256}.{number % 256}.0/24"]}
                for number in range(1000)]
    mesh.write(more=thousand)
    outcome = during(mesh, lambda: (mesh.push(d), mesh.wait_version(mesh.version, seconds=20)))
    assert outcome.lost == 0, outcome.losers()
    assert b.member("site999")["prefixes"] == ["172.19.231.0/24"]
    mesh.write()
    outcome = during(mesh, lambda: (mesh.push(c), mesh.wait_version(mesh.version, seconds=20)))
    assert outcome.lost == 0, outcome.losers()

    # c is revoked while a and c are apart from the others; a hears of it when the parts meet.
    mesh.internet.part([a, c], [b, d])
    remaining = [a, b, d]
    mesh.write(members=remaining)
    mesh.push(b)
    mesh.wait_version(mesh.version, [b, d])
    c.host.wait_ping(a.host_address, seconds=5)
    mesh.internet.heal()
    mesh.wait_version(mesh.version, remaining)
    wait_for(lambda: not any(c.host.ping(box.host_address, count=1, wait=0.3)
                             or box.host.ping(c.host_address, count=1, wait=0.3) for box in remaining),
             "c to be cut off", seconds=10)
    mesh.reach(remaining)

    # A box that starts anew has the last one, not that of its installation.
    b.restart()
    assert mesh.version_seen_by(b) == mesh.version
    assert b.member("c") is None


def test_clients(lab):
    """Stock devices: one reaches a member behind a NAT at a relay's address; one moves from box to
    box with its address."""
    mesh = Mesh(lab)
    a, b = (mesh.box(name, relay=True) for name in "ab")
    d = mesh.box("d", nats=["restricted"])
    d.published = ["a"]
    host = lab.host("stock")
    uplink = mesh.internet.attach(host, "eth0")
    host.address("eth0", f"{uplink.inside}/24")
    host.route("198.18.0.0/16", "via", uplink.gateway)
    client = WireGuardGo(host, ["10.9.0.2/32"])
    mesh.clients = [{"name": "stock", "public_key": client.public_key, "address": "10.9.0.2/32"}]
    mesh.start()
    mesh.reach()
    with Underlay(mesh) as seen:
        client.peer(d.public_key, ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"],
                    endpoint=endpoint(a.uplinks[0].outside))
        for box in (d, a, b):
            host.wait_ping(box.host_address, seconds=10)
            box.host.wait_ping("10.9.0.2", seconds=10)
        host.ping(d.host_address, count=3, size=1000)
    assert seen.check() > 10
    for box, last in ((a, d), (b, a), (a, b)):
        client.set("peer", last.public_key, "remove")
        client.peer(box.public_key, ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"],
                    endpoint=endpoint(box.uplinks[0].outside))
        host.wait_ping(box.host_address, seconds=10)
        for other in (a, b, d):
            host.wait_ping(other.host_address, seconds=10)
            other.host.wait_ping("10.9.0.2", seconds=10)


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
