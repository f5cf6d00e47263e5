# SPDX-License-Identifier: Apache-2.0
r"""What the operator sees and does.

    host ---- lan0 [box] wan0 ---- client (wireguard-go)
"""

import json
import subprocess
import time

import traffic
from lab import alone, wait_for
from topology import BOX_LAN, BOX_WAN, CLIENT, CLIENT_WAN, HOST, Road, endpoint


def test_wg_show_prints_our_peers(lab):
    road = Road(lab).up()
    text = road.box.wg_show()
    for expected in (f"interface: {road.box.wg_interface}",
                     "listening port: 51820", f"peer: {road.tunnel.public_key}",
                     f"endpoint: {endpoint(CLIENT_WAN[0])}", "10.9.0.2/32", "latest handshake:",
                     "transfer:"):
        assert expected in text, (expected, text)
    dump = road.box.run("wg", "show", road.box.wg_interface, "dump").stdout
    assert road.box.private_key not in dump, "the private key leaves the daemon"
    _, peer = [line.split("\t") for line in dump.splitlines()]
    assert peer[0] == road.tunnel.public_key and int(peer[5]) > 0 and int(peer[6]) > 0, peer


def test_byte_counts_are_those_of_wireguard(lab):
    """W05: what the box counts as received is what the peer counts as sent, and the reverse."""
    road = Road(lab).up()
    road.client.ping(HOST[0], count=10)
    time.sleep(0.2)
    ours, theirs = road.box.peer_status("client"), road.tunnel.dump()
    assert (ours["rx_bytes"], ours["tx_bytes"]) == (theirs["tx"], theirs["rx"]), (ours, theirs)


def http(box, path):
    request = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:9586\r\n\r\n".encode()
    with box.socket(2, 1) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", 9586))
        client.sendall(request)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body.decode()


def test_metrics_satisfy_promtool(lab):
    road = Road(lab).up()
    head, body = http(road.box, "/metrics")
    assert " 200 " in head.splitlines()[0], head
    check = subprocess.run(["promtool", "check", "metrics"], input=body, text=True,
                           capture_output=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr
    for name in ("meshgate_peer_receive_bytes_total", "meshgate_drops_total",
                 "meshgate_build_info"):
        assert name in body, name
    assert road.box.private_key not in body


def test_the_web_process_has_no_privileges(lab):
    road = Road(lab).up()
    http(road.box, "/metrics")
    pids = road.box.lab_pids("meshgate-web")
    assert pids, "no meshgate-web runs"
    for pid in pids:
        status = open(f"/proc/{pid}/status", encoding="ascii").read()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0", fields["Uid"]
        assert int(fields["CapEff"], 16) == 0, fields["CapEff"]
        assert fields["NoNewPrivs"] == "1"


@alone("processor time")
def test_an_idle_box_does_not_burn_a_core(lab):
    road = Road(lab).up()
    time.sleep(1.5)
    before, started = road.box.cpu_seconds(), time.monotonic()
    time.sleep(4)
    used = (road.box.cpu_seconds() - before) / (time.monotonic() - started)
    assert used < 0.35, f"{used:.2f} cores while idle"
    assert road.host.ping(CLIENT[0]) == 3, "asleep for good"


def test_exit_codes(lab):
    road = Road(lab).up()
    box = road.box
    # Attaching XDP takes a veth's link down for a moment, and status rightly says so.
    wait_for(lambda: box.meshgate("status", check=False).returncode == 0, "a healthy box")
    assert box.meshgate("show", "peers", "nobody", check=False).returncode == 4
    assert box.meshgate("sing", check=False).returncode == 2
    assert box.meshgate("show", "peers", "client").returncode == 0
    assert box.stop() == 0
    assert box.meshgate("status", check=False).returncode == 3


def test_json_has_the_promised_form(lab):
    road = Road(lab).up()
    for words in (("status",), ("show", "peers"), ("show", "routes"), ("show", "ports"),
                  ("show", "drops"), ("show", "workers")):
        answer = road.box.show(*words)
        assert answer["schema"] == 1, (words, answer)
        assert road.box.private_key not in json.dumps(answer)


def test_check_needs_no_daemon(lab):
    road = Road(lab, start=False)
    road.box.write()
    assert road.box.meshgate("check", road.box.config_file).returncode == 0
    road.box.config["ports"][0]["role"] = "wlan"
    road.box.write()
    done = road.box.meshgate("check", road.box.config_file, check=False)
    assert done.returncode == 78 and "bad-role" in done.stdout, done


def test_the_box_answers_on_its_own_addresses(lab):
    road = Road(lab).up()
    for address in BOX_LAN:
        assert road.host.ping(address) == 3, address
        assert road.client.ping(address) == 3, f"{address} through the tunnel"
    for address in BOX_WAN:
        assert road.client.ping(address) == 3, address


def test_wrong_configuration_does_not_start(lab):
    road = Road(lab, start=False)
    (road.box.dir / "box.key").chmod(0o644)
    road.box.write()
    daemon = road.box.spawn(*road.box.daemon_command())
    daemon.popen.wait(10)
    assert daemon.popen.returncode == 78, daemon.output()
    assert "box.key" in daemon.output() and road.box.private_key not in daemon.output()


def test_a_wrong_network_file_does_not_start(lab):
    """The signature is checked before anything else of the file; `check` says the same."""
    road = Road(lab, start=False)
    box = road.box
    authority = box.meshgate("network", "keygen", box.dir / "authority.key").stdout.strip()
    network = box.dir / "network.yaml"
    box.config["network"] = {"file": "network.yaml", "authority": authority}

    def refused(*expected):
        box.write()
        check = box.meshgate("check", box.config_file, check=False)
        daemon = box.spawn(*box.daemon_command())
        daemon.popen.wait(10)
        secret = (box.dir / "authority.key").read_text().strip()
        for output, status in ((check.stdout, check.returncode),
                               (daemon.output(), daemon.popen.returncode)):
            assert status == 78, (status, output)
            assert all(word in output for word in expected), output
            assert secret[8:] not in output

    refused("unreadable", "network.yaml")
    good = f"""version: 1
name: lab
members:
  - {{name: box, public_key: "{box.public_key}"}}
"""
    sign = ("network", "sign", network, "--key", box.dir / "authority.key")
    network.write_text(good)
    box.meshgate(*sign)
    network.write_text(good + "# one more line\n")
    refused("bad-signature", authority)
    network.write_text(good)
    box.config["peers"][0]["name"] = "box"
    refused("name-of-member")
    box.config["peers"][0]["name"] = "client"
    box.write()
    assert box.meshgate("check", box.config_file).stdout.endswith("no errors\n")
    box.start()
    assert box.status()["network"]["version"] == 1


@alone("20 000 packets/s")
def test_packets_in_a_long_run_leave_no_memory_behind(lab):
    road = Road(lab).up()
    traffic.udp(road.host, road.client, CLIENT[0], rate=20000, seconds=1)
    before = road.box.memory_kib()
    for _ in range(3):
        traffic.udp(road.host, road.client, CLIENT[0], rate=20000, seconds=2)
        traffic.udp(road.client, road.host, HOST[0], rate=20000, seconds=2)
    wait_for(lambda: road.box.memory_kib() - before < 1024, "memory to come back", seconds=3)
