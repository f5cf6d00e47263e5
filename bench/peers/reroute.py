# SPDX-License-Identifier: Apache-2.0
r"""Five sites, every one linked to every other; the link that two of them use is cut silently.

    h-n1 ---- [n1] ---.            .--- [n2] ---- h-n2
                       \          /
    h-n3 ---- [n3] --- [ internet ] --- [n4] ---- h-n4          n5 likewise
    n1 <-> n2: what the router drops from a moment on, without a word to anybody

Streams of packets go between all pairs of hosts. mesh/PROGRAM/lost: how many did not arrive, until the
two reach each other again and a second longer. mesh/PROGRAM/outage: the longest time for which one
stream lost every packet. One program after the other, in the same place, with the same cut.

babeld        Debian's, with a wireguard-go tunnel for each pair; its intervals as they come (4 s)
babeld-200ms  the same, with a Hello each 200 ms, as often as a Meshgate box sends them
yggdrasil     Debian's, with a TCP peering for each pair; hosts have addresses of its subnets
meshgate      boxes with a network file; two of them relay
"""

import itertools
import json
import time
from dataclasses import dataclass

import traffic
from lab import Lab, LabError, claimed_processor, run
from mesh import Internet, Mesh
from programs import Missing, folder, need
from wireguard_go import WireGuardGo

NB_NODES = 5
RATE = 100
BEFORE_SECONDS = 1
SETTLED_SECONDS = 1
RECOVERY_SECONDS = 90
SETTLING_SECONDS = 120


@dataclass
class Site:
    node: object
    uplink: object
    host: object
    address: str = ""  # of the host


def kernel_sites(lab):
    """Nodes whose kernel routes, with a host behind each; hosts have no address yet."""
    internet, sites = Internet(lab), []
    for number in range(1, NB_NODES + 1):
        node, host = lab.host(f"n{number}"), lab.host(f"h-n{number}")
        node.forward()
        uplink = internet.attach(node, "wan0")
        node.address("wan0", f"{uplink.inside}/24")
        node.route("198.18.0.0/16", "via", uplink.gateway)
        lab.cable(host, "eth0", node, "lan0")
        sites.append(Site(node, uplink, host))
    return internet, sites


def babeld(lab, hello_seconds=None):
    need("babeld", "babeld")
    need("wireguard-go", "wireguard-go")
    internet, sites = kernel_sites(lab)
    interfaces = {site.node.name: [] for site in sites}
    for (i, one), (j, other) in itertools.combinations(enumerate(sites, 1), 2):
        ends = [WireGuardGo(site.node, [f"fe80::{own}:{peer}/64"], listen_port=51820 + peer,
                            deep_buffers=False)
                for site, own, peer in ((one, i, j), (other, j, i))]
        for end, far, site, port in ((ends[0], ends[1], other, 51820 + i),
                                     (ends[1], ends[0], one, 51820 + j)):
            end.set("peer", far.public_key, "allowed-ips", "0.0.0.0/0,::/0",
                    "endpoint", f"{site.uplink.outside}:{port}")
            interfaces[end.host.name].append(end.interface)
    for number, site in enumerate(sites, 1):
        site.address = f"10.{number}.0.10"
        site.node.address("lan0", f"10.{number}.0.1/24")
        site.host.address("eth0", f"{site.address}/24")
        site.host.route("default", "via", f"10.{number}.0.1")
        pace = f" hello-interval {hello_seconds} update-interval {4 * hello_seconds}" \
            if hello_seconds else ""
        path = folder(lab, site.node)
        (path / "babeld.conf").write_text(
            "".join(f"interface {name} type tunnel v4-via-v6 true{pace}\n"
                    for name in interfaces[site.node.name])
            + f"redistribute ip 10.{number}.0.0/24 eq 24 allow\nredistribute local deny\n")
        site.node.spawn("babeld", "-I", path / "babeld.pid", "-S", path / "state", "-c",
                        path / "babeld.conf", *interfaces[site.node.name])
    return internet, sites


def yggdrasil(lab):
    need("yggdrasil", "yggdrasil")
    internet, sites = kernel_sites(lab)
    for site in sites:
        path = folder(lab, site.node) / "yggdrasil.conf"
        config = json.loads(run("yggdrasil", "-genconf", "-json").stdout)
        config.update(
            IfName="ygg0", IfMTU=1420, AdminListen="none", MulticastInterfaces=[],
            Listen=[f"tcp://{site.uplink.outside}:9000"],
            Peers=[f"tcp://{other.uplink.outside}:9000" for other in sites[:sites.index(site)]])
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        subnet = run("yggdrasil", "-useconffile", path, "-subnet").stdout.strip()
        prefix = subnet.removesuffix("::/64")
        site.address = f"{prefix}::10"
        site.node.address("lan0", f"{prefix}::1/64")
        site.host.address("eth0", f"{site.address}/64")
        site.host.route("default", "via", f"{prefix}::1")
        site.node.spawn("yggdrasil", "-useconffile", path)
    return internet, sites


def meshgate(lab):
    mesh = Mesh(lab)
    for number in range(1, NB_NODES + 1):
        # The relays are neither of the two whose link is cut.
        mesh.box(f"n{number}", relay=number in (3, 4))
    mesh.start()
    return mesh.internet, [Site(box, box.uplinks[0], box.host, box.host_address)
                           for box in mesh.boxes.values()]


PROGRAMS = {"babeld": babeld, "babeld-200ms": lambda lab: babeld(lab, hello_seconds=0.2),
            "yggdrasil": yggdrasil, "meshgate": meshgate}


def uses_its_link(internet, one, other):
    """Whether what their hosts say goes directly between the two, both ways."""
    with internet.router.capture(one.uplink.router_port) as seen:
        one.host.ping(other.address, count=5, size=1000, interval=0.02)
    ends = (one.uplink.number, other.uplink.number)
    ways = [(frame[28], frame[32]) for _, frame in seen.frames
            if frame[12:14] == b"\x08\x00" and len(frame) > 1000]
    return set(ways) == {ends, ends[::-1]}


def settle(internet, sites):
    """Until everybody reaches everybody, and the link that will be cut is in use for good."""
    for one, other in itertools.permutations(sites, 2):
        one.host.wait_ping(other.address, seconds=SETTLING_SECONDS)
    in_use = 0
    deadline = time.monotonic() + SETTLING_SECONDS
    while in_use < 5:
        in_use = in_use + 1 if uses_its_link(internet, *sites[:2]) else 0
        if time.monotonic() > deadline:
            raise LabError("the link between the first two never came into use")
        time.sleep(1)


def measure(name, rate=RATE):
    """Figure's name -> (values, unit, which way is better)."""
    with claimed_processor(), Lab() as lab:
        internet, sites = PROGRAMS[name](lab)
        settle(internet, sites)
        streams = traffic.UdpStreams(
            [(one.host, other.host, other.address) for one, other in itertools.permutations(sites, 2)],
            rate=rate)
        time.sleep(BEFORE_SECONDS)
        internet.cut(sites[0].uplink, sites[1].uplink)
        time.sleep(0.2)  # what was under way arrives
        sites[0].host.wait_ping(sites[1].address, seconds=RECOVERY_SECONDS)
        time.sleep(SETTLED_SECONDS)
        outcome = streams.finish()
    return {f"mesh/{name}/lost": ([outcome.lost], f"of {outcome.offered}", "less"),
            f"mesh/{name}/outage": ([outcome.outage_ms], "ms", "less")}


def measure_all(say, programs=None):
    """The figures, and why some program has none."""
    figures, failures = {}, {}
    for name in programs or PROGRAMS:
        say(f"mesh {name} ...")
        try:
            figures.update(measure(name))
        except Missing as reason:
            failures[f"mesh/{name}"] = str(reason)
        except LabError as reason:
            failures[f"mesh/{name}"] = f"failed: {str(reason).splitlines()[0]}"
    return figures, failures


def missed(results):
    """Programs beside which a mesh of boxes did not lose fewer packets, in words."""
    values = {result["name"]: result["value"] for result in results}
    ours = values.get("mesh/meshgate/lost")
    for name in PROGRAMS:
        theirs = values.get(f"mesh/{name}/lost")
        if name != "meshgate" and None not in (ours, theirs) and ours >= theirs:
            yield f"mesh/meshgate/lost: {ours}, wanted fewer than {name}'s {theirs}"
