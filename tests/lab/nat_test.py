# SPDX-License-Identifier: Apache-2.0
r"""Boxes behind NATs.

    [inside] ---- [nat] ---- [internet] ---- one, other
"""

import socket

from mesh import NATS, PORT, Internet


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
