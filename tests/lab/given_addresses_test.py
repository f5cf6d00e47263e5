# SPDX-License-Identifier: Apache-2.0
r"""`addresses: host`: what DHCP clients and router advertisements give to the twin of the WAN port.

    isp (dnsmasq, radvd) --.
                           |
    client ------------- bridge -- ewan [wan0] box [lan0] elan ---- host
"""

import contextlib
import socket
import time

from lab import wait_for
from topology import CLIENT, CLIENT_WAN, HOST
from twin_test import STRANGER, Office

# What a DHCP client does with a lease, and nothing else of the machine.
LEASE_SCRIPT = """#!/bin/sh
case $1 in
deconfig) ip address flush dev $interface scope global ;;
bound | renew)
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


def dhcp_server(isp, interface, first, last, router, seconds=120):
    return isp.spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
                     "--no-resolv", "--port=0", f"--interface={interface}", "--bind-dynamic",
                     f"--dhcp-range={first},{last},{seconds}s", f"--dhcp-option=3,{router}",
                     f"--dhcp-leasefile={isp.lab.dir}/{isp.name}.leases", "--dhcp-authoritative",
                     f"--pid-file={isp.lab.dir}/{isp.name}.pid", "--user=root")


def dhcp_client(host, interface):
    script = host.lab.dir / f"{host.name}.lease"
    script.write_text(LEASE_SCRIPT)
    script.chmod(0o755)
    return host.spawn("udhcpc", "-f", "-i", interface, "-s", script, "-t", "20", "-T", "1")


def addresses_of(office, port="wan0"):
    ports = office.box.show("show", "ports")["ports"]
    return next(each for each in ports if each["name"] == port)["addresses"]


def test_an_address_by_dhcp(lab):
    """None at first, and status says so; then traffic flows; the gateway is the lease's."""
    office = office_with_isp(lab)
    office.box.start()
    problems = wait_for(lambda: office.box.status()["problems"], "a problem")
    assert any(line.startswith("wan0") and "DHCP client" in line for line in problems), problems
    dhcp_server(office.isp, "eth0", "192.0.2.100", "192.0.2.100", STRANGER[0])
    dhcp_client(office.box, "wan0")
    wait_for(lambda: addresses_of(office) == ["192.0.2.100/24"], lambda: addresses_of(office))
    office.host.wait_ping(CLIENT[0])
    wan0 = next(each for each in office.box.show("show", "ports")["ports"]
                if each["name"] == "wan0")
    assert wan0["gateway"] == STRANGER[0], wan0
    assert office.box.ping(STRANGER[0]) == 3


def test_an_address_that_changes_under_traffic(lab):
    """Traffic again within a second after the kernel has the new one; TCP inside survives."""
    office = office_with_isp(lab)
    office.box.start()
    office.box.address("wan0", "192.0.2.100/24")
    office.host.wait_ping(CLIENT[0])
    with office.client.socket(socket.AF_INET, socket.SOCK_STREAM) as listener, \
            office.host.socket(socket.AF_INET, socket.SOCK_STREAM) as near:
        listener.bind((CLIENT[0], 7000))
        listener.listen()
        near.settimeout(10)
        near.connect((CLIENT[0], 7000))
        far, _ = listener.accept()
        with far:
            far.settimeout(10)
            office.box.run("ip", "address", "add", "192.0.2.150/24", "dev", "wan0")
            office.box.run("ip", "address", "delete", "192.0.2.100/24", "dev", "wan0")
            changed = time.monotonic()
            near.sendall(b"from the new address")
            assert far.recv(100) == b"from the new address"
            far.sendall(b"back")
            assert near.recv(100) == b"back"
            took = time.monotonic() - changed
            assert took < 1, took
    wait_for(lambda: addresses_of(office) == ["192.0.2.150/24"], lambda: addresses_of(office))
    office.box.run("ip", "address", "flush", "dev", "wan0", "scope", "global")
    wait_for(lambda: addresses_of(office) == [], "no address any more")


def test_addresses_by_router_advertisements(lab):
    """SLAAC on the twin, with a link-local gateway; then the provider renumbers."""
    office = office_with_isp(lab)
    office.isp.sysctl("net.ipv6.conf.all.forwarding=1")
    office.box.config["peers"][0]["endpoint"] = f"[{CLIENT_WAN[1]}]:51820"
    office.box.start()
    office.box.sysctl("net.ipv6.conf.wan0.accept_ra=1", "net.ipv6.conf.wan0.autoconf=1")

    @contextlib.contextmanager
    def advertised(prefix):
        config = lab.dir / "radvd.conf"
        config.write_text(f"""interface eth0 {{
            AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 60;
            prefix {prefix} {{ AdvValidLifetime 60; AdvPreferredLifetime 30;
                               DeprecatePrefix on; }}; }};""")
        radvd = office.isp.spawn("radvd", "--nodaemon", "--config", config, "--logmethod", "stderr",
                                 "--pidfile", lab.dir / "radvd.pid")
        try:
            yield
        finally:
            radvd.stop()

    with advertised("2001:db8::/64"):
        wait_for(lambda: any(each.startswith("2001:db8:0:0:") or each.startswith("2001:db8::")
                             for each in addresses_of(office)), lambda: addresses_of(office))
        office.host.wait_ping(CLIENT[0])
        wan0 = next(each for each in office.box.show("show", "ports")["ports"]
                    if each["name"] == "wan0")
        assert wan0["gateway"].startswith("fe80::"), wan0
    with advertised("2001:db8:5::/64"):
        wait_for(lambda: addresses_of(office)
                 and addresses_of(office)[0].startswith("2001:db8:5:"),
                 lambda: addresses_of(office))


def test_addresses_that_no_provider_should_give(lab):
    """A network of the site; a thousand addresses; a gateway outside. Each is named, none harms."""
    office = office_with_isp(lab)
    office.box.start()
    office.box.address("wan0", "10.1.0.200/24")
    wait_for(lambda: any("10.1.0.200/24" in line and "another port" in line
                         for line in office.box.status()["problems"]), "the overlap to be named")
    assert addresses_of(office) == []
    office.box.run("ip", "address", "flush", "dev", "wan0", "scope", "global")
    batch = lab.dir / "many"
    batch.write_text("".join(f"address add 198.18.{i // 250}.{i % 250 + 1}/32 dev wan0\n"
                             for i in range(1000)))
    office.box.run("ip", "-batch", batch)
    wait_for(lambda: len(addresses_of(office)) == 64, "64 of them")
    assert any("1000 addresses" in line for line in office.box.status()["problems"])
    office.box.run("ip", "address", "flush", "dev", "wan0", "scope", "global")
    office.box.run("ip", "address", "add", "192.0.2.100/32", "dev", "wan0")
    office.box.run("ip", "route", "add", "default", "via", STRANGER[0], "dev", "wan0", "onlink")
    office.isp.forward()
    office.host.wait_ping(CLIENT[0])


def test_the_box_serves_the_office(lab):
    """Debian's dnsmasq on the LAN twin: a host without an address asks by broadcast and gets one."""
    office = Office(lab, start=False)
    office.host.run("ip", "address", "flush", "dev", "eth0")
    office.box.start()
    dhcp_server(office.box, "lan0", "10.1.0.50", "10.1.0.50", "10.1.0.1")
    dhcp_client(office.host, "eth0")
    wait_for(lambda: "10.1.0.50" in office.host.run("ip", "address").stdout, "a lease")
    assert office.host.ping("10.1.0.1") == 3
    assert HOST[0] not in office.host.run("ip", "address").stdout
