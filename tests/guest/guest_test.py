#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
r"""A whole machine: the package, setup, systemd, cards by DPDK. `./run test guest`.

    h-guest ---- lan [ guest: emulated PCI cards, vfio-pci ] wan ---- wan0 [far] lan0 ---- h-far
    10.1.0.10                                   198.51.100.2         198.51.100.3        10.2.0.10

The far box is one of the lab's, on a TAP of QEMU. The steps build on each other, so the first failure
ends the run; each is printed with the seconds it took.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from box import Box  # noqa: E402 (the path comes first)
from guest import Card, Guest  # noqa: E402
from lab import Lab, LabError, wait_for  # noqa: E402

PACKAGES = HERE.parents[1] / "build/package"
ANSWERS = """name: berlin
device: pci
host: false
wan: {{card: {wan}, addresses: 198.51.100.2/24}}
lan: {{card: {lan}, addresses: [10.1.0.1/24, "fd10:1::1/64"]}}
peers:
  - {{name: far, public_key: "{key}", allowed_ips: [10.2.0.0/24, "fd10:2::/64"],
     endpoint: "198.51.100.3:51820"}}
"""
WORKERS = "dataplane:\\n  workers: 2\\n"


def make_next(tree, package, target):
    """The package once more with a higher version; that version."""
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    text, count = re.subn(r"^(Version: .*)$", r"\1+next", control.read_text(), flags=re.M)
    assert count == 1, text
    control.write_text(text)
    subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, target], check=True,
                   stdout=subprocess.DEVNULL)
    return re.search(r"^Version: (.*)$", text, re.M)[1]


class Machine:
    """The guest, the far box and the hosts, and what the steps do to them."""

    def __init__(self, lab, package):
        self.lab = lab
        self.far, self.h_guest, self.h_far = Box(lab, "far"), lab.host("h-guest"), lab.host("h-far")
        self.files = lab.dir / "files"
        self.files.mkdir()
        shutil.copy(package, self.files / "meshgate.deb")
        self.next_version = make_next(lab.dir / "next", package, self.files / "next.deb")
        (self.files / "answers.yaml").write_text(
            ANSWERS.format(wan="enp0s8", lan="enp0s9", key=self.far.public_key))
        self.guest = Guest(lab, [Card("wan", self.far, "wan0", queues=2),
                                 Card("lan", self.h_guest, "eth0", queues=2),
                                 Card("wan1", self.far, "wan1", model="vmxnet3"),
                                 Card("lan1", self.h_guest, "eth1", model="e1000e")], self.files)

    def journal(self):
        """What the daemon and systemd say of it; empty when the guest does not answer."""
        try:
            return self.guest.out("journalctl -b -u meshgated -u meshgate-web --no-pager | tail -n 40; "
                                  "cat /etc/meshgate/meshgate.yaml", check=False)
        except LabError as reason:
            return str(reason)

    def boots(self):
        self.guest.boot()
        self.guest.wait("systemctl is-active -q multi-user.target", "the guest's boot", 240)
        self.lab.cable(self.h_far, "eth0", self.far, "lan0")
        self.h_guest.address("eth0", "10.1.0.10/24", "fd10:1::10/64")
        self.h_far.address("eth0", "10.2.0.10/24", "fd10:2::10/64")
        for host, number in ((self.h_guest, 1), (self.h_far, 2)):
            host.route("default", "via", f"10.{number}.0.1")
            host.route("default", "via", f"fd10:{number}::1")

    def package_installs_and_starts_nothing(self):
        self.guest.run("apt-get install -y --no-install-recommends /mnt/meshgate.deb", seconds=300)
        self.guest.run("id _meshgate && id _meshgate-web && getent group meshgate")
        assert self.guest.run("systemctl is-active meshgated", check=False)[1] == "inactive"
        failed = self.guest.out("systemctl --failed --no-legend --plain | grep meshgate", check=False)
        assert failed == "", failed

    def setup_with_answers(self):
        dry = self.guest.out("meshgate setup --answers /mnt/answers.yaml --dry-run")
        assert "pci:0000:00:08.0" in dry, dry
        self.guest.run("test ! -e /etc/meshgate/meshgate.yaml")
        out = self.guest.out("meshgate setup --answers /mnt/answers.yaml", seconds=120)
        assert "public_key" in out, out
        again = self.guest.out("meshgate setup --answers /mnt/answers.yaml")
        assert "nothing to do" in again, again
        mode = self.guest.out("stat -c '%a %U %G' /etc/meshgate/box.key /etc/meshgate/meshgate.yaml")
        assert mode == "600 _meshgate meshgate\n640 root meshgate", mode
        self.guest.run(f"sed -i 's/^peers:/{WORKERS}peers:/' /etc/meshgate/meshgate.yaml")
        key = self.guest.out("meshgate pubkey < /etc/meshgate/box.key")
        self.far.port("wan0", "wan", ["198.51.100.3/24"])
        self.far.port("lan0", "lan", ["10.2.0.1/24", "fd10:2::1/64"])
        self.far.peer("berlin", key, ["10.1.0.0/24", "fd10:1::/64"], endpoint="198.51.100.2:51820")
        self.far.start()

    def daemon_starts_by_systemd(self):
        self.guest.run("systemctl start meshgated", seconds=120)
        self.guest.wait("systemctl is-active -q meshgate-web", "meshgate-web")
        status = self.guest.status()
        assert status["dataplane"]["workers"] == 2, status
        assert "hugepages" in status["dataplane"]["memory"], status
        pid = self.guest.out("systemctl show -P MainPID meshgated")
        assert self.guest.out(f"stat -c %U /proc/{pid}") == "_meshgate"
        granted = self.guest.out(f"grep CapPrm /proc/{pid}/status").split()[1]
        assert int(granted, 16) == 1 << 14, f"more than IPC_LOCK for cards alone: {granted}"
        self.guest.run("exec 3<>/dev/tcp/127.0.0.1/9586 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 "
                       "&& grep -q 200 <&3")

    def passes(self, seconds=60):
        """Both ways, both families."""
        for host, target in ((self.h_guest, "10.2.0.10"), (self.h_far, "10.1.0.10"),
                             (self.h_guest, "fd10:2::10"), (self.h_far, "fd10:1::10")):
            wait_for(lambda host=host, target=target: host.ping(target, count=1, wait=2),
                     lambda target=target: f"ping to {target}; drops: {self.far.drops()}\n" +
                     self.guest.out("meshgate status; meshgate show drops", check=False), seconds)

    def traffic_passes(self):
        self.passes()

    def both_queues_carry_traffic(self):
        for port in range(32):
            self.h_guest.run("bash", "-c", f"echo x >/dev/udp/10.2.0.10/{4000 + port}")
        workers = json.loads(self.guest.out("meshgate show workers --json"))["workers"]
        assert len(workers) == 2, workers
        queues = [sum(stage["packets"] for stage in worker["stages"]) for worker in workers]
        assert min(queues) > 0, f"one of two workers saw nothing: {queues}"

    def link_goes_and_comes(self):
        self.guest.set_link(0, False)
        self.guest.wait("! meshgate status", "status to say that a link is down", 30)
        self.guest.set_link(0, True)
        self.passes()

    def reload_disturbs_nothing(self):
        before = self.guest.out("systemctl show -P MainPID meshgated")
        self.guest.run("systemctl reload meshgated")
        assert self.guest.out("systemctl show -P MainPID meshgated") == before
        assert self.h_guest.ping("10.2.0.10", count=3, wait=2) == 3

    def upgrade_under_traffic(self):
        """The old daemon goes on while its package is replaced; the restart is somebody's decision."""
        before = self.guest.out("systemctl show -P MainPID meshgated")
        ping = self.h_guest.spawn("ping", "-i", "0.2", "-W", "5", "-w", "600", "10.2.0.10")
        said = self.guest.out("apt-get install -y --no-install-recommends /mnt/next.deb", seconds=300)
        assert "goes on" in said, said
        assert self.guest.out("dpkg-query -W -f '${Version}' meshgate") == self.next_version
        assert self.guest.out("systemctl show -P MainPID meshgated") == before
        ping.stop(how=signal.SIGINT)
        sent, got = map(int, re.search(r"(\d+) packets transmitted, (\d+) received",
                                       ping.output()).groups())
        # The last one may be on its way.
        assert sent > 20 and sent - got <= 1, ping.output()[-300:]
        self.guest.run("systemctl restart meshgated", seconds=120)
        started = time.monotonic()
        self.passes()
        print(f"        {got} of {sent} pings during the upgrade; traffic "
              f"{time.monotonic() - started:.1f} s after the restart", flush=True)

    def journal_is_readable_and_has_no_secret(self):
        self.guest.run("journalctl -u meshgated --no-pager | grep -q 'info ready'")
        found = self.guest.out("journalctl --no-pager | grep -c -F -f /etc/meshgate/box.key", check=False)
        assert found == "0", found

    def killed_daemon_comes_back(self):
        before = self.guest.out("systemctl show -P MainPID meshgated")
        self.guest.run("kill -9 $(systemctl show -P MainPID meshgated)")
        self.guest.wait(f"test $(systemctl show -P MainPID meshgated) != {before} && "
                        "systemctl is-active -q meshgated", "the daemon after kill -9", 90)
        self.passes()

    def watchdog_ends_a_daemon_that_hangs(self):
        before = self.guest.out("systemctl show -P MainPID meshgated")
        self.guest.run("kill -STOP $(systemctl show -P MainPID meshgated)")
        self.guest.wait(f"journalctl -b -u meshgated --no-pager | grep -q -i watchdog",
                        "systemd's watchdog", 60)
        self.guest.wait(f"test $(systemctl show -P MainPID meshgated) != {before} && "
                        "systemctl is-active -q meshgated", "the daemon after the watchdog", 120)
        self.passes()

    def reboot_changes_nothing(self):
        self.guest.reboot()
        self.guest.wait("systemctl is-active -q meshgated", "the daemon after the reboot", 240)
        self.passes()
        log = self.guest.out("journalctl -b -u meshgated --no-pager")
        assert "ready" in log and "denied" not in log, log

    def other_cards_come_up(self):
        """vmxnet3 and e1000e as the two ports."""
        self.guest.run("systemctl stop meshgated")
        for number in (2, 3):
            self.guest.run(f"driverctl set-override {Card.pci(number)} vfio-pci")
        self.guest.run("sed -i -e 's/0000:00:08.0/0000:00:0a.0/; s/0000:00:09.0/0000:00:0b.0/' "
                       "-e 's/workers: 2/workers: 1/' /etc/meshgate/meshgate.yaml")
        self.far.config["ports"][0]["device"] = "af_packet:wan1"
        self.far.restart()
        self.h_guest.run("ip", "addr", "flush", "dev", "eth0")
        self.h_guest.run("ip", "link", "set", "dev", "eth0", "down")
        self.h_guest.address("eth1", "10.1.0.10/24", "fd10:1::10/64")
        self.h_guest.route("default", "via", "10.1.0.1")
        self.h_guest.route("default", "via", "fd10:1::1")
        self.guest.run("systemctl start meshgated", seconds=120)
        drivers = [port["driver"] for port in json.loads(self.guest.out("meshgate show ports --json"))["ports"]]
        assert drivers == ["net_vmxnet3", "net_e1000_em"], drivers
        self.passes()

    def security_of_the_units(self):
        for unit, limit in (("meshgated", 4.0), ("meshgate-web", 1.5)):
            line = self.guest.out(f"systemd-analyze security {unit} --no-pager | tail -n1")
            figure = float(line.split(":")[1].split()[0])
            print(f"        {unit}: exposure {figure}", flush=True)
            assert figure <= limit, line

    def purge_leaves_nothing(self):
        self.guest.run("apt-get purge -y meshgate", seconds=120)
        left = self.guest.out("find / -xdev \\( -path /proc -o -path /sys -o -path /mnt \\) -prune -o "
                              "-iname '*meshgate*' -print | grep -v -e /var/lib/dpkg -e /var/log "
                              "-e /var/lib/systemd", check=False)
        assert left == "", left


STEPS = ("boots", "package_installs_and_starts_nothing", "setup_with_answers",
         "daemon_starts_by_systemd", "traffic_passes", "both_queues_carry_traffic",
         "link_goes_and_comes", "reload_disturbs_nothing", "upgrade_under_traffic",
         "killed_daemon_comes_back", "watchdog_ends_a_daemon_that_hangs", "reboot_changes_nothing",
         "journal_is_readable_and_has_no_secret", "security_of_the_units", "other_cards_come_up",
         "purge_leaves_nothing")


def main():
    package = next(iter(sys.argv[1:]), None) or next(iter(sorted(PACKAGES.glob("meshgate_*.deb"))), None)
    if package is None:
        raise SystemExit("guest: there is no package: ./run package")
    passed = 0
    with Lab() as lab:
        machine = Machine(lab, package)
        for step in STEPS:
            started = time.monotonic()
            try:
                getattr(machine, step)()
            except (AssertionError, LabError, subprocess.SubprocessError) as reason:
                print(f"FAILED  guest/{step}\n{reason}\n{machine.journal()}\n{lab.logs()}")
                print(f"{passed} passed, {len(STEPS) - passed} failed")
                return 1
            print(f"ok      guest/{step}  {time.monotonic() - started:.1f} s", flush=True)
            passed += 1
    print(f"{passed} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
