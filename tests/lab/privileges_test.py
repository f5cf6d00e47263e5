# SPDX-License-Identifier: Apache-2.0
"""The daemon as a user of its own, with the capabilities that its unit grants and no more.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import os
import re
import signal
from pathlib import Path

from topology import HOST, Road

USER = 65534
UNIT = Path(__file__).resolve().parents[2] / "systemd/meshgated.service.in"
NUMBERS = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_BPF": 39}


def granted():
    line = re.search(r"^AmbientCapabilities=(CAP.*)$", UNIT.read_text(), re.M)[1]
    return line.split()


def start_as_user(road):
    """As systemd starts it: without root, with ambient capabilities."""
    box = road.box
    names = ",".join("+" + name.removeprefix("CAP_").lower() for name in granted())
    inner = box.daemon_command()
    box.daemon_command = lambda: [
        "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs",
        f"--inh-caps=-all,{names}", f"--ambient-caps=-all,{names}",
        f"--bounding-set=-all,{names}", *inner]
    os.chown(box.dir, USER, USER)
    for path in box.dir.iterdir():
        os.chown(path, USER, USER)
    box.config["control"]["wg_socket"] = str(box.dir / "wg.sock")
    with_open_mask(road.start)


def with_open_mask(start):
    mask = os.umask(0)  # the socket for sd_notify
    try:
        start()
    finally:
        os.umask(mask)


def held(box):
    text = Path(f"/proc/{box.pid()}/status").read_text()
    return int(re.search(r"^CapPrm:\s+(\w+)$", text, re.M)[1], 16)


def bits(*names):
    return sum(1 << NUMBERS[name] for name in names)


def test_af_packet_needs_no_root(lab):
    road = Road(lab, start=False)
    start_as_user(road)
    road.up()
    assert held(road.box) == bits("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK"), hex(held(road.box))
    assert road.client.ping(HOST[0]) == 3


def test_af_xdp_needs_no_root_and_leaves_no_program(lab):
    road = Road(lab, start=False, device="af_xdp")
    start_as_user(road)
    road.up()
    wanted = bits("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_BPF")
    assert held(road.box) == wanted, hex(held(road.box))
    road.box.stop(signal.SIGKILL)
    left = road.box.run("ip", "link", "show").stdout
    assert "xdp" not in left, left
    with_open_mask(road.box.start)
