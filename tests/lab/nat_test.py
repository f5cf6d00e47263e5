# SPDX-License-Identifier: Apache-2.0
r"""Boxes behind NATs.

    [inside] ---- [nat] ---- [internet] ---- one, other
    h-rest1 ---- [rest1] ---- [nat] ---- [internet] ---- [relay] ---- h-relay      and five more
"""

import itertools
import socket

from mesh import NATS, PORT, Internet, Mesh


class Node:
    """A host with an uplink and a UDP socket on WireGuard's port."""

    def __init__(self, lab, internet, name, nat="none"):
        host = lab.host(name)
        self.uplink = internet.attach(host, "eth0", nat)
        host.address("eth0", f"{self.uplink.inside}/24")
        host.route("default", "via", self.uplink.gateway)
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", PORT))
        self.socket.settimeout(0.2)

    def send(self, endpoint):
        self.socket.sendto(b"hello", endpoint)

    def sender(self):
        """Who sent what came next, or None."""
        try:
            return self.socket.recvfrom(100)[1]
        except TimeoutError:
            return None


def test_the_nats_do_what_their_names_say(lab):
    internet = Internet(lab)
    one, other = Node(lab, internet, "one"), Node(lab, internet, "other")
    for nat in NATS:
        inside = Node(lab, internet, f"in-{nat}", nat)
        address = inside.uplink.outside
        one.send((address, PORT))
        stranger = inside.sender()
        assert (stranger is not None) == (nat in ("none", "open")), (nat, stranger)
        inside.send((one.uplink.outside, PORT))
        mapped = one.sender()
        assert mapped[0] == address, (nat, mapped)
        assert (mapped[1] == PORT) == (nat != "symmetric"), (nat, mapped)
        one.send(mapped)
        assert inside.sender() == (one.uplink.outside, PORT), nat
        other.send(mapped)
        assert (inside.sender() is not None) == (nat in ("none", "open")), nat
        inside.send((other.uplink.outside, PORT))
        assert (other.sender() == mapped) == (nat != "symmetric"), nat
        if nat == "restricted":
            internet.rebind(inside.uplink, 41000)
            inside.send((one.uplink.outside, PORT))
            assert one.sender() == (address, 41000)
            one.send(mapped)
            assert inside.sender() is None, "the old mapping is gone"


def test_cuts_are_silent_and_between_two_only(lab):
    internet = Internet(lab)
    one, other, third = (Node(lab, internet, name) for name in ("one", "other", "third"))

    def passes(source, target):
        source.send((target.uplink.outside, PORT))
        return target.sender() is not None
    internet.cut(one.uplink, other.uplink)
    assert not passes(one, other) and not passes(other, one)
    assert passes(one, third) and passes(third, other)
    internet.heal()
    assert passes(one, other) and passes(other, one)
    internet.lose(one.uplink, other.uplink, 0.5)
    for _ in range(100):
        one.send((other.uplink.outside, PORT))
    arrived = len(list(iter(other.sender, None)))
    assert 25 <= arrived <= 75, arrived


def direct_is_possible(one, other):
    """Between two behind NATs of these kinds, when a relay introduces them."""
    return {one, other} not in ({"symmetric"}, {"symmetric", "restricted"})


def test_all_pairs_of_nats(lab):
    """A relay, and two boxes behind each kind: all ordered pairs of kinds, each kind with itself."""
    mesh = Mesh(lab)
    relay = mesh.box("relay", relay=True)
    kinds = {}
    for kind in ("none", "restricted", "symmetric"):
        for which in "12":
            box = mesh.box(f"{kind[:4]}{which}", nats=[kind])
            kinds[box] = kind
    mesh.start()
    mesh.reach(seconds=40)
    streams = mesh.streams(rate=20)  # boxes look for better ways to whom they talk
    for one, other in itertools.permutations(kinds, 2):
        direct = direct_is_possible(kinds[one], kinds[other])
        mesh.wait_path(one, other, "direct" if direct else "relay", seconds=30)
    outcome = streams.finish()
    assert outcome.lost == 0, outcome.losers()
    for box in kinds:
        assert box.path_to(relay.name)["kind"] == "direct"

    # A NAT that is restarted gives new ports: back over the relay, and direct again.
    box = next(box for box, kind in kinds.items() if kind == "restricted")
    other = [box for box, kind in kinds.items() if kind == "restricted"][1]
    streams = mesh.streams([box, other], rate=20)
    mesh.internet.rebind(box.uplinks[0], 41000)
    mesh.reach([box, other, relay])
    mesh.wait_path(box, other, "direct", seconds=30)
    streams.finish()
