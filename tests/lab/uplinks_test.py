# SPDX-License-Identifier: Apache-2.0
r"""Which wan port, gateway and source address serve a stock peer.

    host ---- lan0 [box] wan0 ---- isp0 ---- internet ---- client (wireguard-go)
                         wan1 ---- isp1 -------'
"""

import time

from lab import wait_for
from topology import CLIENT, HOST, SHORT_LIVES, Uplinks, endpoint

PROBLEM = "wan0  1 peer answers by another port only"


def path(net):
    return net.box.peer_status("client")["path"]


def problems(net):
    return net.box.status()["problems"]


def flow(net):
    """The host keeps talking to the client."""
    return net.host.spawn("ping", "-n", "-i", "0.2", CLIENT[0], name="flow")


def wait_path(net, port, seconds):
    wait_for(lambda: path(net) == f"direct {port}", lambda: f"path by {port}: {path(net)}", seconds)


def test_a_gateway_that_forwards_nothing_is_left_and_taken_again(lab):
    net = Uplinks(lab, arguments=SHORT_LIVES)
    net.client.wait_ping(HOST[0])
    assert path(net) == "direct wan0"
    flow(net)
    net.isps[0].sysctl("net.ipv4.ip_forward=0")
    wait_path(net, "wan1", 20)
    net.host.wait_ping(CLIENT[0], seconds=5)
    wait_for(lambda: PROBLEM in problems(net), lambda: f"the problem: {problems(net)}", 5)
    for _ in range(30):  # trials of wan0 fall into this time
        assert PROBLEM in problems(net), problems(net)
        assert net.host.ping(CLIENT[0], count=1) == 1, "trials cost no packet"
        time.sleep(0.3)
    net.isps[0].sysctl("net.ipv4.ip_forward=1")
    wait_path(net, "wan0", 45)
    assert net.host.ping(CLIENT[0]) == 3
    assert not problems(net), problems(net)


def test_a_peer_comes_back_after_a_link_was_down(lab):
    """Long before its session is renewed."""
    net = Uplinks(lab)
    net.client.wait_ping(HOST[0])
    flow(net)
    net.isps[0].run("ip", "link", "set", "dev", "cust", "down")
    wait_path(net, "wan1", 5)
    net.host.wait_ping(CLIENT[0], seconds=5)
    time.sleep(2)
    net.isps[0].run("ip", "link", "set", "dev", "cust", "up")
    net.isps[0].route("192.0.2.1", "dev", "cust")
    wait_path(net, "wan0", 30)
    assert net.host.ping(CLIENT[0]) == 3


def test_a_silent_gateway_is_a_steady_problem(lab):
    net = Uplinks(lab, start=False)
    net.isps[0].run("ip", "link", "set", "dev", "cust", "arp", "off")
    net.start()
    problem = "wan0  gateway 192.0.2.254 does not answer"
    wait_for(lambda: problem in problems(net), lambda: f"the problem: {problems(net)}", 10)
    for _ in range(60):  # rounds of questions, and the pauses between them
        assert problem in problems(net), problems(net)
        time.sleep(0.2)
    net.isps[0].run("ip", "link", "set", "dev", "cust", "arp", "on")
    wait_for(lambda: problem not in problems(net), lambda: f"its end: {problems(net)}", 15)


def outer_sources(seen, port=51820):
    """IPv6 sources of UDP datagrams to the port."""
    return {frame[22:38] for _, frame in seen.frames if frame[12:14] == b"\x86\xdd"
            and frame[20] == 17 and frame[56:58] == port.to_bytes(2, "big")}


def test_the_source_fits_the_destination(lab):
    """A ULA stands first on the wan port; datagrams to a global address have the global one."""
    net = Uplinks(lab, wans=((["fd99::1/64", "2001:db8:1::1/64"], "fe80::99/64"),),
                  box_endpoint=None, start=False)
    net.peer["endpoint"] = endpoint(Uplinks.CLIENT[1])
    with net.client.capture("eth0") as seen:
        net.start()
        net.host.wait_ping(CLIENT[0])
    assert outer_sources(seen) >= {bytes.fromhex("20010db8000100000000000000000001")}, seen.frames
    assert bytes.fromhex("fd990000000000000000000000000001") not in outer_sources(seen)


def test_a_gateway_may_be_outside_the_prefix(lab):
    net = Uplinks(lab, wans=((["198.18.0.5/32"], "172.31.1.1/32"),), box_endpoint="198.18.0.5",
                  more={"on_link": True})
    net.client.wait_ping(HOST[0])
    assert net.host.ping(CLIENT[0]) == 3
    assert net.tunnel.dump()["endpoint"] == "198.18.0.5:51820"
    assert not problems(net), problems(net)


def test_an_ipv6_gateway_may_be_outside_the_prefix(lab):
    net = Uplinks(lab, wans=((["2001:db8:5::5/128"], "2001:db8:77::1/128"),),
                  box_endpoint="2001:db8:5::5", more={"on_link": True})
    net.client.wait_ping(HOST[0])
    assert net.host.ping(CLIENT[0]) == 3
