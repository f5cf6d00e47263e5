# SPDX-License-Identifier: Apache-2.0
r"""What does not fit through a relay's further link is told, not lost.

    h-a ---- [a] ---- internet ---- [hub]          a and c have no way but by hub
    10.1.0.10             |
                          '-- 1400 -- [c] ---- h-c 10.3.0.10
"""

import traffic
from lab import wait_for
from mesh import Mesh

WIDE, NARROW = 1420, 1340  # inner: 1400 less IPv4, UDP, message header and tag
ICMP_LEN = 28


def narrow_mesh(lab):
    mesh = Mesh(lab)
    a, _, c = mesh.box("a"), mesh.box("hub", relay=True), mesh.box("c")
    mesh.internet.cut(a, c)
    mesh.start()
    a.host.wait_ping(c.host_address)
    mesh.wait_path(a, c, "relay", relay="hub")
    mesh.wait_path(c, a, "relay", relay="hub")
    return mesh, a, c


def narrow(mesh, *boxes):
    """What is longer is lost between them, without a word: behind a relay nobody would hear it."""
    mesh.internet.cut(*boxes, match="ip length > 1400")


def wait_mtu(one, other, mtu, seconds):
    """While there is traffic: nobody tries sizes for an idle path."""
    def right():
        one.host.ping(other.host_address, count=1, wait=0.3)
        return one.path_to(other.name)["mtu_bytes"] == mtu
    wait_for(right, lambda: f"{mtu} bytes from {one.name}: {one.path_to(other.name)}", seconds)


def test_relayed_path_is_as_narrow_as_its_narrowest_link(lab):
    mesh, a, c = narrow_mesh(lab)
    assert a.path_to("c")["mtu_bytes"] == WIDE, a.path_to("c")
    assert a.host.ping(c.host_address, size=WIDE - ICMP_LEN) == 3
    narrow(mesh, mesh.boxes["hub"], c)
    wait_mtu(a, c, NARROW, seconds=30)
    wait_mtu(c, a, NARROW, seconds=30)
    # One byte more is answered, with what would fit; so it is for IPv6, and TCP finds its size.
    for size, received in ((NARROW, 3), (NARROW + 1, 0)):
        got, out = a.host.ping_output(c.host_address, size=size - ICMP_LEN, dont_fragment=True)
        assert got == received, out
    assert f"mtu={NARROW}" in out.replace(" ", "").lower(), out
    a.host.wait_ping(c.host_address6, size=1400)
    for source, target in ((a, c), (c, a)):
        moved = traffic.tcp(source.host, target.host, target.host_address, seconds=1)
        assert moved.bytes > 1_000_000, moved
    assert "packets of up to 1340 bytes get through" in a.log_text(), a.log_text()
    mesh.internet.heal(mesh.boxes["hub"], c)
    wait_mtu(a, c, WIDE, seconds=30)
    wait_mtu(c, a, WIDE, seconds=30)


def narrow_direct_mesh(lab, outer_mtu):
    mesh = Mesh(lab)
    a, c = mesh.box("a"), mesh.box("c")
    mesh.internet.cut(a, c, match=f"ip length > {outer_mtu}")
    mesh.start()
    a.host.wait_ping(c.host_address)
    mesh.wait_path(a, c, "direct")
    mesh.wait_path(c, a, "direct")
    return mesh, a, c


def test_a_direct_path_that_loses_what_is_large(lab):
    """No router on the way says so: the boxes find it, tell their hosts, and notice the end of it."""
    mesh, a, c = narrow_direct_mesh(lab, 1400)
    wait_mtu(a, c, NARROW, seconds=5)
    wait_mtu(c, a, NARROW, seconds=5)
    assert a.path_to("c")["mtu_origin"] == "probe", a.path_to("c")
    shown = a.meshgate("show", "paths").stdout
    assert "1340 (probe)" in shown, shown
    for source, target in ((a, c), (c, a)):
        moved = traffic.tcp(source.host, target.host, target.host_address, seconds=1)
        assert moved.bytes > 1_000_000, moved
        got, out = source.host.ping_output(target.host_address, size=NARROW + 1 - ICMP_LEN,
                                           dont_fragment=True)
        assert got == 0 and f"mtu={NARROW}" in out.replace(" ", "").lower(), out
    mesh.internet.heal(a, c)
    wait_mtu(a, c, 1440, seconds=15)
    wait_mtu(c, a, 1440, seconds=15)
    assert a.path_to("c")["mtu_origin"] == "port", a.path_to("c")


def test_a_direct_path_too_narrow_for_ipv6(lab):
    """Below 1280 bytes the boxes cut their own datagrams (RFC 8200, section 5)."""
    _, a, c = narrow_direct_mesh(lab, 1300)
    wait_mtu(a, c, 1240, seconds=5)
    wait_mtu(c, a, 1240, seconds=5)
    assert a.host.ping(c.host_address6, size=1280 - 48) == 3
