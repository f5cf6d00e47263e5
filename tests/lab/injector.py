# SPDX-License-Identifier: Apache-2.0
"""The fault injector between two hosts: a cable that loses, delays, corrupts and records."""

import json
import subprocess

from lab import BUILD, LabError, wait_for

PROGRAM = BUILD / "tests/lab/injector"


class Injector:
    """injector = Injector(lab, a, "eth0", b, "wan0"); injector.set("a>b", loss=0.3)"""

    def __init__(self, lab, a, a_interface, b, b_interface, seed=1, mtu=1500):
        self.host = lab.host(f"cable{len(lab.hosts)}")
        self.host.sysctl("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        lab.cable(a, a_interface, self.host, "a", mtu=mtu)
        lab.cable(b, b_interface, self.host, "b", mtu=mtu)
        self.process = self.host.spawn(PROGRAM, "a", "b", seed, name="injector",
                                       stdin=subprocess.PIPE)
        self.process.wait_output("ready")
        self.answers = 1

    def command(self, line):
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()
        self.answers += 1
        def answered():
            lines = self.process.output().split("\n")[:-1]
            return lines[self.answers - 1] if len(lines) >= self.answers else None
        answer = wait_for(answered, f"the injector's answer to '{line}'", interval=0.002)
        if answer.startswith("error"):
            raise LabError(f"injector: {answer}")
        return answer

    def set(self, direction="both", **faults):
        words = " ".join(f"{key} {float(value):.15g}" for key, value in faults.items())
        self.command(f"set {direction} {words}")

    def clear(self):
        self.command("clear")
        self.command("select all")

    def counters(self, direction):
        return json.loads(self.command("counters"))[direction]
