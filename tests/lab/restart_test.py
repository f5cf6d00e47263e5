# SPDX-License-Identifier: Apache-2.0
r"""Either side starts anew and traffic comes back.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import signal
import time

import traffic
from topology import CLIENT, HOST, Road


def test_box_is_stopped_and_started(lab):
    road = Road(lab, box_knows=True).up()
    assert road.box.stop() == 0
    road.box.start()
    assert road.host.wait_ping(CLIENT[0], seconds=6) < 6
    assert road.client.ping(HOST[0]) == 3


def test_box_is_killed_and_started(lab):
    """Nothing that a killed box leaves behind keeps the next one from starting."""
    road = Road(lab, box_knows=True).up()
    for _ in range(3):
        road.box.restart(how=signal.SIGKILL)
        road.host.wait_ping(CLIENT[0], seconds=6)
        road.client.wait_ping(HOST[0], seconds=6)


def test_client_restarts(lab):
    road = Road(lab).up()
    road.tunnel.restart()
    assert road.client.wait_ping(HOST[0], seconds=6) < 6
    assert road.host.ping(CLIENT[0]) == 3


def test_client_restarts_while_the_box_sends(lab):
    """The box learns of the lost session by silence (15 s) or by the client's own handshake."""
    road = Road(lab, box_knows=True, client_knows=False).up()
    flow = traffic.UdpFlow(road.host, road.client, CLIENT[0], rate=100, seconds=25)
    time.sleep(0.5)
    road.tunnel.restart()
    result = flow.finish()
    assert result.longest_gap_seconds < 17, result
    assert result.received > 600, result


def test_sigterm_under_load_drains(lab):
    road = Road(lab).up()
    flow = traffic.UdpFlow(road.client, road.host, HOST[0], rate=5000, seconds=4)
    time.sleep(1)
    started = time.monotonic()
    assert road.box.stop() == 0
    assert time.monotonic() - started < 3
    flow.finish()
