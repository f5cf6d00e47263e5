# SPDX-License-Identifier: Apache-2.0
r"""The way from the box's own shell into the network, and back: the interface `meshgate`.

    box's shell ---- meshgate [box] wan0 ---- client (wireguard-go), a site of one host
                      twins: wan0, lan0       10.9.0.2
"""

import json
import signal

from lab import wait_for
from topology import BOX_LAN, CLIENT, HOST
from twin_test import Office, echo_server, talk
from wireguard_go import new_key, public_key

OTHER_SITE = "10.77.0.0/16"


class Shell:
    """What somebody sees who is logged in on the box."""

    def __init__(self, box):
        self.box = box

    def routes(self):
        """Destination -> source, of the routes that the box keeps."""
        found = {}
        for family in ("-4", "-6"):
            out = self.box.run("ip", family, "-j", "route", "show", "proto", "176").stdout
            found |= {each["dst"]: each.get("prefsrc") for each in json.loads(out or "[]")
                      if each["dev"] == "meshgate"}
        return found

    def wait_routes(self, wanted):
        wait_for(lambda: self.routes() == wanted, lambda: f"{self.routes()} to be {wanted}")

    def links(self):
        return self.box.run("ip", "-br", "link").stdout


def fetch(host, address, timeout=5):
    """By curl, with the body's length; 0 when nobody answers."""
    url = f"http://[{address}]:8000/" if ":" in address else f"http://{address}:8000/"
    done = host.run("curl", "-s", "-m", timeout, "-o", "/dev/null", "-w", "%{size_download}", url,
                    check=False)
    return int(done.stdout) if done.returncode == 0 else 0


def serve_http(host):
    """A megabyte, as the start page; by both families."""
    folder = host.lab.dir / f"{host.name}-www"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_bytes(bytes(1 << 20))
    return host.spawn("python3", "-m", "http.server", "8000", "--bind", "::",
                      "--directory", folder)


def test_the_box_and_other_sites_reach_each_other(lab):
    """curl, ping and TCP both ways; routes come and go with peers, the daemon, and after a crash;
    nothing leaves in clear meanwhile."""
    office = Office(lab, start=False)
    box, shell = office.box, Shell(office.box)
    box.peer("other", public_key(new_key()), [OTHER_SITE])
    box.start()
    peers = {CLIENT[0]: BOX_LAN[0], CLIENT[1]: BOX_LAN[1]}
    shell.wait_routes({**peers, OTHER_SITE: BOX_LAN[0]})
    for host in (box, office.client):
        serve_http(host)
    for near, far in zip(BOX_LAN, CLIENT):
        office.client.wait_ping(near)
        assert box.ping(far, count=1) == 1, far
        wait_for(lambda: fetch(box, far) == 1 << 20, f"curl to {far}")
        wait_for(lambda: fetch(office.client, near) == 1 << 20, f"curl to {near}")
    box.config["peers"] = [peer for peer in box.config["peers"] if peer["name"] != "other"]
    box.reload()
    shell.wait_routes(peers)
    # Somebody's mistakes.
    box.run("ip", "route", "delete", CLIENT[0], "dev", "meshgate")
    box.run("ip", "address", "delete", f"{BOX_LAN[0]}/24", "dev", "lan0")
    shell.wait_routes(peers)
    wait_for(lambda: f"{BOX_LAN[0]}/24" in office.addresses("lan0"), "the address")

    box.stop(signal.SIGKILL)
    with office.client.capture("eth0") as seen:
        assert shell.routes() == peers and fetch(box, CLIENT[0], timeout=0.3) == 0
    assert not any(frame[12:14] == b"\x08\x00" and frame[23] == 6 for _, frame in seen.frames), \
        "in clear"
    box.config["peers"][0]["allowed_ips"] = [f"{CLIENT[0]}/32", OTHER_SITE]
    box.start()
    shell.wait_routes({CLIENT[0]: BOX_LAN[0], OTHER_SITE: BOX_LAN[0]})
    box.stop()
    assert shell.routes() == {} and "meshgate" not in shell.links()


def test_the_source_of_a_box_without_a_twin_on_its_site(lab):
    """The port's address is on `meshgate` then, and answers come back."""
    office = Office(lab, start=False)
    box, shell = office.box, Shell(office.box)
    box.config["ports"][1]["host"] = False
    box.start()
    office.client.wait_ping(BOX_LAN[0])
    shell.wait_routes({CLIENT[0]: BOX_LAN[0], CLIENT[1]: BOX_LAN[1],
                       "10.1.0.0/24": BOX_LAN[0], "fd10:1::/64": BOX_LAN[1]})
    assert box.ping(HOST[0], count=1) == 1
    for far in CLIENT:
        with echo_server(office.client, far):
            assert talk(box, far) == b"hello", far
    with echo_server(box, BOX_LAN[0]):
        assert talk(office.client, BOX_LAN[0]) == b"hello"
    box.sysctl("net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1")
    wait_for(lambda: any("forwards IPv6" in line for line in box.status()["problems"]),
             lambda: box.status()["problems"])
    out = box.meshgate("check", box.config_file, check=False)
    assert out.stderr.count("kernel-forwards") + out.stdout.count("kernel-forwards") == 2, out
    wait_for(lambda: box.run("cat", "/proc/sys/net/ipv4/conf/wan0/forwarding").stdout == "0\n",
             "the twin to forward nothing")
    box.sysctl("net.ipv6.conf.all.forwarding=0")
    wait_for(lambda: not any("forwards IPv6" in line for line in box.status()["problems"]),
             lambda: box.status()["problems"])
