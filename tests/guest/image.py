# SPDX-License-Identifier: Apache-2.0
"""The disk of a guest: a Debian 12 made of Debian's packages, kept in build/guest/.

It has what an office's machine has before the package is installed, the libraries that the package
depends on (a guest has no way to a mirror), and a shell for the test on a virtio serial port.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/guest"
DISK_MIB = 2200
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")

# A plain installation, and what tests look with.
PACKAGES = ("systemd-sysv", "udev", "dbus", "kmod", "linux-image-cloud-amd64", "initramfs-tools",
            "iproute2", "iputils-ping", "procps", "ifupdown", "openssh-server", "pciutils",
            "libyaml-cpp0.7", "driverctl", "apt-utils")

# Only what the guest boots from: the initial file system is read and unpacked under emulation.
MODULES = "virtio_pci\nvirtio_blk\next4\n"

# Commands come in base64, a line each, and so do their answers: status, then output.
AGENT = """#!/bin/bash
exec 3<>/dev/virtio-ports/lab
echo ready >&3
while read -r line <&3; do
    out=$(bash -c "$(base64 -d <<<"$line")" 2>&1 </dev/null; echo "@$?")
    base64 -w0 <<<"$out" >&3
    echo >&3
done
"""
AGENT_UNIT = """[Unit]
Description=Shell of the test
After=systemd-udev-settle.service
[Service]
ExecStart=/usr/local/sbin/lab-agent
Restart=always
RestartSec=200ms
OOMScoreAdjust=-900
[Install]
WantedBy=sysinit.target
"""


def dependencies():
    """Packages that the package wants, from debian/control, and those that the programs link to."""
    control = (ROOT / "debian/control").read_text()
    stanza = control[control.index("\nPackage: meshgate"):]
    wanted = re.findall(r"^ (librte-[a-z0-9-]+),$", stanza, re.M)
    linked = subprocess.run(["ldd", ROOT / "build/control/meshgated"], check=True,
                            capture_output=True, text=True).stdout
    paths = re.findall(r"=> (/\S+)", linked)
    owners = subprocess.run(["dpkg", "-S", *[str(Path(path).resolve()) for path in paths]],
                            capture_output=True, text=True, check=False).stdout
    return sorted({*wanted, *re.findall(r"^([a-z0-9.+-]+)(?::amd64)?: ", owners, re.M)})


def _write(folder):
    files = {"etc/initramfs-tools/modules": MODULES,
             "etc/initramfs-tools/conf.d/guest": "MODULES=list\nCOMPRESS=gzip\n",
             "etc/hostname": "guest\n", "etc/hosts": "127.0.0.1 localhost guest\n",
             "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
             "etc/systemd/system/lab-agent.service": AGENT_UNIT}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    agent = folder / "usr/local/sbin/lab-agent"
    agent.parent.mkdir(parents=True, exist_ok=True)
    agent.write_text(AGENT)
    agent.chmod(0o755)


def make():
    """(disk, kernel, initial file system); made once for a list of packages."""
    packages = sorted({*PACKAGES, *dependencies()})
    mark = hashlib.sha256(repr((packages, MODULES, AGENT, AGENT_UNIT, DISK_MIB)).encode()).hexdigest()
    disk, stamp = FOLDER / "disk.ext4", FOLDER / "stamp"
    kernel, initrd = FOLDER / "vmlinuz", FOLDER / "initrd"
    if stamp.exists() and stamp.read_text() == mark:
        return disk, kernel, initrd
    FOLDER.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    files, tree = FOLDER / "files", FOLDER / "tree"
    for folder in (files, tree):
        shutil.rmtree(folder, ignore_errors=True)
    _write(files)
    subprocess.run(
        ["mmdebstrap", "--variant=apt", "--mode=root", "--quiet",
         "--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=Acquire::Check-Date \"false\"",
         f"--setup-hook=cp -a {files}/. \"$1\"", f"--include={','.join(packages)}",
         "--customize-hook=chroot \"$1\" passwd -d root",
         "--customize-hook=chroot \"$1\" systemctl enable -q lab-agent",
         "--customize-hook=chroot \"$1\" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer "
         "e2scrub_reap.service getty@tty1.service",
         "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
         "--dpkgopt=path-exclude=/usr/share/locale/*",
         "bookworm", str(tree), *([str(SOURCES)] if SOURCES.exists() else [])], check=True)
    for name, target in (("vmlinuz", kernel), ("initrd.img", initrd)):
        shutil.copy(next((tree / "boot").glob(f"{name}-*")), target)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", "-d", str(tree),
                    str(disk), f"{DISK_MIB}M"], check=True)
    shutil.rmtree(tree)
    shutil.rmtree(files)
    stamp.write_text(mark)
    return disk, kernel, initrd


if __name__ == "__main__":
    print(make())
