# SPDX-License-Identifier: Apache-2.0
r"""Every command of the documentation is run. The marks stand behind ``` of each block:

    ```sh                       in the source tree, see TREE_COMMANDS
    ```sh on=HOST[,HOST]        on these hosts of the network below, as root; any failure fails
    ```sh on=HOST prints=NAME   and the last line it prints is $NAME for all hosts from then on

    h-berlin ---- eth1 [berlin] eth0 ---- internet ---- eth0 [munich] eth1 ---- h-munich
                                             |
                                           laptop

Each host has its own /etc and /run, so that the documentation can use the real paths.
"""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from lab import BUILD, ROOT, LabError, run

HOSTS = ("berlin", "munich", "laptop", "h-berlin", "h-munich")
BLOCK_SECONDS = 60
RUN_TOGETHER = ("start.md", "operate.md")  # in this order, on the same hosts
RUN_ALONE = ("mesh.md",)
# The hosts of the lab share a file system, but have an /etc each.
SCP = """#!/bin/sh
for last; do :; done
host=${last#*@} && host=${host%%:*}
while [ $# -gt 1 ]; do cp "$1" "@DIR@/files-$host/${last#*:}" || exit 1; shift; done
"""

# Commands for the source tree, and where each is run.
TREE_COMMANDS = {
    "./run demo": "demo_test.py",
    "./run demo mesh": "demo_test.py",
    "./run demo office": "demo_test.py",
    "./run test": "it is what runs this",
    "./run build": "every test needs it",
    "./run package": "./run test package",
    "./run bench": "bench/run_test.py",
    "./run bench --only '^aead/seal/64B/batch64$' --json figures.json": "bench/run_test.py",
    "./run bench --also 300B/50peers --only '^(aead|pipeline)/.*/300B'": "bench/run_test.py",
    "./run bench --list": "bench/run_test.py",
    "./run bench --peers": "bench/peers/peers_test.py",
    "./run bench --peers --parts programs --programs wireguard-go forwarder meshgate --seconds 1 "
    "--json peers.json": "bench/peers/peers_test.py",
    "./run bench --peers --parts idle": "bench/peers/peers_test.py",
    "./run bench --peers --parts twin": "bench/peers/peers_test.py",
    "./run bench --peers --parts handshakes": "bench/peers/peers_test.py",
    "./run bench --peers --parts mesh": "bench/peers/peers_test.py",
    "./run lint": "test_lint_passes",
    "meson install -C build": "test_install",
}


def blocks(path):
    """(info string behind ```sh, text) of every sh block."""
    pattern = re.compile(r"^```sh([^\n]*)\n(.*?)^```$", re.M | re.S)
    return [(info.strip(), text) for info, text in pattern.findall(path.read_text())]


def documents():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


class Shell:
    """A root shell on a host, in a folder of its own, with its own /etc and /run and the built
    programs in its path."""

    def __init__(self, lab, host):
        self.host = host
        folder = lab.dir / f"files-{host.name}"
        script = (f"mkdir -p {folder}/etc && cp -a /etc/. {folder}/etc && "
                  f"mount --bind {folder}/etc /etc && mount -t tmpfs tmpfs /run && cd {folder} "
                  "&& set -e")
        scp = lab.dir / "bin/scp"
        scp.parent.mkdir(exist_ok=True)
        scp.write_text(SCP.replace("@DIR@", str(lab.dir)))
        scp.chmod(0o755)
        path = f"{scp.parent}:{BUILD}/control:{BUILD}/cli:{BUILD}/web:{os.environ['PATH']}"
        self.log = lab.dir / f"shell-{host.name}.log"
        with open(self.log, "wb") as out:
            self.bash = subprocess.Popen(
                host.command("unshare", "--mount", "--kill-child", "bash"), stdin=subprocess.PIPE,
                stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path})
        self.run(script)

    def run(self, text):
        """What the block printed."""
        before = len(self.log.read_text())
        self.bash.stdin.write(f"{text}\necho '@@ done'\n".encode())
        self.bash.stdin.flush()
        deadline = time.monotonic() + BLOCK_SECONDS
        while "@@ done" not in (out := self.log.read_text()[before:]):
            if self.bash.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"on {self.host.name}:\n{text}\n--- printed:\n{out}")
            time.sleep(0.05)
        return out.replace("@@ done\n", "")

    def close(self):
        self.bash.kill()
        self.bash.wait()


def network(lab):
    hosts = {name: lab.host(name) for name in HOSTS}
    internet = lab.host("internet")
    internet.forward()
    for name, network4 in (("berlin", "198.51.100"), ("munich", "203.0.113"),
                           ("laptop", "192.0.2")):
        lab.cable(internet, name, hosts[name], "eth0")
        internet.address(name, f"{network4}.1/24")
        hosts[name].address("eth0", f"{network4}.2/24")
    hosts["laptop"].route("default", "via", "192.0.2.1")
    for number, name in ((1, "berlin"), (2, "munich")):
        lab.cable(hosts[f"h-{name}"], "eth0", hosts[name], "eth1")
        hosts[f"h-{name}"].address("eth0", f"10.{number}.0.10/24", f"fd10:{number}::10/64")
        hosts[f"h-{name}"].route("default", "via", f"10.{number}.0.1")
        hosts[f"h-{name}"].route("default", "via", f"fd10:{number}::1")
    return hosts


def run_documents(lab, *paths):
    shells = {name: Shell(lab, host) for name, host in network(lab).items()}
    for shell in shells.values():
        lab.at_end.append(shell.close)
    for info, text in (block for path in paths for block in blocks(path)):
        marks = dict(mark.split("=") for mark in info.split())
        for name in marks.get("on", "").split(","):
            if name:
                printed = shells[name].run(text)
        if "prints" in marks:
            value = printed.strip().splitlines()[-1]
            for shell in shells.values():
                shell.run(f"{marks['prints']}='{value}'")
        if "meshgated --config" in text:
            for name in marks["on"].split(","):  # until it answers
                shells[name].run("for i in $(seq 100); do meshgate status >/dev/null && break; "
                                 "sleep 0.1; done")


def test_start_and_operate(lab):
    """From nothing to two offices joined, word by word; then what their operators do."""
    run_documents(lab, *(ROOT / "docs" / name for name in RUN_TOGETHER))


def test_mesh(lab):
    """A network of boxes: authority, signed file, a new version pushed to one of them."""
    run_documents(lab, ROOT / "docs/mesh.md")


def test_every_block_is_run_somewhere(_lab):
    unknown = []
    for path in documents():
        for info, text in blocks(path):
            if "on=" in info:
                assert path.name in RUN_TOGETHER + RUN_ALONE, f"{path}: no test runs this document"
                continue
            unknown += [f"{path.name}: {line}" for line in text.splitlines()
                        if line.strip() and line not in TREE_COMMANDS]
    assert not unknown, f"commands that no test runs: {unknown}"


def test_lint_passes(_lab):
    done = run("/usr/bin/python3", ROOT / "tests/check/lint.py", "--quick", check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_install(_lab):
    with tempfile.TemporaryDirectory() as folder:
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder)
        for name in ("meshgated", "meshgate", "meshgate-web"):
            assert list(Path(folder).glob(f"usr/local/**/{name}")), name


def test_links_lead_somewhere(_lab):
    for path in documents():
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
