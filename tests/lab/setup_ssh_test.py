# SPDX-License-Identifier: Apache-2.0
r"""`meshgate setup` by somebody who came by ssh, over a card that becomes the box's.

    admin ---- eth0 [machine] eth1 ---- host
    198.51.100.1    198.51.100.2        10.1.0.10

The machine has an /etc and a /run of its own, and a `systemctl` that starts the daemon as systemd
would: it returns once the daemon is ready.
"""

import os

from box import COMMAND, DAEMON
from lab import wait_for
from services import Sshd, SshKeys

ADMIN, MACHINE, LAN, HOST = "198.51.100.1", "198.51.100.2", "10.1.0.1", "10.1.0.10"
SYSTEMCTL = """#!/bin/sh
echo "$@" >>/run/systemctl.log
case "$*" in
"enable --now meshgated.service")
    mkdir -p /run/meshgate
    RUNTIME_DIRECTORY=/run/meshgate setsid meshgated --no-web \\
        --config /etc/meshgate/meshgate.yaml >/run/meshgated.log 2>&1 </dev/null &
    echo $! >/run/meshgated.pid
    for turn in $(seq 100); do
        meshgate status >/dev/null 2>&1; [ $? = 3 ] || exit 0; sleep 0.1
    done
    cat /run/meshgated.log; exit 1 ;;
"disable --now meshgated.service")
    pid=$(cat /run/meshgated.pid) && kill $pid && while [ -e /proc/$pid ]; do sleep 0.05; done ;;
esac
"""
INTERFACES = """auto lo
iface lo inet loopback

allow-hotplug eth0
iface eth0 inet dhcp
"""
ANSWERS = """name: berlin
wan: {card: eth0, addresses: host}
lan: {card: eth1, addresses: [10.1.0.1/24]}
"""


class Machine:
    """With sshd, and somebody who is logged in from `admin`."""

    def __init__(self, lab, terminal=False):
        self.host, self.admin, self.office = lab.host("machine"), lab.host("admin"), lab.host("host")
        lab.cable(self.admin, "eth0", self.host, "eth0")
        lab.cable(self.office, "eth0", self.host, "eth1")
        self.admin.address("eth0", f"{ADMIN}/24")
        self.office.address("eth0", f"{HOST}/24")
        self.host.run("ip", "address", "add", f"{MACHINE}/24", "dev", "eth0", "valid_lft", "600",
                      "preferred_lft", "600")
        self.host.route("default", "via", ADMIN)
        tools = lab.dir / "tools"
        tools.mkdir()
        (tools / "systemctl").write_text(SYSTEMCTL)
        (tools / "ifup").write_text('#!/bin/sh\necho "ifup $@" >>/run/systemctl.log\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.etc = lab.dir / "etc"
        path = f"{tools}:{DAEMON.parent}:{COMMAND.parent}:{os.environ['PATH']}"
        self.keys = SshKeys(lab)
        self.sshd = Sshd(self.host, self.keys, environment=[f"PATH={path}"], prelude=f"""
            cp -a /etc/. {self.etc} && mount --bind {self.etc} /etc
            mkdir -p /etc/network /etc/systemd/network /run/systemd/system""")
        (self.etc / "network/interfaces").write_text(INTERFACES)
        (self.etc / "answers.yaml").write_text(ANSWERS)
        words = ["-tt"] if terminal else []
        self.session = self.keys.session(self.admin, self.sshd, MACHINE, "sh", options=words)

    def say(self, text, until, seconds=20):
        """Into the session that was there before the box was."""
        self.session.popen.stdin.write(f"{text}\n".encode())
        self.session.popen.stdin.flush()
        self.session.wait_output(until, seconds)

    def address(self, interface):
        return self.host.run("ip", "-o", "-4", "address", "show", "dev", interface, check=False).stdout

    def default_route(self):
        return self.host.run("ip", "route", "show", "default").stdout

    def file(self, name):
        return (self.etc / name).read_text()


def test_the_session_goes_on(lab):
    """By the card that becomes the WAN port: its address and the default route go to the twin."""
    machine = Machine(lab)
    machine.say("meshgate setup --answers /etc/answers.yaml --start; echo status $?", "status 0")
    machine.say("echo still here", "still here")
    assert f" {MACHINE}/24" in machine.address("wan") and "valid_lft forever" not in \
        machine.address("wan"), machine.address("wan")
    assert not machine.address("eth0"), machine.address("eth0")
    assert f"via {ADMIN} dev wan" in machine.default_route(), machine.default_route()
    assert f"{LAN}/24" in machine.address("lan")
    assert machine.office.ping(LAN) == 3 and machine.host.ping(ADMIN) == 3
    assert "\n# meshgate setup: iface eth0 inet dhcp\n" in machine.file("network/interfaces")
    assert "\nallow-hotplug wan\niface wan inet dhcp\n" in \
        machine.file("network/interfaces.d/meshgate")
    assert "\nsource /etc/network/interfaces.d/*\n" in machine.file("network/interfaces")
    assert machine.keys.login(machine.office, machine.sshd, LAN, "echo", "from the office") == \
        "from the office"
    machine.say("cat /run/systemctl.log", "ifup wan")
    machine.say("meshgate setup --answers /etc/answers.yaml", "nothing to do")
    before = machine.session.output()
    machine.say("meshgate setup --answers /etc/answers.yaml --start --dry-run; echo dry $?", "dry 0")
    assert machine.session.output()[len(before):].count("would: ") == 1, machine.session.output()


def test_what_would_end_the_session_is_refused(lab):
    machine = Machine(lab)
    good = ANSWERS.replace("addresses: host", f"addresses: {MACHINE}/24, gateway: {ADMIN}")
    for number, bad in enumerate((good.replace(MACHINE, "198.51.100.9"), good + "host: false\n",
                                  ANSWERS + "host: false\n")):
        (machine.etc / "answers.yaml").write_text(bad)
        machine.say(f"meshgate setup --answers /etc/answers.yaml --start; echo status{number} $?",
                    f"status{number} ")
    assert machine.session.output().count("only-interface") == 3, machine.session.output()
    assert not (machine.etc / "meshgate/meshgate.yaml").exists()
    (machine.etc / "answers.yaml").write_text(good)
    machine.say("meshgate setup --answers /etc/answers.yaml --start; echo static $?", "static 0")
    machine.say("echo still here", "still here")
    assert f"via {ADMIN} dev wan proto 176" in machine.default_route(), machine.default_route()


def test_one_card_by_questions(lab):
    """One arm, answered with Enter alone; nobody confirms, and all is undone; then somebody does."""
    machine = Machine(lab, terminal=True)
    machine.host.run("ip", "link", "delete", "dev", "eth1")
    (machine.etc / "network/interfaces").write_text("auto lo\niface lo inet loopback\n")
    machine.say("stty -echo; PS1=; meshgate setup --confirm 1; echo status $?", "1. What")
    machine.say("berlin\n\n\n\n\ny", "Press Enter")
    machine.session.wait_output("nobody pressed Enter; the machine has its cards back")
    wait_for(lambda: f" {MACHINE}/24" in machine.address("eth0"), "the address to be back")
    assert f"via {ADMIN} dev eth0" in machine.default_route()
    assert not list((machine.etc / "systemd/network").iterdir())
    box = machine.file("meshgate/meshgate.yaml")
    assert "role: [wan, lan]" in box and "addresses: host" in box and "host: true" in box, box
    machine.say("meshgate setup --start --confirm 20; echo again $?", "Press Enter within 20")
    machine.say("", "again 0")
    assert f" {MACHINE}/24" in machine.address("office"), machine.address("office")
    assert "Name=eth0\n" in machine.file("systemd/network/05-meshgate-cards.network")
    twin = machine.file("systemd/network/05-meshgate-office.network")
    assert "Name=office\n" in twin and "DHCP=yes\n" in twin and "ClientIdentifier=mac" in twin
    machine.say("cat /run/systemctl.log", "restart systemd-networkd.service")
    assert "198.51.100.0/24" in machine.session.output().rsplit("allowed_ips", 1)[1]
