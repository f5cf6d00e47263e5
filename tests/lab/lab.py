# SPDX-License-Identifier: Apache-2.0
"""Network namespaces, cables and processes of one lab run.

    with Lab() as lab:
        alice, bob = lab.host("alice"), lab.host("bob")
        lab.cable(alice, "eth0", bob, "eth0")
        alice.address("eth0", "192.0.2.1/24")
        ...

Everything is named after a random suffix, so that runs beside each other do not meet, and is gone
when the block ends, however it ends. Needs root. No file outside the lab's temporary folder.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("MESHGATE_BUILD", ROOT / "build"))

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000


class LabError(Exception):
    """The lab itself failed, or a wait ended without its event."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _outlive_parent():
    """Neither Ctrl-C nor the end of the terminal is meant for it."""
    os.setpgrp()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextlib.contextmanager
def claimed_processor():
    """Ranks our session above others of the machine (autogroups) while the block runs: work in
    the background must not look like lost packets."""
    rank = Path("/proc/self/autogroup")
    before = rank.read_text().split()[-1] if rank.exists() else None
    with contextlib.suppress(OSError):
        rank.write_text("-10")
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(OSError):
                rank.write_text(before)


def alone(_why):
    """Marks a case that tests/run.py runs beside no other: it loads the machine, or what it asserts
    is a rate or a time."""
    return lambda case: case


def run(*command, check=True, timeout=60, **options):
    """Runs a command to its end; its output stands in the exception when it fails."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              check=False, preexec_fn=_die_with_parent, **options)
    except subprocess.TimeoutExpired as reason:
        raise LabError(f"{' '.join(command)}: still running after {timeout} s") from reason
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(condition, what, seconds=10, interval=0.02):
    """Returns the first true value of condition(); LabError when the time is over. `what` may be a
    function, asked at the end."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            what = what() if callable(what) else what
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(interval)


class Process:
    """A background process with its output in a file."""

    def __init__(self, command, log, stdin=subprocess.DEVNULL, env=None, outlives_us=False):
        self.command, self.log = [str(word) for word in command], Path(log)
        with open(log, "wb") as out:
            self.popen = subprocess.Popen(self.command, stdin=stdin, stdout=out,
                                          stderr=subprocess.STDOUT, env=env,
                                          preexec_fn=_outlive_parent if outlives_us
                                          else _die_with_parent)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_output(self, text, seconds=10):
        def seen():
            if text in self.output():
                return True
            if not self.running():
                raise LabError(f"{self.command} ended early:\n{self.output()}")
            return False
        wait_for(seen, f"'{text}' from {self.command}", seconds)

    def stop(self, seconds=10, how=signal.SIGTERM):
        """Ends it and returns its exit status; killed when it does not obey (-SIGKILL)."""
        if self.running():
            self.popen.send_signal(how)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()


class Host:
    """A network namespace."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.netns = f"mg-{lab.suffix}-{name}"
        run("ip", "netns", "add", self.netns)
        self.run("ip", "link", "set", "dev", "lo", "up")
        # Addresses are usable at once, and nobody speaks unasked.
        self.sysctl("net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                    "net.ipv6.conf.default.accept_ra=0",
                    "net.ipv6.conf.default.router_solicitations=0")

    def command(self, *words):
        return ["ip", "netns", "exec", self.netns, *[str(word) for word in words]]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def spawn(self, *words, name=None, **options):
        return self.lab.start(self.command(*words), name or f"{self.name}-{Path(words[0]).name}",
                              **options)

    def sysctl(self, *settings):
        self.run("sysctl", "-qw", *settings)

    def forward(self):
        """Makes the host a router."""
        self.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def address(self, interface, *addresses):
        for address in addresses:
            family = "-6" if ":" in address else "-4"
            nodad = ["nodad"] if ":" in address else []
            self.run("ip", family, "addr", "add", address, "dev", interface, *nodad)
        self.run("ip", "link", "set", "dev", interface, "up")

    def route(self, prefix, *how):
        """route("10.2.0.0/16", "via", "10.1.0.1")"""
        family = "-6" if ":" in prefix or (prefix == "default" and ":" in "".join(how)) else "-4"
        self.run("ip", family, "route", "replace", prefix, *how)

    def mac(self, interface):
        return self.run("cat", f"/sys/class/net/{interface}/address").stdout.strip()

    @contextlib.contextmanager
    def _inside(self):
        """This thread's sockets are made in the namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"/run/netns/{self.netns}", "rb") as here:
            if _libc.setns(here.fileno(), _CLONE_NEWNET) != 0:
                raise LabError(f"setns {self.netns}: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                _libc.setns(home.fileno(), _CLONE_NEWNET)

    def socket(self, family, kind, protocol=0):
        with self._inside():
            return socket.socket(family, kind, protocol)

    def packet_socket(self, interface):
        """A raw socket that sends and receives whole frames of an interface."""
        with self._inside():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            raw.bind((interface, 0))
        return raw

    def capture(self, interface):
        return Capture(self.packet_socket(interface))

    def ping(self, address, **options):
        """Sends some echo requests and returns how many answers came."""
        return self.ping_output(address, **options)[0]

    def ping_output(self, address, count=3, size=56, interval=0.1, wait=1, dont_fragment=False):
        words = ["ping", "-n", "-c", count, "-i", interval, "-W", wait, "-s", size, address]
        if dont_fragment:
            words += ["-M", "do"]
        out = self.run(*words, check=False, timeout=60 + count * (interval + wait)).stdout
        received = [line for line in out.splitlines() if " received" in line]
        return (int(received[0].split(",")[1].split()[0]) if received else 0), out

    def wait_ping(self, address, seconds=15, **options):
        """Until the first answer; the seconds it took."""
        started = time.monotonic()
        wait_for(lambda: self.ping(address, count=1, wait=0.5, **options),
                 f"a ping from {self.name} to {address}", seconds)
        return time.monotonic() - started


class Capture:
    """Frames as they pass, in both directions: (time, bytes).

    with host.capture("eth0") as seen: ...; seen.frames
    """

    def __init__(self, raw):
        self.raw, self.frames = raw, []
        raw.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        raw.settimeout(0.05)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.done_at = None

    def _read(self):
        while self.done_at is None or time.monotonic() < self.done_at + 0.1:
            try:
                self.frames.append((time.monotonic(), self.raw.recv(65536)))
            except TimeoutError:
                if self.done_at is not None:
                    return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done_at = time.monotonic()
        self.thread.join()
        self.raw.close()


class Lab:
    def __init__(self, keep=False):
        """With `keep` all stays when we are gone, until end_kept_labs()."""
        if os.geteuid() != 0:
            raise LabError("the lab needs root")
        self.keep = keep
        self.suffix = os.environ.get("MESHGATE_LAB_ID", "") + secrets.token_hex(2)
        self.dir = Path(tempfile.mkdtemp(prefix=f"meshgate-lab-{self.suffix}-"))
        self.dir.chmod(0o711)  # meshgate-web, which is nobody, reaches its socket through it
        self.hosts, self.boxes, self.processes, self.at_end = [], [], [], []
        self._names = 0

    def __enter__(self):
        self._handlers = {number: signal.signal(number, self._interrupted)
                          for number in (signal.SIGTERM, signal.SIGHUP)}
        return self

    def __exit__(self, *_):
        if self.dir is not None:
            self.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @staticmethod
    def _interrupted(number, _frame):
        raise SystemExit(128 + number)

    def host(self, name):
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def start(self, command, name, **options):
        self._names += 1
        process = Process(command, self.dir / f"{self._names:02}-{name}.log",
                          outlives_us=self.keep, **options)
        self.processes.append(process)
        return process

    def unique_name(self, prefix):
        """For interfaces whose name is a file name for the whole machine (wg sockets)."""
        self._names += 1
        return f"{prefix}{self.suffix}{self._names}"

    def cable(self, a, a_interface, b, b_interface, mtu=1500, offloads=False):
        """Joins two namespaces by a veth pair. With `offloads` frames carry what a default Linux
        host sends into a veth: unfinished checksums and super-packets."""
        run("ip", "link", "add", a_interface, "mtu", mtu, "netns", a.netns, "type", "veth",
            "peer", "name", b_interface, "mtu", mtu, "netns", b.netns)
        for host, interface in ((a, a_interface), (b, b_interface)):
            if not offloads:
                host.run("ethtool", "-K", interface, "tx", "off")
            host.run("ip", "link", "set", "dev", interface, "up")

    def logs(self, lines=60):
        """The end of every process's output, for the report of a failure."""
        text = ""
        for process in self.processes:
            tail = process.output().splitlines()[-lines:]
            state = "running" if process.running() else f"exit {process.popen.returncode}"
            text += f"--- {process.log.name} ({state}): {' '.join(process.command[4:])}\n"
            text += "".join(f"    {line}\n" for line in tail)
        return text

    def close(self):
        for action in reversed(self.at_end):
            with contextlib.suppress(Exception):
                action()
        for process in reversed(self.processes):
            process.stop(seconds=3)
        self.hosts, self.boxes, self.processes, self.at_end = [], [], [], []
        remove_lab(self.suffix, self.dir)

    def leave_running(self):
        """Instead of close(); end_kept_labs() finds it by the mark."""
        (self.dir / KEPT).write_text(self.suffix)
        self.dir = None


KEPT = "kept"


def remove_lab(suffix, folder):
    """Ends what still runs in the lab's namespaces, and removes them and its files."""
    for netns in Path("/run/netns").glob(f"mg-{suffix}-*"):
        pids = run("ip", "netns", "pids", netns.name, check=False).stdout.split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", netns.name, check=False)
    for sock in Path("/run/wireguard").glob(f"*{suffix}*"):
        sock.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def end_kept_labs():
    """How many there were."""
    kept = list(Path(tempfile.gettempdir()).glob(f"meshgate-lab-*/{KEPT}"))
    for mark in kept:
        remove_lab(mark.read_text(), mark.parent)
    return len(kept)
