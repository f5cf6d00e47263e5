# SPDX-License-Identifier: Apache-2.0
r"""Through one box and out again the way it came.

    alice (wireguard-go) --.                               .-- [munich] -- h-munich
                            >-- wan switch -- [berlin] ---'
    bob (wireguard-go) ----'                 (all on one underlay network)
"""

import traffic
from box import Box
from topology import endpoint
from wireguard_go import WireGuardGo

ALICE, BOB = ("10.9.0.2", "fd10:9::2"), ("10.9.0.3", "fd10:9::3")
MUNICH = ("10.2.0.10", "fd10:2::10")
EVERYTHING = ["10.0.0.0/8", "fd10::/16"]


def network(lab):
    switch = lab.host("switch")
    switch.run("ip", "link", "add", "name", "bridge", "type", "bridge")
    switch.run("ip", "link", "set", "dev", "bridge", "up")
    berlin, munich = Box(lab, "berlin"), Box(lab, "munich")
    hosts = {name: lab.host(name) for name in ("alice", "bob", "h-munich", "h-berlin")}
    for number, (node, interface) in enumerate(((berlin, "wan0"), (munich, "wan0"),
                                                (hosts["alice"], "eth0"), (hosts["bob"], "eth0")), 1):
        lab.cable(switch, f"port{number}", node, interface)
        switch.run("ip", "link", "set", "dev", f"port{number}", "master", "bridge")
        if not isinstance(node, Box):
            node.address(interface, f"192.0.2.{number}/24", f"2001:db8::{number}/64")
    for number, (box, site) in enumerate(((berlin, "berlin"), (munich, "munich")), 1):
        host = hosts[f"h-{site}"]
        lab.cable(host, "eth0", box, "lan0")
        host.address("eth0", f"10.{number}.0.10/24", f"fd10:{number}::10/64")
        host.route("default", "via", f"10.{number}.0.1")
        host.route("default", "via", f"fd10:{number}::1")
        box.port("wan0", "wan", [f"192.0.2.{number}/24", f"2001:db8::{number}/64"])
        box.port("lan0", "lan", [f"10.{number}.0.1/24", f"fd10:{number}::1/64"])
    for name, addresses in (("alice", ALICE), ("bob", BOB)):
        tunnel = WireGuardGo(hosts[name], [f"{addresses[0]}/32", f"{addresses[1]}/128"])
        tunnel.peer(berlin.public_key, EVERYTHING, endpoint=endpoint("192.0.2.1"), keepalive=5)
        berlin.peer(name, tunnel.public_key, [f"{addresses[0]}/32", f"{addresses[1]}/128"])
    berlin.peer("munich", munich.public_key, ["10.2.0.0/16", "fd10:2::/64"],
                endpoint=endpoint("2001:db8::2"))
    munich.peer("berlin", berlin.public_key,
                ["10.1.0.0/16", "fd10:1::/64", "10.9.0.0/24", "fd10:9::/64"])
    berlin.start()
    munich.start()
    hosts["alice"].wait_ping("10.1.0.10")
    hosts["bob"].wait_ping("10.1.0.10")
    return berlin, hosts


def test_client_to_client(lab):
    berlin, hosts = network(lab)
    for source, addresses in (("alice", BOB), ("bob", ALICE)):
        for address in addresses:
            assert hosts[source].ping(address) == 3, (source, address)
    result = traffic.udp(hosts["alice"], hosts["bob"], BOB[0], rate=2000, seconds=2, size=1000)
    assert result.lost == 0, result
    assert traffic.tcp(hosts["bob"], hosts["alice"], ALICE[1], seconds=1).bytes > 1_000_000
    assert "10.9.0.3/32" in berlin.meshgate("show", "routes").stdout


def test_client_to_another_site(lab):
    _, hosts = network(lab)
    for address in MUNICH:
        hosts["alice"].wait_ping(address, seconds=8)
        assert hosts["alice"].ping(address) == 3
    for address in ALICE:
        assert hosts["h-munich"].ping(address) == 3
    assert traffic.tcp(hosts["alice"], hosts["h-munich"], MUNICH[0], seconds=1).bytes > 1_000_000


def test_nowhere_is_unreachable(lab):
    """No route: the sender is told at once, and it is counted."""
    berlin, hosts = network(lab)
    _, out = hosts["h-berlin"].ping_output("10.77.0.1")
    assert "nreachable" in out, out
    assert berlin.drops()["no_route"] >= 3, berlin.drops()


def test_the_hop_limit_ends_at_each_box(lab):
    """Time exceeded comes from berlin for 1, from munich for 2."""
    _, hosts = network(lab)
    hosts["h-berlin"].wait_ping(MUNICH[0], seconds=8)
    for ttl, expected in (("1", "10.1.0.1"), ("2", "10.2.0.1")):
        out = hosts["h-berlin"].run("ping", "-n", "-c", "1", "-W", "1", "-t", ttl, MUNICH[0],
                                    check=False).stdout
        assert f"From {expected}" in out and "Time to live exceeded" in out, out
    out = hosts["h-berlin"].run("ping", "-n", "-c", "1", "-W", "1", "-t", "1", MUNICH[1],
                                check=False).stdout
    assert "From fd10:1::1" in out and "Hop limit" in out, out
