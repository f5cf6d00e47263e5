# SPDX-License-Identifier: Apache-2.0
r"""A disk that is full: nothing ends, nothing old is lost, and it is said.

    [one] ---- internet ---- [two]      what `one` keeps is on a file system of 256 KiB
"""

import contextlib

from lab import LabError, run
from mesh import Mesh


@contextlib.contextmanager
def small_disk(lab, name, *options):
    folder = lab.dir / name
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", ",".join(["size=256k", *options]), "small", folder)
    try:
        yield folder
    finally:
        run("umount", "-l", folder)


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "filling", "wb", buffering=0) as out:
        while out.write(bytes(4096)):
            pass


def test_network_file_on_a_full_disk(lab):
    with small_disk(lab, "state") as state:
        mesh = Mesh(lab)
        one, two = mesh.box("one", relay=True), mesh.box("two")
        one.environment["STATE_DIRECTORY"] = str(state)
        mesh.start()
        mesh.write()
        mesh.push(one)
        mesh.wait_version(2)
        kept = (state / "network.kept").read_bytes()
        fill(state)
        mesh.write()
        assert "accepted" in mesh.push(one).stdout
        mesh.wait_version(3)
        one.process.wait_output("network-not-kept")
        assert "No space left on device" in one.log_text(), one.log_text()
        assert (state / "network.kept").read_bytes() == kept
        assert {path.name for path in state.iterdir()} <= {
            "filling", "instance", "interfaces", "network.kept", "timestamp", "timestamp.new",
        }, list(state.iterdir())
        # It comes back with what was kept, and has what it missed from the other one.
        two.process.wait_output("session-up")
        assert one.stop() == 0
        one.start()
        mesh.wait_version(3)
        (state / "filling").unlink()
        mesh.write()
        mesh.push(one)
        mesh.wait_version(4)
        assert (state / "network.kept").read_bytes() != kept
        # Damaged meanwhile: passed over, and that is said.
        assert one.stop() == 0
        (state / "network.kept").write_bytes(kept[:100])
        one.start()
        assert "warning[bad-signature]" in one.log_text(), one.log_text()
        mesh.wait_version(4)
        assert one.stop() == 0


def test_no_room_for_the_sockets(lab):
    with small_disk(lab, "run", "nr_inodes=3") as folder:
        mesh = Mesh(lab)
        one = mesh.box("one")
        one.config["control"]["socket"] = str(folder / "meshgate.sock")
        (folder / "filling").touch()
        try:
            mesh.start()
        except LabError as error:
            assert "No space left on device" in str(error) and str(folder) in str(error), error
        else:
            raise LabError("it started without its socket")
        assert one.process.popen.wait(10) == 1
        one.process = None
        (folder / "filling").unlink()
        one.start()
        one.meshgate("show", "ports")
        assert one.stop() == 0
