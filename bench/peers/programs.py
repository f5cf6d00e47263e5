# SPDX-License-Identifier: Apache-2.0
"""The programs that are measured beside each other, each as two gateways in the same place.

    left ---- lan0 [gateway1] wan0 ---- wan0 [gateway2] lan0 ---- right
    10.1.0.10            192.0.2.1       192.0.2.2           10.2.0.10

Each builder takes (lab, options) and returns a Place. All tunnels have an MTU of 1420. A program
that is not installed raises Missing.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass

from box import Box
from lab import BUILD, Host, LabError, wait_for
from wireguard_go import WireGuardGo

LEFT, RIGHT = "10.1.0.10", "10.2.0.10"
TUNNEL_MTU = 1420
FORWARDER = BUILD / "bench/forwarder"


class Missing(Exception):
    """The program is not installed; the text names its package."""


@dataclass
class Place:
    hosts: list      # left, right
    processes: list  # of the two gateways, first the left one's


def need(program, package):
    if shutil.which(program) is None:
        raise Missing(f"{program} is not installed (package {package})")


def join(lab, options, gateways):
    """Hosts behind the two gateways, and the cable between these."""
    hosts = []
    for side, (name, gateway) in enumerate(zip(("left", "right"), gateways), 1):
        host = lab.host(name)
        lab.cable(host, "eth0", gateway, "lan0", offloads=options.offloads)
        host.address("eth0", f"10.{side}.0.10/24")
        host.route("default", "via", f"10.{side}.0.1")
        hosts.append(host)
    lab.cable(gateways[0], "wan0", gateways[1], "wan0", offloads=options.offloads)
    return hosts


def kernel_routers(lab, options):
    """Gateways whose kernel routes between lan0, wan0 and the tunnel program's interface."""
    gateways = [lab.host("gateway1"), lab.host("gateway2")]
    hosts = join(lab, options, gateways)
    for side, gateway in enumerate(gateways, 1):
        gateway.forward()
        gateway.address("wan0", f"192.0.2.{side}/24")
        gateway.address("lan0", f"10.{side}.0.1/24")
    return gateways, hosts


def interface_is_there(gateway, interface):
    def there():
        return gateway.run("ip", "link", "show", "dev", interface, check=False).returncode == 0
    wait_for(there, f"interface {interface} on {gateway.name}")


def folder(lab, gateway):
    path = lab.dir / gateway.name
    path.mkdir(exist_ok=True)
    return path


# ---- ours ----

def meshgate(lab, options):
    boxes = [Box(lab, "gateway1"), Box(lab, "gateway2")]
    hosts = join(lab, options, boxes)
    for side, box in enumerate(boxes, 1):
        box.port("wan0", "wan", [f"192.0.2.{side}/24"], device=options.device)
        box.port("lan0", "lan", [f"10.{side}.0.1/24"], device=options.device)
        box.config["dataplane"].update(workers=options.workers, idle=options.idle)
    boxes[0].peer("right", boxes[1].public_key, ["10.2.0.0/16"], "192.0.2.2:51820")
    boxes[1].peer("left", boxes[0].public_key, ["10.1.0.0/16"], "192.0.2.1:51820")
    for box in boxes:
        box.start()
    return Place(hosts, [box.process for box in boxes])


# ---- the ports of a box with no gateway between them ----

def wire(lab, options):
    """Gateways that are a wire: the hosts see each other's frames."""
    gateways = []
    for name in ("gateway1", "gateway2"):
        gateway = Host(lab, name)
        lab.hosts.append(gateway)
        gateway.sysctl("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        gateways.append(gateway)
    hosts = join(lab, options, gateways)
    for host in hosts:
        host.run("ip", "link", "set", "dev", "eth0", "mtu", TUNNEL_MTU)
        host.route("default", "dev", "eth0")
    return gateways, hosts


def forwarder(lab, options):
    gateways, hosts = wire(lab, options)
    processes = []
    for gateway in gateways:
        process = gateway.spawn(FORWARDER, *(f"{options.device}:{name}" for name in ("lan0", "wan0")),
                                options.idle)
        process.wait_output("ready")
        processes.append(process)
    return Place(hosts, processes)


def testpmd(lab, options):
    need("dpdk-testpmd", "dpdk-dev")
    gateways, hosts = wire(lab, options)
    more = "busy_budget=0" if options.device == "af_xdp" else \
        "qdisc_bypass=1,framesz=2048,framecnt=4096,blocksz=65536"
    everywhere = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))
    processes = []
    for gateway in gateways:
        vdevs = [f"--vdev=net_{options.device}{i},iface={name},{more}"
                 for i, name in enumerate(("lan0", "wan0"))]
        # stdin stays open: it ends when that does.
        process = gateway.spawn(
            "dpdk-testpmd", "--lcores", f"0@({everywhere}),1@({everywhere})", "--no-huge",
            "--no-shconf", "--no-telemetry", "-m", 256, "--no-pci", *vdevs,
            f"--file-prefix={gateway.netns}", "--", "--forward-mode=io", "--auto-start",
            "--no-lsc-interrupt", "--total-num-mbufs=32768", "--burst=64", stdin=subprocess.PIPE)
        process.wait_output("Checking link statuses", seconds=30)  # what follows stays in a buffer
        processes.append(process)
    return Place(hosts, processes)


# ---- others ----

def wireguard_go(lab, options):
    need("wireguard-go", "wireguard-go")
    gateways, hosts = kernel_routers(lab, options)
    tunnels = [WireGuardGo(gateway, [], mtu=TUNNEL_MTU, deep_buffers=False) for gateway in gateways]
    tunnels[0].peer(tunnels[1].public_key, ["10.2.0.0/16"], "192.0.2.2:51820")
    tunnels[1].peer(tunnels[0].public_key, ["10.1.0.0/16"], "192.0.2.1:51820")
    return Place(hosts, [tunnel.process for tunnel in tunnels])


def openvpn(lab, options):
    """Point to point over UDP, TLS for the keys, ChaCha20-Poly1305 for the data."""
    need("openvpn", "openvpn")
    need("openssl", "openssl")
    gateways, hosts = kernel_routers(lab, options)
    fingerprints = []
    for gateway in gateways:
        path = folder(lab, gateway)
        gateway.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", 2, "-subj", f"/CN={gateway.name}",
                    "-keyout", path / "key.pem", "-out", path / "cert.pem")
        printed = gateway.run("openssl", "x509", "-in", path / "cert.pem", "-noout",
                              "-fingerprint", "-sha256").stdout
        fingerprints.append(printed.split("=", 1)[1].strip())
    processes = []
    for side, gateway in enumerate(gateways, 1):
        path, other = folder(lab, gateway), 3 - side
        processes.append(gateway.spawn(
            "openvpn", "--dev", "ovpn", "--dev-type", "tun", "--proto", "udp", "--port", 1194,
            "--local", f"192.0.2.{side}", "--remote", f"192.0.2.{other}",
            *(["--tls-server", "--dh", "none"] if side == 1 else ["--tls-client"]),
            "--cert", path / "cert.pem", "--key", path / "key.pem",
            "--peer-fingerprint", fingerprints[other - 1],
            "--data-ciphers", "CHACHA20-POLY1305", "--tun-mtu", TUNNEL_MTU,
            "--ifconfig", f"10.99.0.{side}", f"10.99.0.{other}",
            "--route", f"10.{other}.0.0", "255.255.0.0"))
    return Place(hosts, processes)


def tinc(lab, options):
    """tinc 1.0 with AES-256-CBC and SHA-256: it has no AEAD."""
    need("tincd", "tinc")
    gateways, hosts = kernel_routers(lab, options)
    names = [gateway.name for gateway in gateways]
    for side, gateway in enumerate(gateways, 1):
        path = folder(lab, gateway)
        (path / "hosts").mkdir()
        (path / "tinc.conf").write_text(
            f"Name = {gateway.name}\nInterface = tinc\nDeviceType = tun\nBindToAddress = 192.0.2.{side}\n"
            + (f"ConnectTo = {names[1]}\n" if side == 1 else ""))
        (path / "hosts" / gateway.name).write_text(
            f"Address = 192.0.2.{side}\nSubnet = 10.{side}.0.0/16\nCipher = aes-256-cbc\n"
            f"Digest = sha256\nPMTU = {TUNNEL_MTU}\n")
        gateway.run("tincd", "-c", path, "-K", 2048, input="\n\n")
    for gateway, other in zip(gateways, reversed(gateways)):
        shutil.copy(folder(lab, other) / "hosts" / other.name,
                    folder(lab, gateway) / "hosts" / other.name)
    processes = []
    for side, gateway in enumerate(gateways, 1):
        path = folder(lab, gateway)
        processes.append(gateway.spawn("tincd", "-c", path, "-D", "--pidfile", path / "pid"))
        interface_is_there(gateway, "tinc")
        gateway.run("ip", "link", "set", "dev", "tinc", "mtu", TUNNEL_MTU, "up")
        gateway.route(f"10.{3 - side}.0.0/16", "dev", "tinc")
    return Place(hosts, processes)


def fastd(lab, options):
    """Salsa20/12 with UMAC, the method that its documentation recommends."""
    need("fastd", "fastd")
    gateways, hosts = kernel_routers(lab, options)
    keys = []
    for gateway in gateways:
        lines = gateway.run("fastd", "--machine-readable", "--generate-key").stdout.split()
        public = gateway.run("fastd", "--machine-readable", "--show-key", "--config", "-",
                             input=f'secret "{lines[0]}";\n').stdout.split()
        keys.append((lines[0], public[0]))
    processes = []
    for side, gateway in enumerate(gateways, 1):
        other = 3 - side
        file = folder(lab, gateway) / "fastd.conf"
        file.touch(mode=0o600)
        file.write_text(
            f'mode tun;\ninterface "fastd";\nmtu {TUNNEL_MTU};\nmethod "salsa2012+umac";\n'
            f'bind 192.0.2.{side}:10000;\nsecret "{keys[side - 1][0]}";\n'
            f'peer "other" {{ key "{keys[other - 1][1]}"; remote ipv4 192.0.2.{other} port 10000; }}\n')
        processes.append(gateway.spawn("fastd", "--config", file))
        interface_is_there(gateway, "fastd")
        gateway.run("ip", "link", "set", "dev", "fastd", "up")
        gateway.route(f"10.{other}.0.0/16", "dev", "fastd")
    return Place(hosts, processes)


def nebula(lab, options):
    """AES-256-GCM, the default; the left gateway is the lighthouse."""
    need("nebula", "nebula")
    gateways, hosts = kernel_routers(lab, options)
    authority = lab.dir / "nebula"
    authority.mkdir()
    gateways[0].run("nebula-cert", "ca", "-name", "lab", "-duration", "24h", "-out-crt",
                    authority / "ca.crt", "-out-key", authority / "ca.key")
    processes = []
    for side, gateway in enumerate(gateways, 1):
        path, other = folder(lab, gateway), 3 - side
        gateway.run("nebula-cert", "sign", "-name", gateway.name, "-ip", f"10.99.0.{side}/24",
                    "-subnets", f"10.{side}.0.0/16", "-ca-crt", authority / "ca.crt", "-ca-key",
                    authority / "ca.key", "-out-crt", path / "host.crt", "-out-key", path / "host.key")
        anything = [{"port": "any", "proto": "any", "host": "any"}]
        config = {
            "pki": {"ca": str(authority / "ca.crt"), "cert": str(path / "host.crt"),
                    "key": str(path / "host.key")},
            "static_host_map": {f"10.99.0.{other}": [f"192.0.2.{other}:4242"]},
            "lighthouse": {"am_lighthouse": side == 1,
                           **({} if side == 1 else {"hosts": ["10.99.0.1"]})},
            "listen": {"host": "0.0.0.0", "port": 4242},
            "tun": {"dev": "nebula", "mtu": TUNNEL_MTU,
                    "unsafe_routes": [{"route": f"10.{other}.0.0/16", "via": f"10.99.0.{other}",
                                       "mtu": TUNNEL_MTU}]},
            "firewall": {"outbound": anything, "inbound": anything},
        }
        file = path / "nebula.yaml"
        file.write_text(json.dumps(config))  # JSON is YAML
        processes.append(gateway.spawn("nebula", "-config", file))
    return Place(hosts, processes)


# In the order in which they run. Ours last, so that a machine that warms up does not favour it.
PROGRAMS = {"wireguard-go": wireguard_go, "openvpn": openvpn, "tinc": tinc, "fastd": fastd,
            "nebula": nebula, "testpmd": testpmd, "forwarder": forwarder, "meshgate": meshgate}

__all__ = ["LEFT", "RIGHT", "PROGRAMS", "Missing", "Place", "LabError"]
