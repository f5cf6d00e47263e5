# SPDX-License-Identifier: Apache-2.0
"""A network of a thousand members, of which five are really there."""

import base64
import secrets
import time

from mesh import Mesh

MEMBERS = 1000


class Absent:
    """A member that nobody ever hears of."""

    def __init__(self, number):
        self.name = f"absent-{number}"
        self.number = number
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()

    def entry(self):
        high, low = divmod(self.number, 250)
        return {"name": self.name, "public_key": self.key,
                "prefixes": [f"10.{100 + high}.{low}.0/24"],
                "endpoints": [f"203.0.{high}.{low + 1}:51820"]}


def test_a_large_network_file_spreads_and_nobody_loses_a_packet(lab):
    mesh = Mesh(lab)
    for name in "abcde":
        mesh.box(name, relay=name in "ab")
    mesh.start()
    mesh.reach()
    real = list(mesh.boxes.values())
    streams = mesh.streams()
    time.sleep(0.5)
    absent = [Absent(number) for number in range(MEMBERS - len(real))]
    mesh.write(members=real + absent)
    started = time.monotonic()
    mesh.push(real[-1])
    mesh.wait_version(mesh.version, seconds=30)
    seconds = time.monotonic() - started
    time.sleep(1)
    outcome = streams.finish()
    assert outcome.lost == 0, outcome.losers()
    for box in real:
        assert len(box.show("show", "members")["members"]) == MEMBERS, box.name
    # All but the five are taken out again: revoked.
    mesh.write(members=real)
    mesh.push(real[0])
    mesh.wait_version(mesh.version, seconds=30)
    for box in real:
        assert len(box.show("show", "members")["members"]) == len(real), box.name
    mesh.reach()
    size = mesh.file.stat().st_size
    print(f"{MEMBERS} members were everywhere after {seconds:.2f} s, the last file has {size} bytes")
