# SPDX-License-Identifier: Apache-2.0
"""A Meshgate box in a namespace of its own.

    box = Box(lab, "berlin")
    box.port("wan0", "wan", ["192.0.2.1/24"])
    box.port("lan0", "lan", ["10.1.0.1/24"])
    box.peer("alice", key, ["10.9.0.2/32"])
    ... cables to wan0 and lan0 ...
    box.start()
"""

import json
import os
import re
import signal
import socket
from pathlib import Path

from lab import BUILD, Host, LabError, run, wait_for
from wireguard_go import new_key, public_key

DAEMON = BUILD / "control/meshgated"
COMMAND = BUILD / "cli/meshgate"
BUG = re.compile(r"bug:|Sanitizer|runtime error|Assertion|PANIC|segfault|terminate called")


def to_yaml(value, indent=0):
    """Block style for mappings and lists of mappings, flow style (JSON) for the rest."""
    pad = "  " * indent
    if isinstance(value, dict):
        text = ""
        for key, item in value.items():
            nested = isinstance(item, dict) or (isinstance(item, list) and item
                                                and isinstance(item[0], dict))
            text += f"{pad}{key}:\n{to_yaml(item, indent + 1)}" if nested else \
                f"{pad}{key}: {json.dumps(item)}\n"
        return text
    return "".join(f"{pad}- " + to_yaml(item, indent + 1).lstrip() for item in value)


class Box(Host):
    def __init__(self, lab, name, listen_port=51820):
        super().__init__(lab, name)
        lab.hosts.append(self)
        lab.boxes.append(self)
        # The kernel must not speak on the box's interfaces: they belong to the dataplane.
        self.sysctl("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        self.dir = lab.dir / name
        self.dir.mkdir()
        self.private_key = new_key()
        self.public_key = public_key(self.private_key)
        self.wg_interface = lab.unique_name("mg")
        self.process = None
        self.environment = {}  # of the daemon, besides ours
        self.config = {
            "node": {"name": name, "private_key_file": self.secret("box.key", self.private_key)},
            "ports": [],
            "routes": [],
            "wireguard": {"listen_port": listen_port},
            "dataplane": {"workers": 1},
            "peers": [],
            "control": {"socket": str(self.dir / "meshgate.sock"),
                        "wg_socket": f"/var/run/wireguard/{self.wg_interface}.sock"},
            "log": {"level": "info"},
        }

    @property
    def config_file(self):
        return self.dir / "meshgate.yaml"

    def secret(self, name, text):
        """Writes a key file that only its owner can read; returns its name."""
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")
        return name

    def port(self, name, role, addresses, gateway=None, device="af_packet", **more):
        self.config["ports"].append({
            "name": name, "device": f"{device}:{name}", "role": role, "addresses": addresses,
            **({"gateway": gateway} if gateway else {}), **more})

    def peer(self, name, key, allowed_ips, endpoint=None, keepalive=None, preshared_key=None):
        peer = {"name": name, "public_key": key, "allowed_ips": allowed_ips}
        if endpoint:
            peer["endpoint"] = endpoint
        if keepalive:
            peer["persistent_keepalive"] = keepalive
        if preshared_key:
            peer["preshared_key_file"] = self.secret(f"{name}.psk", preshared_key)
        self.config["peers"].append(peer)
        return peer

    def write(self):
        """Replaces the box file in one step, as an operator's tools do."""
        draft = self.config_file.with_suffix(".new")
        draft.write_text(to_yaml({key: value for key, value in self.config.items()
                                  if value or key in ("ports", "peers")}))
        draft.rename(self.config_file)

    def daemon_command(self):
        return [DAEMON, "--config", self.config_file]

    def start(self, *arguments, seconds=20):
        """Starts the daemon and waits until it says that it is ready (sd_notify)."""
        self.write()
        path = self.dir / "notify.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(0.05)
            environment = {**os.environ, "NOTIFY_SOCKET": str(path),
                           "RUNTIME_DIRECTORY": str(self.dir), **self.environment}
            self.process = self.spawn(*self.daemon_command(), *arguments,
                                      name=f"{self.name}-meshgated", env=environment)
            wait_for(lambda: self._says_ready(notify), f"meshgated of {self.name}", seconds)

    def _says_ready(self, notify):
        if not self.process.running():
            raise LabError(f"meshgated of {self.name} ended:\n{self.process.output()}")
        try:
            return "READY=1" in notify.recv(4096).decode().split("\n")
        except TimeoutError:
            return False

    def stop(self, how=signal.SIGTERM, seconds=10):
        """Ends the daemon; its exit status."""
        status = self.process.stop(seconds, how)
        self.process = None
        return status

    def restart(self, *arguments, how=signal.SIGTERM):
        self.stop(how)
        self.start(*arguments)

    def meshgate_command(self, *words):
        return [str(COMMAND), "--socket", self.config["control"]["socket"], *words]

    def meshgate(self, *words, check=True, **options):
        """The command, spoken to this box."""
        return self.run(*self.meshgate_command(*words), check=check, **options)

    def show(self, *words):
        """An answer as JSON; an unhealthy box answers too."""
        return json.loads(self.meshgate(*words, "--json", check=False).stdout)

    def status(self):
        return self.show("status")

    def peer_status(self, name):
        peers = self.show("show", "peers")["peers"]
        return next(peer for peer in peers if peer["name"] == name)

    def drops(self):
        """Reason -> count, of those that happened."""
        drops = self.show("show", "drops")["drops"]
        totals = {}
        for drop in drops:
            if drop["total"]:
                totals[drop["reason"]] = totals.get(drop["reason"], 0) + drop["total"]
        return totals

    def reload(self, check=True):
        self.write()
        return self.meshgate("reload", check=check)

    def wg_show(self):
        return self.run("wg", "show", self.wg_interface).stdout

    def lab_pids(self, program):
        """Processes of that name in the box's namespace."""
        pids = run("ip", "netns", "pids", self.netns).stdout.split()
        return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == program]

    def memory_kib(self):
        text = Path(f"/proc/{self.pid()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def pid(self):
        """Of meshgated itself: `ip netns exec` becomes it."""
        return self.process.pid

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def conservation(self):
        """What came in less what went out or died, and the sums themselves."""
        sums = self.show("show", "drops")["conservation"]
        left = sums["rx"] + sums["injected"] + sums["from_host"] + sums["originated"] \
            - sums["tx"] - sums["to_host"] - sums["drops"] - sums["punts"]
        return left, sums

    def check_invariants(self):
        """Holds after every test. Ends the daemon."""
        if self.process is None:
            return  # the test ended it
        if not self.process.running():
            raise LabError(f"meshgated of {self.name} is gone: {self.process.popen.returncode}")
        wait_for(lambda: self.conservation()[0] == 0,
                 lambda: f"conservation on {self.name}: {self.conservation()}", seconds=2)
        output = self.process
        status = self.stop()
        if status != 0:
            raise LabError(f"meshgated of {self.name} ended with {status}")
        if BUG.search(output.output()):
            raise LabError(f"meshgated of {self.name} reports a bug:\n{output.output()}")
