# SPDX-License-Identifier: Apache-2.0
r"""`addresses: host`: what DHCP clients and router advertisements give to the twin of the WAN port.

    isp (leases, radvd) --.
                          |
    client ------------ bridge -- ewan [wan0] box [lan0] elan ---- host
"""

import contextlib
import itertools
import signal
import socket
import time

import traffic
from isp import DhcpServer, advertisement, prefix
from lab import wait_for
from mesh import Mesh
from topology import CLIENT, CLIENT_WAN, HOST
from twin_test import STRANGER, Office

# Before there is an address the box greets in vain.
RETRY = ("--lab-timings", "retry=1s")

# What a DHCP client does with a lease, and nothing else of the machine.
LEASE_SCRIPT = """#!/bin/sh
case $1 in
deconfig) ip address flush dev $interface scope global ;;
bound | renew)
    [ -z "$mtu" ] || ip link set dev $interface mtu $mtu
    ip address replace $ip/$mask dev $interface
    ip address show dev $interface scope global | awk '/inet /{print $2}' | grep -v "^$ip/" |
        while read other; do ip address delete $other dev $interface; done
    ip route replace default via $router dev $interface ;;
esac
"""


def office_with_isp(lab, **more):
    """The box speaks first: nobody knows where it is."""
    office = Office(lab, start=False, wan="host", **more)
    office.isp = office.stranger
    office.box.config["peers"][0].update(endpoint=f"{CLIENT_WAN[0]}:51820",
                                         persistent_keepalive="1s")
    next(iter(office.tunnel.peers.values()))["endpoint"] = None
    return office


def dhcp_client(host, interface):
    script = host.lab.dir / f"{host.name}.lease"
    script.write_text(LEASE_SCRIPT)
    script.chmod(0o755)
    return host.spawn("udhcpc", "-f", "-i", interface, "-s", script, "-t", "20", "-T", "1",
                      "-O", "mtu")


def port_of(box, name="wan0"):
    return next(each for each in box.show("show", "ports")["ports"] if each["name"] == name)


def addresses_of(office, port="wan0"):
    return port_of(office.box, port)["addresses"]


def flush(office):
    office.box.run("ip", "address", "flush", "dev", "wan0", "scope", "global")


@contextlib.contextmanager
def conversation(near, far, address):
    """A TCP connection that must outlive what happens in the block: yields a function that has
    both ends say something, and returns the seconds that took."""
    with far.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, \
            near.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        listener.bind((address, 7000))
        listener.listen()
        one.settimeout(10)
        one.connect((address, 7000))
        other, _ = listener.accept()

        def talk():
            started = time.monotonic()
            for sender, receiver in ((one, other), (other, one)):
                sender.sendall(b"still here")
                assert receiver.recv(100) == b"still here"
            return time.monotonic() - started

        with other:
            other.settimeout(10)
            talk()
            yield talk


def test_leases(lab):
    """None at first, and status says so; a lease with a gateway and an MTU; the server starts again
    with another range and refuses to renew (NAK)."""
    office = office_with_isp(lab)
    box = office.box
    box.start(*RETRY)
    problems = wait_for(lambda: box.status()["problems"], "a problem")
    assert any(line.startswith("wan0") and "DHCP client" in line for line in problems), problems
    server = DhcpServer(office.isp, "eth0", "192.0.2.100", STRANGER[0], seconds=10, mtu=1400)
    client = dhcp_client(box, "wan0")
    wait_for(lambda: addresses_of(office) == ["192.0.2.100/24"], lambda: addresses_of(office))
    office.host.wait_ping(CLIENT[0])
    wan0 = wait_for(lambda: port_of(box)["mtu_bytes"] == 1400 and port_of(box),
                    lambda: port_of(box))
    assert wan0["gateway"] == STRANGER[0], wan0
    assert box.ping(STRANGER[0], count=1) == 1
    box.run("ip", "route", "delete", "default", "dev", "wan0")
    wait_for(lambda: "no default route by wan0" in "".join(box.status()["problems"]),
             lambda: box.status()["problems"])
    box.run("ip", "route", "add", "default", "via", STRANGER[0], "dev", "wan0")
    wait_for(lambda: not box.status()["problems"], lambda: box.status()["problems"])
    server.address = "192.0.2.150"
    with conversation(office.host, office.client, CLIENT[0]) as talk:
        client.popen.send_signal(signal.SIGUSR1)  # renews
        wait_for(lambda: addresses_of(office) == ["192.0.2.150/24"], lambda: addresses_of(office))
        assert talk() < 1
    assert server.nb_naks == 1
    box.restart(*RETRY)
    assert port_of(box)["mtu_bytes"] == 1400, "a restart knows what the lease says"


def test_an_address_that_changes_under_traffic(lab):
    """Traffic again within a second after the kernel has the new one, TCP inside survives; the
    gateway is the default route of the lowest metric; all gone and back."""
    office = office_with_isp(lab)
    box = office.box
    box.start(*RETRY)
    box.address("wan0", "192.0.2.100/24")
    office.host.wait_ping(CLIENT[0])
    with conversation(office.host, office.client, CLIENT[0]) as talk:
        flow = traffic.UdpFlow(office.host, office.client, CLIENT[0], rate=1000, seconds=2)
        time.sleep(0.5)
        flush(office)
        box.address("wan0", "192.0.2.150/24")
        assert talk() < 1
        result = flow.finish()
        assert result.longest_lost_run < 1000, result
        assert addresses_of(office) == ["192.0.2.150/24"]
        for metric, gateway in ((300, "192.0.2.253"), (100, STRANGER[0]), (200, "192.0.2.252")):
            box.run("ip", "route", "add", "default", "via", gateway, "dev", "wan0",
                    "metric", metric)
        for gateway in (STRANGER[0], "192.0.2.252", "192.0.2.253"):
            wait_for(lambda: port_of(box)["gateway"] == gateway, lambda: port_of(box))
            box.run("ip", "route", "delete", "default", "via", gateway)
        wait_for(lambda: port_of(box)["gateway"] is None, lambda: port_of(box))
        flush(office)
        wait_for(lambda: addresses_of(office) == [], "no address any more")
        box.address("wan0", "192.0.2.160/24")
        assert talk() < 1


def test_changes_of_another_port_lose_nothing(lab):
    """Addresses, routes and the MTU of wan1 change all the time; traffic leaves by wan0."""
    office = Office(lab, start=False)
    lab.cable(office.stranger, "eth1", office.box, "ewan1")
    office.box.config["ports"].append({"name": "wan1", "device": "af_packet:ewan1", "role": "wan",
                                       "addresses": "host", "host": True})
    office.box.start()
    office.client.wait_ping(HOST[0])
    changes = lab.dir / "changes"
    changes.write_text("".join(f"""address add 203.0.113.{i}/24 dev wan1
        route add default via 203.0.113.254 dev wan1
        address add 2001:db8:{i}::1/64 dev wan1 nodad
        link set dev wan1 mtu {1300 + i}
        address delete 2001:db8:{i}::1/64 dev wan1
        address delete 203.0.113.{i}/24 dev wan1\n""" for i in range(1, 6)))
    flow = traffic.UdpFlow(office.host, office.client, CLIENT[0], rate=1000, seconds=2)
    nb_changes = 0
    while flow.sending():
        office.box.run("ip", "-batch", changes)
        nb_changes += 30
    result = flow.finish()
    assert result.lost == 0 and nb_changes >= 300, (result, nb_changes)
    said = office.box.process.output().count("[wan1]: from the kernel")
    assert said >= 3, said  # the log is limited



def test_addresses_that_no_provider_should_give(lab):
    """A network of the site, or of another; a thousand addresses; a gateway outside. Each is named,
    none harms. Changes that netlink could not queue are made up for."""
    office = office_with_isp(lab)
    box = office.box
    box.start(*RETRY)
    box.address("wan0", "10.1.0.200/24", f"{CLIENT[0]}/24")
    problem = wait_for(lambda: box.status()["problems"], "the overlap to be named")
    assert any("10.1.0.200/24" in line and "another port" in line for line in problem), problem
    assert addresses_of(office) == []
    box.run("ip", "address", "delete", "10.1.0.200/24", "dev", "wan0")
    wait_for(lambda: any(f"{CLIENT[0]}/24" in line and "of a peer" in line
                         for line in box.status()["problems"]), lambda: box.status()["problems"])
    assert addresses_of(office) == []
    box.restart(*RETRY)
    assert "from the kernel" not in box.process.output(), "not even at first"
    batch = lab.dir / "many"
    batch.write_text("".join(f"address add 198.18.{i // 250}.{i % 250 + 1}/32 dev wan0\n"
                             for i in range(1000)))
    # A thousand come, go, and others come: more messages than a socket holds.
    box.process.popen.send_signal(signal.SIGSTOP)
    try:
        box.run("ip", "-batch", batch)
        flush(office)
        box.address("wan0", "198.18.7.1/32")
        box.run("ip", "-batch", batch)
    finally:
        box.process.popen.send_signal(signal.SIGCONT)
    drops = [row.split()[8] for row in box.run("cat", "/proc/net/netlink").stdout.splitlines()[1:]]
    assert any(each != "0" for each in drops), "no message was lost"
    wait_for(lambda: len(addresses_of(office)) == 64, "64 of them")
    assert addresses_of(office)[:2] == ["198.18.7.1/32", "198.18.0.1/32"], addresses_of(office)
    assert any("1001 addresses" in line for line in box.status()["problems"])
    flush(office)
    box.run("ip", "address", "add", "192.0.2.100/32", "dev", "wan0")
    box.run("ip", "route", "add", "default", "via", STRANGER[0], "dev", "wan0", "onlink")
    office.isp.forward()
    office.host.wait_ping(CLIENT[0])


@contextlib.contextmanager
def advertised(isp, network):
    config = isp.lab.dir / "radvd.conf"
    config.write_text(f"""interface eth0 {{
        AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 60;
        AdvLinkMTU 1400;
        prefix {network} {{ AdvValidLifetime 60; AdvPreferredLifetime 30;
                           DeprecatePrefix on; }}; }};""")
    radvd = isp.spawn("radvd", "--nodaemon", "--config", config, "--logmethod", "stderr",
                      "--pidfile", isp.lab.dir / "radvd.pid")
    try:
        yield
    finally:
        radvd.stop()


def test_router_advertisements(lab):
    """IPv6 alone: SLAAC on the twin, a link-local gateway, an MTU; the provider renumbers; a flood
    of prefixes."""
    office = office_with_isp(lab)
    box = office.box
    office.isp.sysctl("net.ipv6.conf.all.forwarding=1")
    box.config["peers"][0]["endpoint"] = f"[{CLIENT_WAN[1]}]:51820"
    box.start(*RETRY)
    box.sysctl("net.ipv6.conf.wan0.accept_ra=1", "net.ipv6.conf.wan0.autoconf=1")
    with advertised(office.isp, "2001:db8::/64"):
        wait_for(lambda: any(each.startswith("2001:db8:0:0:") or each.startswith("2001:db8::")
                             for each in addresses_of(office)), lambda: addresses_of(office))
        office.host.wait_ping(CLIENT[0])
        assert port_of(box)["gateway"].startswith("fe80::"), port_of(box)
        wait_for(lambda: port_of(box)["mtu_bytes"] == 1400, lambda: port_of(box))
    with advertised(office.isp, "2001:db8:5::/64"):
        wait_for(lambda: addresses_of(office)
                 and addresses_of(office)[0].startswith("2001:db8:5:"),
                 lambda: addresses_of(office))
        assert len(addresses_of(office)) == 2, addresses_of(office)
    flow = traffic.UdpFlow(office.host, office.client, CLIENT[0], rate=1000, seconds=1)
    mac, slowest = office.isp.mac("eth0"), 0
    with office.isp.packet_socket("eth0") as raw:
        for number in itertools.count():
            raw.send(advertisement(mac, *(prefix(f"2001:db8:{i:x}:{number + 6:x}::/64")
                                          for i in range(40))))
            if number % 100 == 0:
                started = time.monotonic()
                nb_addresses = len(addresses_of(office))
                slowest = max(slowest, time.monotonic() - started)
                if not flow.sending():
                    break
    result = flow.finish()
    assert number >= 500 and result.lost == 0, (number, result)
    assert slowest < 1 and 2 <= nb_addresses <= 64, (slowest, nb_addresses)


def test_members_follow_a_lease(lab):
    """Sites of a mesh: the other box's idea of our endpoint follows when the lease changes; one
    family serves where the other went; both go, and come back."""
    mesh = Mesh(lab)
    a, b = mesh.box("a", relay=True), mesh.box("b")
    for box in (a, b):
        box.sysctl("net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
    of_a = a.config["ports"][-1]
    of_a["addresses"].append("2001:db8:1::2/64")
    of_a["gateway"] = [*of_a["gateway"], "2001:db8:1::1"]
    a.endpoints.append("[2001:db8:1::2]:51820")
    b.config["ports"][-1].pop("gateway")
    b.config["ports"][-1].update(addresses="host", host=True, host_name="twin0")
    b.endpoints.clear()
    mesh.start("--lab-timings", "retry=1s")

    def lease(address, gateway):
        b.address("twin0", address)
        b.route("default", "via", gateway, "dev", "twin0")

    def flush(family):
        b.run("ip", family, "address", "flush", "dev", "twin0", "scope", "global")

    def endpoint_at_a():
        return next((link["remote"] for link in a.links_to("b") if link["in_use"]), None)

    lease("198.18.2.2/24", "198.18.2.1")
    a.host.wait_ping(b.host_address)
    with conversation(b.host, a.host, a.host_address) as talk:
        flush("-4")
        lease("198.18.2.77/24", "198.18.2.1")
        assert talk() < 1
        assert endpoint_at_a() == "198.18.2.77:51820", a.links_to("b")
        lease("2001:db8:2::2/64", "2001:db8:2::1")
        wait_for(lambda: any(link["remote"].startswith("[") and link["state"] == "up"
                             for link in a.links_to("b")), lambda: a.links_to("b"))
        flush("-4")
        assert talk() < 1
        assert endpoint_at_a() == "[2001:db8:2::2]:51820", a.links_to("b")
        flush("-6")
        wait_for(lambda: b.status()["problems"], "status to say so")
        lease("198.18.2.78/24", "198.18.2.1")
        assert talk() < 1
        assert endpoint_at_a() == "198.18.2.78:51820", a.links_to("b")


def test_a_lease_on_a_lan_port(lab):
    """A server that answers to the address that it only offers (dnsmasq); beside it a twin with
    written addresses, which makes none of router advertisements."""
    office = Office(lab, start=False)
    box = office.box
    box.config["ports"][1]["addresses"] = "host"
    box.start(*RETRY)
    office.host.spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
                      "--no-resolv", "--port=0", "--interface=eth0", "--bind-dynamic",
                      "--dhcp-range=10.1.0.50,10.1.0.50,120s", "--dhcp-authoritative",
                      f"--dhcp-leasefile={lab.dir}/lan.leases", f"--pid-file={lab.dir}/lan.pid",
                      "--user=root")
    raw = office.stranger.packet_socket("eth0")
    raw.send(advertisement(office.stranger.mac("eth0"), prefix("2001:db8:77::/64")))
    dhcp_client(box, "lan0")
    wait_for(lambda: addresses_of(office, "lan0") == ["10.1.0.50/24"],
             lambda: addresses_of(office, "lan0"))
    assert not any(each.startswith("2001:db8:77:") for each in office.addresses("wan0"))
    office.host.wait_ping("10.1.0.50")


def test_the_box_serves_the_office(lab):
    """Debian's dnsmasq on the LAN twin: a host without an address asks by broadcast and gets one."""
    office = Office(lab, start=False)
    office.host.run("ip", "address", "flush", "dev", "eth0")
    office.box.start()
    office.box.spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
                     "--no-resolv", "--port=0", "--interface=lan0", "--bind-dynamic",
                     "--dhcp-range=10.1.0.50,10.1.0.50,120s", "--dhcp-option=3,10.1.0.1",
                     f"--dhcp-leasefile={lab.dir}/leases", "--dhcp-authoritative",
                     f"--pid-file={lab.dir}/dnsmasq.pid", "--user=root")
    dhcp_client(office.host, "eth0")
    wait_for(lambda: "10.1.0.50" in office.host.run("ip", "address").stdout, "a lease")
    assert office.host.ping("10.1.0.1") == 3
    assert HOST[0] not in office.host.run("ip", "address").stdout
