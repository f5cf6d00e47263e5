# SPDX-License-Identifier: Apache-2.0
r"""A box with a wan port only, between stock peers.

    alice (wireguard-go) ---- wan0 [hub] wan1 ---- bob (wireguard-go)
"""

from box import Box
from topology import endpoint
from wireguard_go import WireGuardGo


def test_errors_of_a_hub_reach_stock_peers(lab):
    """Its only addresses are in nobody's allowed IPs: its errors have another source."""
    hub, alice, bob = Box(lab, "hub"), lab.host("alice"), lab.host("bob")
    for number, (name, host) in enumerate((("alice", alice), ("bob", bob))):
        lab.cable(host, "eth0", hub, f"wan{number}")
        host.address("eth0", f"192.0.{number}.2/24")
        hub.port(f"wan{number}", "wan", [f"192.0.{number}.1/24"])
        tunnel = WireGuardGo(host, [f"10.9.0.{number + 2}/32", f"fd10:9::{number + 2}/128"])
        tunnel.peer(hub.public_key, ["10.9.0.0/24", "fd10:9::/64"],
                    endpoint=endpoint(f"192.0.{number}.1"), keepalive=5)
        hub.peer(name, tunnel.public_key, [f"10.9.0.{number + 2}/32", f"fd10:9::{number + 2}/128"])
    hub.start()
    alice.wait_ping("10.9.0.3")
    for address in ("10.9.0.3", "fd10:9::3"):
        out = alice.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-t", "1", address,
                        check=False).stdout
        assert "ime to live exceeded" in out or "Time exceeded" in out, out
    for address in ("10.9.0.77", "fd10:9::77"):
        out = alice.run("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address,
                        check=False).stdout
        assert "nreachable" in out or "No route" in out, out
