# SPDX-License-Identifier: Apache-2.0
"""The set-up that most tests use."""

from box import Box
from injector import Injector
from wireguard_go import WireGuardGo

HOST = ("10.1.0.10", "fd10:1::10")    # behind the box
BOX_LAN = ("10.1.0.1", "fd10:1::1")
CLIENT = ("10.9.0.2", "fd10:9::2")    # the peer's own addresses in the overlay
BOX_WAN = ("192.0.2.1", "2001:db8::1")
CLIENT_WAN = ("192.0.2.2", "2001:db8::2")

# Lives short enough that a test sees many of them.
SHORT_LIVES = ("--lab-timings", "rekey=2s,reject=8s,retry=1s,keepalive=2s,jitter=100ms")


def endpoint(address, port=51820):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Road:
    r"""One office and one stock peer.

        host ---- lan0 [box] wan0 ---- b cable a ---- eth0 client (wireguard-go)
        10.1.0.10     192.0.2.1                  192.0.2.2        10.9.0.2
        fd10:1::10    2001:db8::1                2001:db8::2      fd10:9::2

    The cable is the fault injector when `injected`, else a veth pair. `outer` is the IP version of
    the underlay (4 or 6). `box_knows` and `client_knows` say who has the other's endpoint.
    """

    def __init__(self, lab, outer=4, injected=False, box_knows=False, client_knows=True,
                 preshared_key=None, device="af_packet", offloads=False, arguments=(), seed=1,
                 client_mtu=1420, start=True, **dataplane):
        self.lab, self.arguments = lab, arguments
        index = 0 if outer == 4 else 1
        self.box, self.host, self.client = Box(lab, "box"), lab.host("host"), lab.host("client")
        self.cable = None
        if injected:
            self.cable = Injector(lab, self.client, "eth0", self.box, "wan0", seed=seed)
        else:
            lab.cable(self.client, "eth0", self.box, "wan0")
        if device == "tap":
            self.lan_device = "tap"
        else:
            lab.cable(self.host, "eth0", self.box, "lan0", offloads=offloads)
            self.lan_device = device
        self.client.address("eth0", f"{CLIENT_WAN[0]}/24", f"{CLIENT_WAN[1]}/64")
        wan_device = "af_packet" if device == "tap" else device
        self.box.port("wan0", "wan", [f"{BOX_WAN[0]}/24", f"{BOX_WAN[1]}/64"], device=wan_device)
        self.box.port("lan0", "lan", [f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64"],
                      device=self.lan_device)
        self.box.config["dataplane"].update(dataplane)
        self.tunnel = WireGuardGo(self.client, [f"{CLIENT[0]}/32", f"{CLIENT[1]}/128"],
                                  mtu=client_mtu)
        self.box.peer("client", self.tunnel.public_key, [f"{CLIENT[0]}/32", f"{CLIENT[1]}/128"],
                      endpoint=endpoint(CLIENT_WAN[index]) if box_knows else None,
                      preshared_key=preshared_key)
        self.tunnel.peer(self.box.public_key, ["10.1.0.0/16", "fd10:1::/64"],
                         endpoint=endpoint(BOX_WAN[index]) if client_knows else None,
                         preshared_key=preshared_key)
        if start:
            self.start()

    def start(self):
        self.box.start(*self.arguments)
        if self.lan_device == "tap":
            self.box.run("ip", "link", "set", "dev", "lan0", "netns", self.host.netns)
            self.host.run("ip", "link", "set", "dev", "lan0", "name", "eth0")
        self.host.address("eth0", f"{HOST[0]}/24", f"{HOST[1]}/64")
        self.host.route("default", "via", BOX_LAN[0])
        self.host.route("default", "via", BOX_LAN[1])

    def up(self):
        """Until both address families pass; the client speaks first when it can."""
        if any(peer["endpoint"] for peer in self.tunnel.peers.values()):
            self.client.wait_ping(HOST[0])
            self.client.wait_ping(HOST[1])
        else:
            self.host.wait_ping(CLIENT[0])
            self.host.wait_ping(CLIENT[1])
        return self


class NarrowRoad(Road):
    r"""The cable is two routers with a narrow one between them.

        host ---- lan0 [box] wan0 ---- w0 [r2] m0 === m0 [r1] c0 ---- eth0 client (wireguard-go)
                  192.0.2.1    192.0.2.254   narrow    198.51.100.254   198.51.100.2
                  2001:db8::1  2001:db8::ff            2001:db8:5::ff   2001:db8:5::2

    `silent`: names of routers that do not say what did not fit.
    """

    SILENCE = """
        table inet silent {
            chain output {
                type filter hook output priority filter;
                icmp type destination-unreachable icmp code frag-needed drop
                icmpv6 type packet-too-big drop
            }
        }
    """
    FAR = ("198.51.100.2", "2001:db8:5::2")

    def __init__(self, lab, outer, mtu, client_mtu=1420, silent=()):
        super().__init__(lab, start=False, client_knows=False, client_mtu=client_mtu)
        self.client.run("ip", "link", "delete", "dev", "eth0")
        self.r1, self.r2 = lab.host("r1"), lab.host("r2")
        lab.cable(self.r2, "w0", self.box, "wan0")
        lab.cable(self.r1, "m0", self.r2, "m0", mtu=mtu)
        lab.cable(self.client, "eth0", self.r1, "c0")
        self.r2.address("w0", "192.0.2.254/24", "2001:db8::ff/64")
        self.r2.address("m0", "203.0.113.2/24", "2001:db8:4::2/64")
        self.r1.address("m0", "203.0.113.1/24", "2001:db8:4::1/64")
        self.r1.address("c0", "198.51.100.254/24", "2001:db8:5::ff/64")
        self.client.address("eth0", f"{self.FAR[0]}/24", f"{self.FAR[1]}/64")
        for router in (self.r1, self.r2):
            router.forward()
            if router.name in silent:
                router.run("nft", "-f", "-", input=self.SILENCE)
        for host, gateways in ((self.r1, ("203.0.113.2", "2001:db8:4::2")),
                               (self.r2, ("203.0.113.1", "2001:db8:4::1")),
                               (self.client, ("198.51.100.254", "2001:db8:5::ff"))):
            for gateway in gateways:
                host.route("default", "via", gateway)
        self.box.config["ports"][0]["gateway"] = ["192.0.2.254", "2001:db8::ff"]
        address = BOX_WAN[0] if outer == 4 else BOX_WAN[1]
        self.tunnel.set("peer", self.box.public_key, "endpoint", endpoint(address))
        self.start()
        self.client.wait_ping(HOST[0])
        self.client.wait_ping(HOST[1])


class Pair:
    r"""Two offices.

        left ---- lan0 [one] wan0 ---- wan0 [two] lan0 ---- right
        10.1.0.10     192.0.2.1      192.0.2.2         10.2.0.10
        fd10:1::10                                     fd10:2::10
    """

    LEFT, RIGHT = ("10.1.0.10", "fd10:1::10"), ("10.2.0.10", "fd10:2::10")

    def __init__(self, lab, arguments=(), device="af_packet"):
        self.boxes = [Box(lab, "one"), Box(lab, "two")]
        self.hosts = [lab.host("left"), lab.host("right")]
        lab.cable(self.boxes[0], "wan0", self.boxes[1], "wan0")
        for side, (box, host) in enumerate(zip(self.boxes, self.hosts), 1):
            lab.cable(host, "eth0", box, "lan0")
            host.address("eth0", f"10.{side}.0.10/24", f"fd10:{side}::10/64")
            host.route("default", "via", f"10.{side}.0.1")
            host.route("default", "via", f"fd10:{side}::1")
            box.port("wan0", "wan", [f"192.0.2.{side}/24"], device=device)
            box.port("lan0", "lan", [f"10.{side}.0.1/24", f"fd10:{side}::1/64"], device=device)
            box.peer("other", self.boxes[2 - side].public_key,
                     [f"10.{3 - side}.0.0/16", f"fd10:{3 - side}::/64"],
                     endpoint=endpoint(f"192.0.2.{3 - side}"))
        for box in self.boxes:
            box.start(*arguments)

    def up(self):
        self.hosts[0].wait_ping(self.RIGHT[0])
        self.hosts[0].wait_ping(self.RIGHT[1])
        return self


class Uplinks:
    r"""One office with two uplinks, and a stock peer out in the internet.

        host ---- lan0 [box] wan0 ---- isp0 ---- internet ---- client (wireguard-go)
                             wan1 ---- isp1 -------'

    `wans` are the addresses and gateways of wan0 and wan1, by default one IPv4 network each, and
    `more` further settings of wan0. The internet is a bridge; each ISP routes to its customer.
    """

    WANS = ((["192.0.2.1/24"], "192.0.2.254/24"), (["203.0.113.1/24"], "203.0.113.254/24"))
    CLIENT = ("198.51.100.2", "2001:db8:ffff::2")

    def __init__(self, lab, wans=WANS, box_endpoint="192.0.2.1", more=None, arguments=(),
                 start=True):
        self.lab, self.arguments = lab, arguments
        self.box, self.host, self.client = Box(lab, "box"), lab.host("host"), lab.host("client")
        self.internet = lab.host("internet")
        self.internet.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.internet.run("ip", "link", "set", "dev", "br0", "up")
        self.isps = [self._isp(number, *wan) for number, wan in enumerate(wans)]
        self._join(self.client, "c")
        self.client.address("eth0", f"{self.CLIENT[0]}/24", f"{self.CLIENT[1]}/64")
        for number, (addresses, gateway) in enumerate(wans):
            self.box.port(f"wan{number}", "wan", addresses,
                          gateway=self._bare(gateway), **(more or {} if number == 0 else {}))
            for address in addresses:
                prefix, via = self._bare(address), self._transit(number, address)
                self.client.route(prefix, "via", via)
        lab.cable(self.host, "eth0", self.box, "lan0")
        self.box.port("lan0", "lan", [f"{BOX_LAN[0]}/24", f"{BOX_LAN[1]}/64"])
        self.tunnel = WireGuardGo(self.client, [f"{CLIENT[0]}/32"])
        self.peer = self.box.peer("client", self.tunnel.public_key, [f"{CLIENT[0]}/32"])
        self.tunnel.peer(self.box.public_key, ["10.1.0.0/16"],
                         endpoint=endpoint(box_endpoint) if box_endpoint else None)
        if start:
            self.start()

    @staticmethod
    def _bare(address):
        return address.split("/", maxsplit=1)[0]

    @staticmethod
    def _transit(number, address):
        return f"2001:db8:ffff::1{number}" if ":" in address else f"198.51.100.1{number}"

    def _join(self, host, name):
        self.lab.cable(host, "eth0", self.internet, name)
        self.internet.run("ip", "link", "set", "dev", name, "master", "br0")

    def _isp(self, number, addresses, gateway):
        isp = self.lab.host(f"isp{number}")
        self._join(isp, f"i{number}")
        isp.address("eth0", f"198.51.100.1{number}/24", f"2001:db8:ffff::1{number}/64")
        self.lab.cable(isp, "cust", self.box, f"wan{number}")
        isp.address("cust", gateway)
        for address in addresses:
            isp.route(self._bare(address), "dev", "cust")
        isp.forward()
        return isp

    def start(self):
        self.box.start(*self.arguments)
        self.host.address("eth0", f"{HOST[0]}/24")
        self.host.route("default", "via", BOX_LAN[0])
