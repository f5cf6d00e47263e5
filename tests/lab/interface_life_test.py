# SPDX-License-Identifier: Apache-2.0
r"""Interfaces that come late, go away, come back and change while the box stands on them.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import time

import traffic
from box import Box
from lab import run, wait_for
from topology import BOX_LAN, CLIENT, HOST, Road


def port(box, name="lan0"):
    return next(each for each in box.show("show", "ports")["ports"] if each["name"] == name)


def problems(box):
    return box.status()["problems"]


def connect_host(road):
    """Makes the host's cable, and gives the host its addresses and routes again."""
    road.lab.cable(road.host, "eth0", road.box, "lan0")
    road.host.address("eth0", f"{HOST[0]}/24", f"{HOST[1]}/64")
    road.host.route("default", "via", BOX_LAN[0])
    road.host.route("default", "via", BOX_LAN[1])


def check_made_again(lab, device, workers=1):
    """Three times, with other MAC addresses; the port is never shown as up meanwhile."""
    road = Road(lab, device=device, workers=workers).up()
    mbufs = road.box.status()["dataplane"]["mbufs_in_use"]
    for again in range(1, 4):
        before = port(road.box)
        road.host.run("ip", "link", "delete", "eth0")
        wait_for(lambda: not port(road.box)["up"], "link down", seconds=2)
        time.sleep(0.5)
        assert not port(road.box)["up"]
        assert any("lan0" in line and "waits for interface lan0" in line
                   for line in problems(road.box)), problems(road.box)
        assert road.client.ping(HOST[0], count=1, wait=0.3) == 0
        connect_host(road)
        wait_for(lambda: port(road.box)["up"], "link up", seconds=5)
        road.host.wait_ping(CLIENT[0], seconds=5)
        road.client.wait_ping(HOST[1], seconds=10)  # which has another MAC address
        assert road.client.ping(HOST[1]) == 3
        now = port(road.box)
        assert now["rebinds"] == again and now["mac"] != before["mac"], now
        assert now["mac"] == road.box.mac("lan0"), now
        wait_for(lambda: problems(road.box) == [], lambda: problems(road.box), seconds=5)
    result = traffic.udp(road.host, road.client, CLIENT[0], rate=2000, seconds=1, size=1200)
    assert result.lost == 0, result
    return road, road.box.status()["dataplane"]["mbufs_in_use"] - mbufs


def test_made_again_af_packet(lab):
    _, mbufs = check_made_again(lab, "af_packet")
    assert mbufs < 200, mbufs


def test_made_again_with_two_workers(lab):
    check_made_again(lab, "af_packet", workers=2)


def test_made_again_af_xdp(lab):
    """The driver does not ask the kernel's buffers back; before they run short, status says so."""
    road, mbufs = check_made_again(lab, "af_xdp")
    assert mbufs < 3 * 2048 + 200, mbufs
    for again in range(4, 10):
        assert problems(road.box) == [], (again, problems(road.box))
        road.host.run("ip", "link", "delete", "eth0")
        wait_for(lambda: not port(road.box)["up"], "link down", seconds=2)
        connect_host(road)
        wait_for(lambda: port(road.box)["up"], "link up", seconds=5)
    wait_for(lambda: any("restart meshgated" in line for line in problems(road.box)),
             lambda: problems(road.box), seconds=5)
    road.host.wait_ping(CLIENT[0], seconds=5)


def test_made_again_under_load(lab):
    road = Road(lab).up()
    flow = traffic.UdpFlow(road.client, road.host, HOST[0], rate=3000, seconds=6)
    for _ in range(3):
        time.sleep(0.8)
        road.host.run("ip", "link", "delete", "eth0")
        time.sleep(0.3)
        connect_host(road)
    flow.finish()
    assert road.box.drops()["port_unbound"] > 0, road.box.drops()
    road.host.wait_ping(CLIENT[0], seconds=5)


def check_moved_and_renamed(lab, device):
    """It keeps its index, and the socket is dead all the same."""
    road = Road(lab, device=device).up()
    run("ip", "-n", road.box.netns, "link", "set", "lan0", "netns", road.client.netns)
    wait_for(lambda: not port(road.box)["up"], "link down", seconds=2)
    road.client.run("ip", "link", "set", "lan0", "netns", road.box.netns)
    road.host.wait_ping(CLIENT[0], seconds=8)
    road.box.run("sh", "-c", f"ip link set lan0 netns {road.client.netns}; "
                 f"ip -n {road.client.netns} link set lan0 netns {road.box.netns}")
    road.host.wait_ping(CLIENT[0], seconds=8)
    road.box.run("ip", "link", "set", "lan0", "down")
    wait_for(lambda: any("`ip link set lan0 up`" in line for line in problems(road.box)),
             "what to do about it", seconds=3)
    road.box.run("ip", "link", "set", "lan0", "name", "other0")
    wait_for(lambda: any("waits for interface lan0" in line for line in problems(road.box)),
             "to be missed", seconds=3)
    road.box.run("ip", "link", "set", "other0", "name", "lan0")
    road.host.wait_ping(CLIENT[0], seconds=8)  # bound anew, and set up
    assert port(road.box)["rebinds"] >= 3, port(road.box)
    assert road.box.run("tc", "qdisc", "show", "dev", "lan0").stdout.split()[1] == (
        "pfifo_fast" if device == "af_packet" else "noqueue")


def test_moved_and_renamed_af_packet(lab):
    check_moved_and_renamed(lab, "af_packet")


def test_moved_and_renamed_af_xdp(lab):
    check_moved_and_renamed(lab, "af_xdp")


def test_a_tap_that_is_deleted_is_made_again(lab):
    road = Road(lab, device="tap").up()
    road.host.run("ip", "link", "delete", "eth0")
    wait_for(lambda: road.box.run("ip", "link", "show", "lan0", check=False).returncode == 0,
             "another tap", seconds=5)
    road.box.run("ip", "link", "set", "dev", "lan0", "netns", road.host.netns)
    road.host.run("ip", "link", "set", "dev", "lan0", "name", "eth0")
    road.host.address("eth0", f"{HOST[0]}/24")
    road.host.route("default", "via", BOX_LAN[0])
    road.host.wait_ping(CLIENT[0], seconds=8)


def test_interfaces_that_are_down_at_the_start_are_set_up(lab):
    road = Road(lab, start=False)
    for name in ("lan0", "wan0"):
        road.box.run("ip", "link", "set", "dev", name, "down")
    road.start()
    road.up()


def check_late(lab, device):
    """The box is ready, says what it waits for, and takes it when it is there."""
    road = Road(lab, start=False, device=device, workers=2)
    road.host.run("ip", "link", "delete", "eth0")
    road.box.start()
    assert any(line.startswith("lan0") and "waits for interface lan0" in line
               for line in problems(road.box)), problems(road.box)
    assert not port(road.box)["up"]
    time.sleep(1.2)
    connect_host(road)
    wait_for(lambda: port(road.box)["up"], "link up", seconds=3)
    road.up()
    wait_for(lambda: problems(road.box) == [], lambda: problems(road.box), seconds=5)


def test_an_interface_that_comes_late_af_packet(lab):
    check_late(lab, "af_packet")


def test_an_interface_that_comes_late_af_xdp(lab):
    check_late(lab, "af_xdp")


def refusal(lab, box):
    """What the daemon says of a box file that it cannot serve."""
    lab.boxes.remove(box)
    box.write()
    process = box.spawn(*box.daemon_command(), name=f"{box.name}-meshgated")
    wait_for(lambda: not process.running(), "the box to give up", seconds=20)
    assert process.popen.returncode == 1, process.popen.returncode
    return process.output()


def test_an_interface_without_ethernet_is_refused(lab):
    road = Road(lab, start=False)
    lab.boxes.clear()
    for kind in ("af_packet", "af_xdp"):
        for interface, words in (("tun0", ("tun device", "tap")), ("lo", ("loopback", "veth"))):
            box = Box(lab, f"{kind}-{interface}")
            lab.cable(lab.host(f"far-{kind}-{interface}"), "eth0", box, "wan0")
            box.run("ip", "tuntap", "add", "tun0", "mode", "tun")
            box.port("wan0", "wan", ["192.0.2.9/24"])
            box.port("lan0", "lan", ["10.3.0.1/24"], device=kind)
            box.config["ports"][1]["device"] = f"{kind}:{interface}"
            said = refusal(lab, box)
            assert all(word in said for word in ("port lan0", interface, *words)), said
    assert road.box.process is None


def test_af_xdp_with_several_queues_is_refused_with_the_cure(lab):
    road = Road(lab, start=False, device="af_xdp")
    road.box.run("ip", "link", "add", "lan9", "numrxqueues", "4", "numtxqueues", "4", "type", "veth",
                 "peer", "name", "far9", "numrxqueues", "1", "numtxqueues", "1")
    road.box.config["ports"][1]["device"] = "af_xdp:lan9"
    said = refusal(lab, road.box)
    cure = "ethtool -L lan9 rx 1 tx 1"
    assert "4 receive queues" in said and f"`{cure}`" in said, said
    road.box.run(*cure.split())
    lab.boxes.append(road.box)
    road.box.start()
    assert port(road.box)["rx_queues"] == 1
    road.box.run("ethtool", "-L", "lan9", "rx", "2", "tx", "1")
    wait_for(lambda: any(cure in line for line in problems(road.box)),
             lambda: problems(road.box), seconds=5)


def test_an_mtu_that_is_lowered_is_followed(lab):
    """On the LAN and below the tunnel: what is too long earns an answer, and never goes silently."""
    road = Road(lab).up()
    road.box.run("ip", "link", "set", "dev", "lan0", "mtu", "1200")
    wait_for(lambda: port(road.box)["mtu_bytes"] == 1200, "the MTU", seconds=2)
    got, out = road.client.ping_output(HOST[0], size=1300 - 28, dont_fragment=True)
    assert got == 0 and "mtu" in out.lower() and "1200" in out, out
    assert road.client.ping(HOST[0], size=1200 - 28, dont_fragment=True) == 3
    wait_for(lambda: any("MTU of lan0 is 1200" in line for line in problems(road.box)),
             "a problem line", seconds=3)
    road.box.run("ip", "link", "set", "dev", "wan0", "mtu", "1300")
    wait_for(lambda: port(road.box, "wan0")["mtu_bytes"] == 1300, "the MTU", seconds=2)
    road.box.run("ip", "link", "set", "dev", "lan0", "mtu", "1500")
    wait_for(lambda: port(road.box)["mtu_bytes"] == 1500, "the MTU", seconds=2)
    got, out = road.host.ping_output(CLIENT[0], size=1300 - 28, dont_fragment=True)
    fits = road.box.peer_status("client")["mtu_bytes"]  # what the tunnel adds and pads apart
    assert 1200 < fits <= 1240 and got == 0 and str(fits) in out, (fits, out)
    road.box.run("ip", "link", "set", "dev", "wan0", "mtu", "1500")
    wait_for(lambda: problems(road.box) == [], lambda: problems(road.box), seconds=5)
    road.host.run("ip", "route", "flush", "cache")
    assert road.host.ping(CLIENT[0], size=1400 - 28, dont_fragment=True) == 3


def offload(box, feature):
    lines = box.run("ethtool", "-k", "lan0").stdout.splitlines()
    return next(line.split()[1] for line in lines if line.strip().startswith(feature))


def test_offloads_that_are_switched_on_are_switched_off(lab):
    road = Road(lab).up()
    assert offload(road.box, "generic-receive-offload") == "off"
    road.box.run("ethtool", "-K", "lan0", "gro", "on")
    wait_for(lambda: offload(road.box, "generic-receive-offload") == "off", "GRO off", seconds=3)
    wait_for(lambda: port(road.box)["offload_repairs"] == 1, "to be counted", seconds=2)


def has_xdp(box):
    return "xdp" in box.run("ip", "link", "show", "lan0").stdout


def test_super_packets_cost_only_while_there_are_any(lab):
    """For the port whose host makes them; not when a frame merely lies about its length."""
    road = Road(lab, offloads=True).up()
    mac = bytes.fromhex(road.box.mac("lan0").replace(":", ""))
    with road.host.packet_socket("eth0") as liar:
        for _ in range(50):
            liar.send(mac + b"\2\0\0\0\0\1" + bytes.fromhex("0800450005dc00000000401100000a01000a"
                                                            "0a090002") + bytes(1200))
    wait_for(lambda: road.box.drops().get("truncated", 0) >= 50, "them to be dropped", seconds=3)
    time.sleep(0.5)
    assert not has_xdp(road.box)
    traffic.tcp(road.host, road.client, CLIENT[0], seconds=1)
    wait_for(lambda: has_xdp(road.box), "the XDP program", seconds=3)
    assert "xdp" not in road.box.run("ip", "link", "show", "wan0").stdout
    road.host.run("ethtool", "-K", "eth0", "tx", "off")
    wait_for(lambda: not has_xdp(road.box), "the XDP program to come off", seconds=40)
    before = road.box.drops()["truncated"]
    traffic.tcp(road.host, road.client, CLIENT[0], seconds=1)
    assert road.box.drops()["truncated"] == before
    assert not has_xdp(road.box)
