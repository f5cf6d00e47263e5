# SPDX-License-Identifier: Apache-2.0
"""Debian's own programs on hosts and boxes of the lab: dnsmasq, udhcpc, sshd."""

import signal
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import run, wait_for

# What a DHCP client does with a lease, and nothing else of the machine. `bound` says when.
LEASE_SCRIPT = """#!/bin/sh
case $1 in
deconfig)
    ip link set dev $interface up
    ip -4 address flush dev $interface scope global ;;
bound | renew)
    for dns in $dns; do echo "nameserver $dns"; done >@DIR@/resolv.conf
    ip -4 address replace $ip/$mask dev $interface
    ip -4 route replace default via $router dev $interface
    echo "$ip $(date +%s.%N)" >@DIR@/bound ;;
esac
"""

# Private to the process and its sessions: /run is that of nobody, and root may log in by key.
SSHD_START = """mount -t tmpfs tmpfs /run && mkdir -m 0755 /run/sshd
{prelude}
sed 's/^root:[^:]*:/root:*:/' /etc/shadow >{dir}/shadow && mount --bind {dir}/shadow /etc/shadow
rm {dir}/shadow && exec {sshd} -D -e -f {dir}/sshd_config"""


def folder_of(host, name):
    folder = host.lab.dir / f"{host.name}-{name}"
    folder.mkdir(exist_ok=True)
    return folder


def dnsmasq(host, interface, *options):
    """Serves what the options say on one interface, and on no other."""
    folder = folder_of(host, "dnsmasq")
    process = host.spawn("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts",
                         f"--interface={interface}", "--except-interface=lo", "--bind-dynamic",
                         "--dhcp-authoritative", f"--dhcp-leasefile={folder}/leases",
                         f"--pid-file={folder}/pid", "--user=root", "--log-facility=-",
                         "--log-dhcp", "--no-ping", *options)
    process.wait_output("started")
    return process


class DhcpClient:
    """udhcpc on an interface; `resolv_conf` names the name servers of its lease."""

    def __init__(self, host, interface):
        self.folder = folder_of(host, "udhcpc")
        self.resolv_conf, self.bound_file = self.folder / "resolv.conf", self.folder / "bound"
        self.resolv_conf.touch()
        script = self.folder / "script"
        script.write_text(LEASE_SCRIPT.replace("@DIR@", str(self.folder)))
        script.chmod(0o755)
        self.process = host.spawn("udhcpc", "-f", "-i", interface, "-s", script, "-t", "30", "-T",
                                  "1", "-A", "1")

    def bound(self):
        """The address of its last lease and when the kernel had it; none: ("", 0)."""
        words = self.bound_file.read_text().split() if self.bound_file.exists() else []
        return (words[0], float(words[1])) if len(words) == 2 else ("", 0.0)

    def renew(self):
        """At once, as at half the time of the lease."""
        self.process.popen.send_signal(signal.SIGUSR1)

    def wait_bound(self, address, seconds=15):
        wait_for(lambda: self.bound()[0] == address,
                 lambda: f"a lease of {address}: {self.bound()}", seconds)
        return self.bound()[1]


class Sshd:
    """Debian's sshd, with a host key and a way in of the lab's own; root logs in by key."""

    def __init__(self, host, keys, prelude="", environment=()):
        """`prelude`: what the shell does first that becomes sshd."""
        self.host = host
        folder = folder_of(host, "sshd")
        keys.make(folder / "host_key")
        (folder / "sshd_config").write_text(f"""Port 22
            HostKey {folder}/host_key
            PidFile none
            AuthorizedKeysFile {keys.identity}.pub
            AuthenticationMethods publickey
            PermitRootLogin prohibit-password
            StrictModes no
            UsePAM no
            UseDNS no
            PrintMotd no
            {f"SetEnv {' '.join(environment)}" if environment else ""}
            """)
        self.host_key = (folder / "host_key.pub").read_text().split()[:2]
        self.process = host.spawn("sh", "-ec", SSHD_START.format(
            dir=folder, sshd=sshd_program(), prelude=prelude),
                                  name=f"{host.name}-sshd")
        self.process.wait_output("Server listening")


def sshd_program():
    return next(path for path in ("/usr/sbin/sshd", "/usr/bin/sshd") if Path(path).exists())


class SshKeys:
    """One identity for everybody who logs in."""

    def __init__(self, lab):
        self.lab = lab
        self.identity = lab.dir / "identity"
        self.make(self.identity)

    @staticmethod
    def make(path):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)

    def command(self, sshd, address, *words, options=()):
        known = self.lab.dir / f"known-{sshd.host.name}"
        known.write_text(f"* {' '.join(sshd.host_key)}\n")
        return ["ssh", "-F", "none", "-i", self.identity, "-o", "BatchMode=yes",
                "-o", "ConnectTimeout=5", "-o", "StrictHostKeyChecking=yes",
                "-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none",
                *options, f"root@{address}", *words]

    def login(self, host, sshd, address, *words):
        """What the words print over there; empty when nobody gets in."""
        return host.run(*self.command(sshd, address, *words), check=False).stdout.strip()

    def session(self, host, sshd, address, *words, options=()):
        """One that stays."""
        return host.spawn(*self.command(sshd, address, *words, options=options),
                          stdin=subprocess.PIPE, name=f"{host.name}-ssh")


@dataclass(frozen=True, order=True)
class Service:
    protocol: str
    port: int

    def __str__(self):
        return f"{self.protocol} {self.port}"


def services(host):
    """What the programs of a host wait for, whoever may reach it."""
    found = set()
    for protocol, option in (("tcp", "-ltnH"), ("udp", "-lunH")):
        for line in host.run("ss", option).stdout.splitlines():
            found.add(Service(protocol, int(line.split()[3].rsplit(":", 1)[1])))
    return found


def dns_question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0x4d47, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def resolve(host, name, resolv_conf, seconds=2):
    """The IPv4 address that the first name server of a resolv.conf gives; empty without an answer."""
    servers = [words[1] for line in resolv_conf.read_text().splitlines()
               if (words := line.split())[:1] == ["nameserver"]]
    if not servers:
        return ""
    question = dns_question(name)
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(seconds)
        one.connect((servers[0], 53))
        one.send(question)
        answer = one.recv(2048)
    # Behind the question: one A record, whose data is its end.
    record = answer[len(question):]
    return socket.inet_ntoa(record[-4:]) if record[2:4] == b"\0\1" and len(record) == 16 else ""


def probe(host, address, service, seconds):
    """"open", "refused" or, when nothing comes back, None."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if service.protocol == "tcp" else socket.SOCK_DGRAM
    with host.socket(family, kind) as one:
        one.settimeout(seconds)
        try:
            one.connect((address, service.port))
            if service.protocol == "udp":
                one.send(dns_question("www.example.net"))
                one.recv(2048)
            return "open"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return None


def scan(host, targets, seconds=1.0):
    """{(address, service): "open" or "refused"} of the targets from which anything comes back."""
    with ThreadPoolExecutor(max_workers=max(1, len(targets))) as pool:
        found = pool.map(lambda target: probe(host, *target, seconds), targets)
        return {target: answer for target, answer in zip(targets, found) if answer}
