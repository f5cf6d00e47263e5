# SPDX-License-Identifier: Apache-2.0
"""A stock WireGuard peer: wireguard-go, set up by wg(8)."""

import ctypes
import os
import socket
import subprocess

from lab import LabError, run, wait_for

# At the system's 212992 bytes some 90 packets wait, 45 ms of a stream of 2000/s: a machine that
# does not schedule the receiver for so long would lose what the box has delivered.
RECEIVE_BUFFER_BYTES = 64 << 20
_SO_RCVBUFFORCE = 33
_SYS_PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


def udp_sockets(pid):
    """Duplicates of a process's UDP sockets; the caller closes them."""
    found = []
    pidfd = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            fd = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, int(number), 0)
            if fd < 0:
                continue  # closed meanwhile
            try:
                one = socket.socket(fileno=fd)
            except OSError:
                os.close(fd)  # no socket
                continue
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_DGRAM:
                found.append(one)
            else:
                one.close()
    finally:
        os.close(pidfd)
    return found


def new_key():
    return run("wg", "genkey").stdout.strip()


def new_preshared_key():
    return run("wg", "genpsk").stdout.strip()


def public_key(private_key):
    return subprocess.run(["wg", "pubkey"], input=private_key, capture_output=True, text=True,
                          check=True).stdout.strip()


class WireGuardGo:
    """Runs wireguard-go on a host, on an interface of its own.

    addresses: of the interface, such as ["10.9.0.2/32"]. Routes to the allowed IPs of its peers
    lead into it. `deep_buffers` is for tests that count packets; measurements take it as it comes.
    """

    def __init__(self, host, addresses, private_key=None, listen_port=51820, mtu=1420,
                 deep_buffers=True):
        self.host, self.addresses, self.mtu = host, addresses, mtu
        self.deep_buffers = deep_buffers
        self.private_key = private_key or new_key()
        self.public_key = public_key(self.private_key)
        self.listen_port = listen_port
        self.interface = host.lab.unique_name("wg")
        self.peers = {}
        self.start()

    def start(self):
        self.process = self.host.spawn("env", "WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=error",
                                       "wireguard-go", "-f", self.interface,
                                       name=f"{self.host.name}-wireguard-go")
        def answers():
            """Not asked by wg(8): that removes a socket on which nobody listens yet, and then
            wireguard-go, which was about to, ends."""
            if not self.process.running():
                raise LabError(f"wireguard-go ended:\n{self.process.output()}")
            with socket.socket(socket.AF_UNIX) as one:
                return one.connect_ex(f"/var/run/wireguard/{self.interface}.sock") == 0
        wait_for(answers, f"wireguard-go on {self.host.name}")
        self.wg("set", self.interface, "private-key", "/dev/stdin", "listen-port",
                self.listen_port, input=self.private_key)
        self.host.run("ip", "link", "set", "dev", self.interface, "mtu", self.mtu,
                      "txqueuelen", "10000")
        self.host.address(self.interface, *self.addresses)
        self._deepen_sockets()
        for key, settings in self.peers.items():
            self._apply(key, **settings)

    def _deepen_sockets(self):
        """It has a socket of each IP version, which it opens a moment after it was told to."""
        if not self.deep_buffers:
            return
        def both_have_it():
            sockets = udp_sockets(self.process.pid)
            for one in sockets:
                one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
            ports = [one.getsockname()[1] for one in sockets]
            for one in sockets:
                one.close()
            return ports == [self.listen_port] * 2
        wait_for(both_have_it, f"the sockets of wireguard-go on {self.host.name}")

    def wg(self, *words, **options):
        return self.host.run("wg", *words, **options).stdout

    def peer(self, key, allowed_ips, endpoint=None, keepalive=None, preshared_key=None):
        self.peers[key] = {"allowed_ips": allowed_ips, "endpoint": endpoint,
                           "keepalive": keepalive, "preshared_key": preshared_key}
        self._apply(key, **self.peers[key])

    def _apply(self, key, allowed_ips, endpoint, keepalive, preshared_key):
        words = ["set", self.interface, "peer", key, "allowed-ips", ",".join(allowed_ips)]
        words += ["endpoint", endpoint] if endpoint else []
        words += ["persistent-keepalive", keepalive] if keepalive else []
        words += ["preshared-key", "/dev/stdin"] if preshared_key else []
        self.wg(*words, input=preshared_key or "")
        for prefix in allowed_ips:
            self.host.route(prefix, "dev", self.interface)

    def set(self, *words):
        """wg set INTERFACE ..."""
        self.wg("set", self.interface, *words)
        if "listen-port" in words:
            self.listen_port = int(words[words.index("listen-port") + 1])
            self._deepen_sockets()

    def dump(self):
        """Its one peer: a dict of latest_handshake, rx, tx, endpoint."""
        line = self.wg("show", self.interface, "dump").splitlines()[1].split("\t")
        return {"endpoint": line[2], "latest_handshake": int(line[4]), "rx": int(line[5]),
                "tx": int(line[6])}

    def stop(self):
        self.process.stop()

    def restart(self):
        self.stop()
        self.start()
