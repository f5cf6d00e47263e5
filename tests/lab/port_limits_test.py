# SPDX-License-Identifier: Apache-2.0
r"""Where ports of the kernel differ from cards: what they cut, what they join, when they wake us.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import socket
import time

import traffic
from box import Box
from lab import alone, wait_for
from topology import BOX_WAN, CLIENT, HOST, Road


def test_fragments_of_a_host_pass(lab):
    """net_af_packet has the kernel put fragments together, and cuts the whole; not here."""
    road = Road(lab, device="af_packet").up()
    for address in CLIENT:
        road.host.ping(address, count=1, size=4000)  # the host may have to learn the path MTU first
        assert road.host.ping(address, count=3, size=4000) == 3


def check_refused_frames_block_nobody(lab, device):
    """What the other end of a veth pair is too narrow for is lost; what comes behind it is not."""
    road = Road(lab, device=device).up()
    road.host.run("ip", "link", "set", "eth0", "mtu", "1300")
    for _ in range(3):
        assert road.client.ping(HOST[0], count=2, size=1372, wait=0.3) == 0
        assert road.client.ping(HOST[0]) == 3
    result = traffic.udp(road.client, road.host, HOST[0], rate=2000, seconds=2, size=200)
    assert result.lost == 0, result


def test_refused_frames_block_nobody_af_packet(lab):
    check_refused_frames_block_nobody(lab, "af_packet")


def test_refused_frames_block_nobody_af_xdp(lab):
    check_refused_frames_block_nobody(lab, "af_xdp")


def test_queue_discipline_goes_with_the_box(lab):
    """One that somebody else has made stays."""
    road = Road(lab, start=False)
    road.box.run("tc", "qdisc", "add", "dev", "wan0", "root", "pfifo", "limit", "77")

    def disciplines():
        return {interface: road.box.run("tc", "qdisc", "show", "dev", interface).stdout.split()[1]
                for interface in ("lan0", "wan0")}
    assert disciplines() == {"lan0": "noqueue", "wan0": "pfifo"}
    road.start()
    assert disciplines() == {"lan0": "pfifo_fast", "wan0": "pfifo"}, disciplines()
    road.box.stop()
    assert disciplines() == {"lan0": "noqueue", "wan0": "pfifo"}, disciplines()
    road.box.start()


@alone("a rate of TCP")
def test_tcp_of_a_host_with_default_offloads(lab):
    """Its first super-packets are cut and dropped, then the kernel takes them apart."""
    road = Road(lab, device="af_packet", offloads=True).up()
    traffic.tcp(road.host, road.client, CLIENT[0], seconds=1)
    wait_for(lambda: road.box.drops().get("truncated", 0) >= 8, "cut packets", seconds=3)
    time.sleep(0.5)
    before = road.box.drops()["truncated"]
    result = traffic.tcp(road.host, road.client, CLIENT[0], seconds=2)
    assert result.rate_bits_per_second > 50e6, result
    assert road.box.drops()["truncated"] == before, road.box.drops()


def idle_cores(box, seconds=2):
    start = box.cpu_seconds()
    time.sleep(seconds)
    return (box.cpu_seconds() - start) / seconds


def nb_sleeps(box):
    return box.show("show", "workers")["workers"][0]["sleeps"]


def check_sleep(road):
    """Next to no work when idle, and a packet after a pause is not late."""
    wait_for(lambda: road.box.show("show", "workers")["workers"][0]["asleep"], "sleep", seconds=3)
    before = nb_sleeps(road.box)
    assert idle_cores(road.box) < 0.1
    # 20 in a second by the clock; without doorbells a worker looks some thousand times.
    assert nb_sleeps(road.box) - before < 500, nb_sleeps(road.box) - before
    result = traffic.round_trip(road.host, road.client, CLIENT[0], count=100, interval_us=20000)
    assert result["received"] == 100, result
    # A doorbell that does not ring lets the worker sleep on for up to 50 ms, both ways.
    assert result["p50_us"] < 10000, result


@alone("processor time and latency")
def test_af_packet_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="af_packet").up())


@alone("processor time and latency")
def test_af_xdp_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="af_xdp").up())


@alone("processor time and latency")
def test_tap_sleeps_and_wakes(lab):
    check_sleep(Road(lab, device="tap").up())


@alone("processor time")
def test_busy_workers_do_not_sleep(lab):
    road = Road(lab, idle="busy").up()
    assert idle_cores(road.box) > 0.2
    assert not road.box.show("show", "workers")["workers"][0]["asleep"]


def check_every_mbuf_is_received_into(road):
    """Handshakes are freed by another thread than received them, so that the mbufs of the whole
    pool have their turn."""
    total = road.box.status()["dataplane"]["mbufs_total"]
    junk = b"\x01\0\0\0" + bytes(144)

    def nb_received():
        return road.box.show("show", "drops")["conservation"]["punts"]
    with road.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        def received_enough():
            for _ in range(2000):
                sender.sendto(junk, (BOX_WAN[0], 51820))
            return nb_received() > 1.5 * total
        wait_for(received_enough, lambda: f"{total} mbufs; received {nb_received()}", seconds=60)
    assert road.client.ping(HOST[0]) == 3
    assert road.host.ping(CLIENT[0]) == 3


@alone("a flood")
def test_af_xdp_receives_into_every_mbuf(lab):
    check_every_mbuf_is_received_into(Road(lab, device="af_xdp").up())


@alone("a flood")
def test_af_packet_receives_into_every_mbuf(lab):
    check_every_mbuf_is_received_into(Road(lab, device="af_packet").up())


def memif_boxes(lab):
    r"""left ---- lan0 [one] wan0 ==== memif ==== wan0 [two] lan0 ---- right"""
    boxes, hosts = [Box(lab, "one"), Box(lab, "two")], [lab.host("left"), lab.host("right")]
    wire = lab.dir / "wire.sock"
    for side, (box, host, role) in enumerate(zip(boxes, hosts, ("server", "client")), 1):
        lab.cable(host, "eth0", box, "lan0")
        host.address("eth0", f"10.{side}.0.10/24")
        host.route("default", "via", f"10.{side}.0.1")
        box.port("wan0", "wan", [f"192.0.2.{side}/24"])
        box.config["ports"][0]["device"] = f"memif:{wire},role={role}"
        box.port("lan0", "lan", [f"10.{side}.0.1/24"])
        box.peer("other", boxes[2 - side].public_key, [f"10.{3 - side}.0.0/16"],
                 f"192.0.2.{3 - side}:51820")
        box.start()
    return boxes, hosts, wire


@alone("a rate of TCP")
def test_memif_between_two_boxes(lab):
    boxes, hosts, _ = memif_boxes(lab)
    hosts[0].wait_ping("10.2.0.10")
    result = traffic.udp(*hosts, "10.2.0.10", rate=3000, seconds=2, size=1200)
    assert result.lost == 0 and result.corrupt == 0, result
    assert traffic.tcp(*hosts, "10.2.0.10", seconds=1.5).rate_bits_per_second > 50e6
    boxes[1].restart()
    # From its side: the other one holds its session for good until nothing came for 15 s.
    hosts[1].wait_ping("10.1.0.10")
    assert hosts[0].ping("10.2.0.10") == 3


def test_a_memif_server_outlives_whoever_looks_at_its_socket(lab):
    """Another server asks whether the socket is in use before it takes it away."""
    boxes, hosts, wire = memif_boxes(lab)
    hosts[0].wait_ping("10.2.0.10")
    other = Box(lab, "other")
    lab.boxes.remove(other)  # it will not start
    lab.cable(lab.host("nobody"), "eth0", other, "lan0")
    other.port("wan0", "wan", ["192.0.2.9/24"])
    other.config["ports"][0]["device"] = f"memif:{wire},role=server"
    other.port("lan0", "lan", ["10.3.0.1/24"])
    other.write()
    process = other.spawn(*other.daemon_command(), name="other-meshgated")
    wait_for(lambda: not process.running(), "the second server to give up")
    assert "wan0" in process.output(), process.output()
    assert hosts[0].ping("10.2.0.10") == 3
    assert all(box.process.running() for box in boxes)
