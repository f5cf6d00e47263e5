# SPDX-License-Identifier: Apache-2.0
r"""`meshgate setup`: from cards and five answers to the first ping between two boxes.

    h-berlin ---- eth1 [berlin] eth0 ---- eth0 [munich] eth1 ---- h-munich
    10.1.0.10           198.51.100.2   198.51.100.3           10.2.0.10
"""

import os

from box import COMMAND, DAEMON
from lab import run

ANSWERS = """name: {name}
wan: {{card: eth0, addresses: {wan}, gateway: 198.51.100.1}}
lan: {{card: eth1, addresses: [{lan}]}}
"""
OFFICES = {"berlin": ("198.51.100.2/24", "10.1.0"), "munich": ("198.51.100.3/24", "10.2.0")}


class Machine:
    """A machine with two cards that is to become a box; its kernel has an address on eth0."""

    def __init__(self, lab, name, **answers):
        self.host, self.folder = lab.host(name), lab.dir / f"etc-{name}"
        self.answers = lab.dir / f"{name}-answers.yaml"
        wan, lan = OFFICES[name]
        self.answers.write_text(ANSWERS.format(name=name, wan=wan, lan=f"{lan}.1/24", **answers))

    def setup(self, *options, ssh=None, stdin=None):
        environment = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
        if ssh:
            environment["SSH_CONNECTION"] = f"192.0.2.77 50000 {ssh} 22"
        return run(*self.host.command(COMMAND, "setup", "--folder", self.folder, *options),
                   check=False, env=environment, **({"input": stdin} if stdin else {}))

    def file(self):
        return self.folder / "meshgate.yaml"

    def start(self, lab):
        with open(self.file(), "a", encoding="utf-8") as file:
            file.write(f"control: {{socket: {self.folder}/s, "
                       f"wg_socket: {self.folder}/{self.host.name}.sock}}\n")
        return self.host.spawn(DAEMON, "--config", self.file())


def two_cards(lab, name):
    machine = Machine(lab, name)
    other = lab.host(f"h-{name}")
    lab.cable(other, "eth0", machine.host, "eth1")
    _, lan = OFFICES[name]
    other.address("eth0", f"{lan}.10/24")
    other.route("default", "via", f"{lan}.1")
    return machine, other


def test_two_boxes_from_their_answers_to_a_ping(lab):
    (berlin, h_berlin), (munich, h_munich) = two_cards(lab, "berlin"), two_cards(lab, "munich")
    lab.cable(berlin.host, "eth0", munich.host, "eth0")
    entries = {}
    for machine in (berlin, munich):
        done = machine.setup("--answers", machine.answers)
        assert done.returncode == 0, done
        entries[machine] = done.stdout[done.stdout.index("  - name:"):].split("\n\n")[0] + "\n"
        assert machine.file().stat().st_mode & 0o777 == 0o640
        assert (machine.folder / "box.key").stat().st_mode & 0o777 == 0o600
    for machine, other in ((berlin, munich), (munich, berlin)):
        with open(machine.file(), "a", encoding="utf-8") as file:
            file.write(entries[other])
        machine.start(lab)
    h_berlin.wait_ping("10.2.0.10", seconds=40)
    h_munich.wait_ping("10.1.0.10", seconds=40)


def test_a_second_run_changes_nothing(lab):
    berlin, _ = two_cards(lab, "berlin")
    lab.cable(berlin.host, "eth0", lab.host("internet"), "eth0")
    assert berlin.setup("--answers", berlin.answers).returncode == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in berlin.folder.iterdir()}
    again = berlin.setup("--answers", berlin.answers)
    assert again.returncode == 0 and "nothing to do" in again.stdout, again
    asked = berlin.setup()
    assert asked.returncode == 0 and "a box already" in asked.stdout, asked
    berlin.answers.write_text(berlin.answers.read_text().replace("198.51.100.2", "198.51.100.9"))
    other = berlin.setup("--answers", berlin.answers)
    assert other.returncode == 1 and "file-exists" in other.stderr, other
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns)
                      for path in berlin.folder.iterdir()}


def test_what_cannot_be_is_refused_and_nothing_is_written(lab):
    berlin, _ = two_cards(lab, "berlin")
    lab.cable(berlin.host, "eth0", lab.host("internet"), "eth0")
    berlin.host.address("eth0", "192.0.2.9/24")
    good = berlin.answers.read_text()
    dry = berlin.setup("--answers", berlin.answers, "--dry-run")
    assert dry.returncode == 0 and "af_packet:eth0" in dry.stdout, dry
    cut = berlin.setup("--answers", berlin.answers, ssh="192.0.2.9")
    assert cut.returncode == 1 and "only-interface" in cut.stderr, cut
    for bad, status, word in ((good.replace("eth1", "eth7"), 1, "no-such-card"),
                              (good.replace("name: berlin", "name: [x]"), 78, "wrong-type"),
                              (good.replace("10.1.0.1/24", "10.1.0.999/24"), 78, "10.1.0.999"),
                              (good.replace("gateway: 198.51.100.1", "gateway: 10.9.9.9"), 78, "gateway"),
                              (good + "device: pci\n", 1, "not-on-pci"),
                              (good + "surprise: 1\n", 78, "unknown-key"),
                              ("{" * 5000, 78, "error"), ("", 78, "error"), ("\0\xff", 78, "error")):
        berlin.answers.write_text(bad, encoding="latin-1")
        done = berlin.setup("--answers", berlin.answers)
        assert done.returncode == status and word in done.stderr, (bad[:200], done)
    assert berlin.setup("--answers", "/nonexistent").returncode in (1, 78)
    for card, word in (("eth0", "cannot-blink"), ("eth7", "No such device")):
        blink = berlin.setup("--blink", card)
        assert blink.returncode == 1 and word in blink.stderr, blink
    assert not berlin.folder.exists(), list(berlin.folder.iterdir())
    berlin.answers.write_text(good)
    assert berlin.setup("--answers", berlin.answers, "--cut-ssh", ssh="192.0.2.9").returncode == 0


def test_five_questions_on_a_terminal(lab):
    berlin, _ = two_cards(lab, "berlin")
    lab.cable(berlin.host, "eth0", lab.host("internet"), "eth0")
    no = berlin.setup(stdin="berlin\neth0\n198.51.100.2/24 via 198.51.100.1\neth1 10.1.0.1/24\n\nn\n")
    assert no.returncode == 1 and not berlin.folder.exists(), no
    ended = berlin.setup(stdin="berlin\n")
    assert ended.returncode == 1 and not berlin.folder.exists(), ended
    yes = berlin.setup(stdin="berlin\nnone\neth0\n198.51.100.2/24 via 198.51.100.1\n"
                       "eth1 10.1.0.1/24\n- name: munich\n"
                       "  public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
                       "  allowed_ips: [10.2.0.0/24]\n\ny\n")
    assert yes.returncode == 0 and "There is no card none" in yes.stdout, yes
    assert "name: munich" in berlin.file().read_text()
