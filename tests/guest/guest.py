# SPDX-License-Identifier: Apache-2.0
"""A whole machine under QEMU: its own kernel, systemd, emulated cards behind an emulated IOMMU.

    guest = Guest(lab, [Card("wan", host, "eth0"), Card("lan", other, "eth0", model="e1000e")])
    guest.boot()
    guest.run("systemctl is-system-running")

Each card's other end is a TAP, put into a namespace of the lab. The processor is emulated, which any
machine can; MESHGATE_GUEST_ACCEL=kvm is for one with KVM of its own.
"""

import base64
import json
import os
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import image
from lab import LabError, Process, run, wait_for

MEMORY_MIB = 1536


@dataclass
class Card:
    name: str
    host: object           # whose namespace the other end gets
    interface: str         # and what it is called there
    model: str = "virtio"  # virtio, e1000e or vmxnet3
    queues: int = 1
    mac: str = ""

    def arguments(self, number):
        self.mac = f"52:54:00:4d:47:{number:02x}"
        queues = f",queues={self.queues}" if self.queues > 1 else ""
        device = {"virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on,ats=on",
                  "e1000e": "e1000e", "vmxnet3": "vmxnet3"}[self.model]
        if self.queues > 1:
            device += f",mq=on,vectors={2 * self.queues + 2},rss=on"
        return ["-netdev", f"tap,id=net{number},ifname={self.tap(number)},script=no,downscript=no"
                f"{queues}", "-device",
                f"{device},netdev=net{number},id=card{number},mac={self.mac},bus=pcie.0,"
                f"addr=0x{8 + number:x},romfile="]

    def tap(self, number):
        return f"card{number}"

    @staticmethod
    def pci(number):
        return f"0000:00:{8 + number:02x}.0"


def accelerator():
    return os.environ.get("MESHGATE_GUEST_ACCEL", "tcg")


class Guest:
    def __init__(self, lab, cards, files=None):
        """`files`: a folder that the guest finds at /mnt."""
        self.lab, self.cards, self.files = lab, cards, files
        self.namespace = lab.host("machine")
        self.accelerator = accelerator()
        self.console = lab.dir / "console.log"
        self.process, self.agent, self.buffer = None, None, b""

    def _command(self):
        disk, kernel, initrd = image.make()
        kvm = self.accelerator == "kvm"
        command = ["qemu-system-x86_64", "-machine", "q35,kernel-irqchip=split",
                   "-accel", self.accelerator, "-cpu", "host,-arch-capabilities" if kvm else "max",
                   "-smp", "2", "-m", str(MEMORY_MIB), "-nographic", "-nodefaults", "-snapshot",
                   "-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on,aw-bits=48",
                   "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
                   "-kernel", kernel, "-initrd", initrd,
                   "-append", "root=/dev/vda ro console=ttyS0 intel_iommu=on iommu=pt "
                   "systemd.show_status=0 loglevel=4 panic=-1",
                   "-serial", f"file:{self.console}",
                   "-monitor", f"unix:{self.lab.dir}/monitor,server=on,wait=off",
                   "-device", "virtio-serial-pci",
                   "-chardev", f"socket,id=lab,path={self.lab.dir}/agent,server=on,wait=off",
                   "-device", "virtserialport,chardev=lab,name=lab"]
        if self.files is not None:
            command += ["-drive", f"file={self._files_disk()},format=raw,if=virtio,readonly=on"]
        for number, card in enumerate(self.cards):
            command += card.arguments(number)
        return command

    def _files_disk(self):
        disk = self.lab.dir / "files.ext4"
        run("mke2fs", "-q", "-F", "-t", "ext4", "-d", self.files, disk, "64M")
        return disk

    def boot(self, seconds=300):
        """Starts the machine; the seconds until its shell answers."""
        started = time.monotonic()
        environment = {**os.environ, "TMPDIR": "/var/tmp"}  # the snapshot
        self.process = Process(self.namespace.command(*self._command()), self.lab.dir / "qemu.log",
                               env=environment)
        self.lab.processes.append(self.process)
        for number, card in enumerate(self.cards):
            wait_for(lambda number=number, card=card: self._move(card.tap(number), card),
                     f"TAP of {card.name}: {self.process.output()}", 30)
        self._attach(seconds)
        if self.files is not None:
            self.run("mountpoint -q /mnt || mount -o ro /dev/vdb /mnt")
        return time.monotonic() - started

    def _move(self, tap, card):
        if not self.process.running():
            raise LabError(f"QEMU ended: {self.process.output()}")
        if self.namespace.run("ip", "link", "show", tap, check=False).returncode != 0:
            return False
        self.namespace.run("ip", "link", "set", "dev", tap, "netns", card.host.netns,
                           "name", card.interface)
        card.host.run("ip", "link", "set", "dev", card.interface, "up")
        return True

    def _attach(self, seconds):
        if self.agent is not None:
            self.agent.close()
        self.agent, self.buffer = socket.socket(socket.AF_UNIX), b""
        wait_for(lambda: self.agent.connect_ex(f"{self.lab.dir}/agent") == 0, "QEMU's socket", 10)
        wait_for(self._answers, lambda: "the guest's shell:\n" +
                 self.console.read_text(errors="replace")[-3000:], seconds, interval=0.5)

    def _answers(self):
        try:
            return self.run("true", seconds=5, check=False)[0] == 0
        except LabError:
            return False

    def _line(self, deadline):
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.agent], [], [], left)[0]:
                raise LabError("the guest does not answer:\n" +
                               self.console.read_text(errors="replace")[-3000:])
            got = self.agent.recv(65536)
            if not got:
                raise LabError("QEMU closed the guest's shell")
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def run(self, command, seconds=60, check=True):
        """(status, output) of a shell command in the guest."""
        deadline = time.monotonic() + seconds
        mark = f"mark-{time.monotonic_ns()}"
        text = f"echo {mark}\n{command}"
        self.agent.sendall(base64.b64encode(text.encode()) + b"\n")
        while True:
            line = self._line(deadline)
            try:
                answer = base64.b64decode(line, validate=True).decode(errors="replace")
            except ValueError:  # "ready", or half a line of an earlier boot
                continue
            if answer.startswith(mark):
                break
        out, _, status = answer[len(mark) + 1:].rstrip("\n").rpartition("@")
        if check and int(status) != 0:
            raise LabError(f"in the guest: {command}\nexit {status}\n{out}")
        return int(status), out.rstrip("\n")

    def out(self, command, **options):
        return self.run(command, **options)[1]

    def wait(self, command, what, seconds=60):
        """Until a command of the guest succeeds."""
        def tried():
            return self.run(command, check=False)[0] == 0
        wait_for(tried, lambda: f"{what}:\n" + self.out(
            "systemctl status meshgated; journalctl -b --no-pager | tail -n 60", check=False),
            seconds, interval=0.5)

    def status(self):
        return json.loads(self.out("meshgate status --json", check=False))

    def monitor(self, command):
        """A command of QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10)
            monitor.connect(f"{self.lab.dir}/monitor")
            time.sleep(0.2)
            monitor.sendall(command.encode() + b"\n")
            time.sleep(0.3)
            return monitor.recv(65536).decode(errors="replace")

    def set_link(self, number, up):
        return self.monitor(f"set_link card{number} {'on' if up else 'off'}")

    def reboot(self, seconds=300):
        boot = self.out("cat /proc/sys/kernel/random/boot_id")
        self.run("systemd-run --on-active=1 systemctl reboot")
        time.sleep(2)

        def is_new():
            try:
                now = self.run("cat /proc/sys/kernel/random/boot_id", seconds=5, check=False)[1]
            except LabError:
                return False
            return now not in ("", boot)
        started = time.monotonic()
        wait_for(is_new, "the guest after its reboot", seconds, interval=1)
        if self.files is not None:
            self.run("mountpoint -q /mnt || mount -o ro /dev/vdb /mnt")
        return time.monotonic() - started
