# SPDX-License-Identifier: Apache-2.0
r"""Bytes from people who mean no good, and from cables that are no good.

    host ---- lan0 [box] wan0 ---- b cable a ---- client (wireguard-go)
"""

import random
import socket
import struct
import threading
import time

import traffic
from lab import alone, wait_for
from topology import BOX_WAN, CLIENT, CLIENT_WAN, HOST, Road


def damaged(road, **faults):
    """UDP from the client while the cable does its worst to data in that direction."""
    road.cable.command("select data")
    road.cable.set("a>b", **faults)
    result = traffic.udp(road.client, road.host, HOST[0], rate=2000, seconds=2, size=200)
    counters = road.cable.counters("a>b")
    road.cable.clear()
    return result, counters


def test_replayed_datagrams_are_dropped(lab):
    road = Road(lab, injected=True).up()
    road.cable.command("record on")
    flow = traffic.UdpFlow(road.client, road.host, HOST[0], rate=1000, seconds=1)
    flow.sender.popen.wait()
    road.cable.command("record off")
    road.cable.command("replay a>b 1000")
    time.sleep(0.3)
    result = flow.finish()
    assert result.lost == 0 and result.duplicates == 0, result
    assert road.box.drops()["replayed"] >= 990, road.box.drops()


def test_duplicated_datagrams_arrive_once(lab):
    road = Road(lab, injected=True).up()
    result, counters = damaged(road, duplicate=0.5)
    assert counters["duplicated"] > 500, counters
    assert result.lost == 0 and result.duplicates == 0, result
    assert road.box.drops()["replayed"] == counters["duplicated"], road.box.drops()


def test_reordered_datagrams_all_arrive(lab):
    road = Road(lab, injected=True).up()
    result, counters = damaged(road, reorder=0.2, reorder_depth=100)
    assert counters["reordered"] > 300, counters
    assert result.lost == 0 and result.reordered > 300, result


def test_flipped_bits_never_get_through(lab):
    road = Road(lab, injected=True).up()
    result, counters = damaged(road, corrupt=0.3, repair_checksum=1)
    assert counters["corrupted"] > 500, counters
    assert result.corrupt == 0, result
    assert result.lost == counters["corrupted"], (result, counters)
    drops = road.box.drops()
    assert drops["bad_tag"] > 400, drops
    noticed = sum(drops.get(reason, 0) for reason in
                  ("bad_tag", "bad_message", "unknown_index", "expired_key"))
    assert noticed == counters["corrupted"], drops


def test_truncated_datagrams_are_dropped(lab):
    road = Road(lab, injected=True).up()
    result, counters = damaged(road, truncate=0.3, repair_checksum=1)
    assert counters["truncated"] > 500, counters
    assert result.corrupt == 0 and result.lost == counters["truncated"], (result, counters)
    drops = road.box.drops()
    noticed = sum(drops.get(reason, 0) for reason in ("bad_tag", "bad_message", "bad_udp"))
    assert noticed == counters["truncated"], drops


def test_replayed_initiations_earn_no_answer(lab):
    """A recorded handshake, sent again: 0 responses, and the session does not notice."""
    road = Road(lab, injected=True)
    road.cable.command("record on")
    road.up()
    road.cable.command("record off")
    before = road.cable.counters("b>a")
    for _ in range(20):
        road.cable.command("replay a>b 100")
        time.sleep(0.05)
    after = road.cable.counters("b>a")
    assert road.cable.counters("a>b")["replayed"] >= 20
    assert after["responses"] == before["responses"], after
    assert after["cookie_replies"] == before["cookie_replies"], after
    assert road.client.ping(HOST[0]) == 3


def test_broken_handshakes_only_cost_time(lab):
    """Half of the handshake messages are damaged, yet the session comes up."""
    road = Road(lab, injected=True, seed=3)
    road.cable.command("select handshake")
    road.cable.set("both", corrupt=0.5, repair_checksum=1)
    road.client.wait_ping(HOST[0], seconds=60)


def random_datagrams(count, seed):
    """Random bytes of every length, and every WireGuard type with random contents."""
    chance = random.Random(seed)
    for number in range(count):
        kind = number % 6
        if kind == 0:
            yield chance.randbytes(chance.randrange(0, 1400))
        else:
            length = {1: 148, 2: 92, 3: 64, 4: 32, 5: chance.randrange(16, 1400)}[kind]
            yield struct.pack("<I", min(kind, 4)) + chance.randbytes(length - 4)


@alone("60 000 datagrams at once beside a counted stream")
def test_garbage_to_the_wireguard_port(lab):
    """No answer, no growth, and the traffic of the honest peer goes on."""
    road = Road(lab, injected=True).up()
    flow = traffic.UdpFlow(road.client, road.host, HOST[0], rate=1000, seconds=6)
    before = road.cable.counters("b>a")
    memory = road.box.memory_kib()
    sender = road.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for datagram in random_datagrams(30000, seed=1):
        sender.sendto(datagram, (BOX_WAN[0], 51820))
    sender6 = road.client.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for datagram in random_datagrams(30000, seed=2):
        sender6.sendto(datagram, (BOX_WAN[1], 51820))
    result = flow.finish()
    after = road.cable.counters("b>a")
    for what in ("responses", "cookie_replies", "initiations"):
        assert after[what] == before[what], (what, before, after)
    assert road.box.memory_kib() - memory < 4096, "memory grew"
    assert result.loss < 0.01, result
    assert road.box.process.running()


def random_frames(count, seed, destination, source):
    """Ethernet frames that look plausible for some bytes: ARP, IPv4, IPv6, VLAN, LLDP."""
    chance = random.Random(seed)
    types = [b"\x08\x06", b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\xcc"]
    for number in range(count):
        body = bytearray(chance.randbytes(chance.randrange(0, 1500)))
        kind = types[number % len(types)]
        if kind == b"\x08\x00" and len(body) > 20 and number % 2:
            body[0] = 0x45
            struct.pack_into("!H", body, 2, chance.choice([len(body), 20, 65535, 0]))
        if kind == b"\x86\xdd" and len(body) > 40 and number % 2:
            body[0] = 0x60
            body[6] = chance.choice([0, 6, 17, 43, 44, 50, 51, 58, 60])
            struct.pack_into("!H", body, 4, chance.choice([len(body) - 40, 0, 65535]))
        yield (destination if number % 4 else b"\xff" * 6) + source + kind + bytes(body)


def flood_frames(host, interface, mac, seed):
    raw = host.packet_socket(interface)
    destination = bytes.fromhex(mac.replace(":", ""))
    for frame in random_frames(30000, seed, destination, b"\x02\x00\x00\x00\x00\x99"):
        try:
            raw.send(frame)
        except OSError:
            time.sleep(0.001)  # the interface's queue is full
    raw.close()


@alone("a flood")
def test_a_flood_of_handshakes_does_not_shut_others_out(lab):
    """From an address of its own, faster than control may take them: the client still gets in."""
    road = Road(lab, start=False)
    road.client.address("eth0", "192.0.2.66/24")
    road.start()
    junk = b"\x01\0\0\0" + bytes(144)
    with road.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("192.0.2.66", 0))
        done = threading.Event()

        def flood():
            while not done.is_set():
                sender.sendto(junk, (BOX_WAN[0], 51820))
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            wait_for(lambda: road.box.drops().get("handshake_flood", 0) > 1000,
                     lambda: f"a flood: {road.box.drops()}", seconds=20)
            road.client.wait_ping(HOST[0], seconds=20)
            road.client.wait_ping(HOST[1], seconds=20)
            assert road.box.status()["ready"]
        finally:
            done.set()
            thread.join()
    assert road.box.peer_status("client")["handshakes"]["initiations_received"] >= 1


@alone("60 000 frames at once")
def test_garbage_frames_on_every_port(lab):
    road = Road(lab).up()
    macs = [port["mac"] for port in road.box.show("show", "ports")["ports"]]
    memory = road.box.memory_kib()
    flood_frames(road.client, "eth0", macs[0], seed=11)
    flood_frames(road.host, "eth0", macs[1], seed=12)
    road.client.wait_ping(HOST[0], seconds=5)
    assert road.host.ping(CLIENT[0]) == 3
    assert road.box.memory_kib() - memory < 4096, "memory grew"


@alone("60 000 frames at once")
def test_strangers_neighbours_do_not_fill_the_table(lab):
    """ARP from 60 000 made-up hosts: bounded memory, and the real host is still reached."""
    road = Road(lab).up()
    memory = road.box.memory_kib()
    raw = road.host.packet_socket("eth0")
    for number in range(60000):
        mac = struct.pack("!HI", 0x0200, number)
        address = socket.inet_aton(f"10.1.0.{number % 200 + 20}")
        raw.send(b"\xff" * 6 + mac + b"\x08\x06" + bytes.fromhex("0001080006040001") + mac
                 + address + b"\0" * 6 + socket.inet_aton("10.1.0.1"))
    raw.close()
    assert road.box.memory_kib() - memory < 8192, "memory grew"
    road.client.wait_ping(HOST[0], seconds=5)


def test_inner_sources_are_checked(lab):
    """A peer may only send from its own addresses."""
    road = Road(lab).up()
    road.client.address(road.tunnel.interface, "10.9.0.66/32")
    before = road.box.drops().get("source_not_allowed", 0)
    assert road.client.run("ping", "-c", "3", "-i", "0.1", "-W", "0.5", "-I", "10.9.0.66", HOST[0],
                           check=False).returncode != 0
    assert road.box.drops()["source_not_allowed"] == before + 3


def test_plaintext_from_the_underlay_is_not_forwarded(lab):
    """Inner addresses on the wan port: nothing gets through to the LAN."""
    road = Road(lab).up()
    mac = road.box.show("show", "ports")["ports"][0]["mac"]
    road.client.run("ip", "neigh", "replace", BOX_WAN[0], "lladdr", mac, "dev", "eth0")
    raw = road.client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    road.client.run("ip", "route", "replace", "10.1.0.0/16", "via", BOX_WAN[0], "dev", "eth0")
    raw.bind((CLIENT_WAN[0], 0))
    with road.host.capture("eth0") as seen:
        for _ in range(20):
            raw.sendto(b"\x1b\x59\x1b\x59\x00\x10\x00\x00CANARY!!", (HOST[0], 0))
        time.sleep(0.3)
    assert not [frame for _, frame in seen.frames if b"CANARY" in frame]
    assert road.box.drops().get("not_for_us", 0) >= 20, road.box.drops()


def test_no_plaintext_on_the_underlay(lab):
    """With and without a session: the payload never appears on the wan side."""
    road = Road(lab, injected=False, client_knows=False, box_knows=True)
    with road.client.capture("eth0") as seen:
        sender = road.host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for turn in range(100):
            sender.sendto(b"CANARY-CANARY-CANARY", (CLIENT[0], 9))
            if turn == 50:
                road.host.wait_ping(CLIENT[0])
        time.sleep(0.3)
    assert len(seen.frames) > 50, len(seen.frames)
    assert not [frame for _, frame in seen.frames if b"CANARY" in frame]
