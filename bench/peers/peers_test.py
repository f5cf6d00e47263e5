#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What peers.py makes of what it measured, without measuring."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import peers  # noqa: E402 (the path comes first)

MEASURED = {"wireguard-go": {"tcp/1stream": [100, 90, 110], "rtt/p50": [200], "idle/cpu": [0]},
            "forwarder": {"tcp/1stream": [400], "idle/cpu": [1]},
            "meshgate": {"tcp/1stream": [300, 200, 310], "rtt/p50": [80], "idle/cpu": [2]}}


def results(measured):
    declared, samples = peers.figures(measured)
    return {result["name"]: result
            for result in (peers.suite.result(figure, samples) for figure in declared)}


class Figures(unittest.TestCase):
    def test_every_program_stands_beside_wireguard_go(self):
        by_name = results(MEASURED)
        self.assertEqual(by_name["peers/meshgate/tcp/1stream"],
                         {"name": "peers/meshgate/tcp/1stream", "value": 300, "unit": "Mbit/s",
                          "reference": "peers/wireguard-go/tcp/1stream", "ratio": 3, "min": 200,
                          "max": 310})
        self.assertIsNone(by_name["peers/wireguard-go/tcp/1stream"]["reference"])

    def test_the_box_stands_beside_its_bare_ports(self):
        self.assertEqual(results(MEASURED)["ports/forwarder/tcp/1stream"]["ratio"], 0.75)
        self.assertNotIn("ports/testpmd/tcp/1stream", results(MEASURED))

    def test_less_is_better_for_a_round_trip(self):
        self.assertEqual(results(MEASURED)["peers/meshgate/rtt/p50"]["ratio"], 2.5)

    def test_idle_processor_time_has_no_ratio(self):
        self.assertIsNone(results(MEASURED)["peers/meshgate/idle/cpu"]["ratio"])

    def test_targets_that_were_not_reached_are_named(self):
        self.assertEqual(list(peers.missed(results(MEASURED).values())), [])
        slow = {**MEASURED, "meshgate": {"tcp/1stream": [240]}}
        missed = list(peers.missed(results(slow).values()))
        self.assertEqual([line.split(":")[0] for line in missed],
                         ["peers/meshgate/tcp/1stream", "ports/forwarder/tcp/1stream"])

    def test_every_target_is_the_name_of_a_figure(self):
        whole = {program: {what: [1] for what in peers.MEASURES} for program in peers.PROGRAMS}
        self.assertLessEqual(set(peers.TARGETS), set(results(whole)))


class Command(unittest.TestCase):
    """The commands of docs/performance.md, with what measures replaced."""

    LOST = {"babeld": 800, "babeld-200ms": 300, "meshgate": 100}
    BESIDE = 99

    def run_main(self, *words):
        def measure(name, _options):
            if name == "tinc":
                raise peers.Missing("tincd is not installed (package tinc)")
            return MEASURED.get(name, {})
        figure = {"idle/cable/first_packet/p99": ([5], "us", "less"),
                  "idle/af_xdp/first_packet/p99": ([10], "us", "less")}
        flooded = {"handshakes/accepted": ([4000], "1/s", "more")}
        meshes = {f"mesh/{name}/lost": ([lost], "packets", "less") for name, lost in self.LOST.items()}
        with tempfile.TemporaryDirectory() as folder, \
                contextlib.redirect_stdout(io.StringIO()) as out, \
                contextlib.redirect_stderr(io.StringIO()), \
                mock.patch.object(peers, "measure", measure), \
                mock.patch.object(peers.idle, "measure", lambda *_: figure), \
                mock.patch.object(peers.twin, "measure", lambda device, *_: {
                    f"twin/{device}/forwarded/alone": ([100], "Mbit/s", "more"),
                    f"twin/{device}/forwarded/beside": ([self.BESIDE], "Mbit/s", "more")}), \
                mock.patch.object(peers.flood, "end_to_end", lambda: flooded), \
                mock.patch.object(peers.flood, "under_flood", lambda _: {}), \
                mock.patch.object(peers.reroute, "measure_all",
                                  lambda _say: (meshes, {"mesh/yggdrasil": "not installed"})):
            path = Path(folder) / "peers.json"
            status = peers.main([*words, "--json", str(path)])
            return status, out.getvalue(), {one["name"]: one for one in json.loads(path.read_text())}

    def test_measures_everything_by_default(self):
        status, out, by_name = self.run_main()
        self.assertEqual(status, 0)
        self.assertIn("peers/tinc: not measured: tincd is not installed (package tinc)", out)
        self.assertEqual(by_name["peers/meshgate/tcp/1stream"]["ratio"], 3)
        self.assertEqual(by_name["idle/af_xdp/first_packet/p99"]["ratio"], 0.5)
        self.assertIn("handshakes/accepted", by_name)

    def test_measures_some_programs(self):
        _, out, by_name = self.run_main("--parts", "programs", "--programs", "wireguard-go",
                                        "forwarder", "meshgate", "--seconds", "1")
        self.assertNotIn("tinc", out)
        self.assertIn("ports/forwarder/tcp/1stream", by_name)
        self.assertNotIn("handshakes/accepted", by_name)

    def test_measures_one_part(self):
        self.assertEqual(set(self.run_main("--parts", "idle")[2]),
                         {"idle/cable/first_packet/p99", "idle/af_xdp/first_packet/p99"})
        self.assertEqual(set(self.run_main("--parts", "handshakes")[2]), {"handshakes/accepted"})

    def test_what_a_flooded_twin_costs_is_missed_from_two_percent_on(self):
        status, _, by_name = self.run_main("--parts", "twin")
        self.assertEqual((status, by_name["twin/af_xdp/forwarded/beside"]["ratio"]), (0, 0.99))
        with mock.patch.object(Command, "BESIDE", 97):
            status, out, _ = self.run_main("--parts", "twin")
        self.assertEqual(status, 1)
        self.assertIn("twin/af_packet/forwarded/beside: 0.97 times its reference, wanted 0.98", out)

    def test_meshes_stand_beside_babeld(self):
        status, out, by_name = self.run_main("--parts", "mesh")
        self.assertEqual(status, 0)
        self.assertEqual(set(by_name), {f"mesh/{name}/lost" for name in self.LOST})
        self.assertEqual(by_name["mesh/meshgate/lost"]["ratio"], 8)
        self.assertIn("mesh/yggdrasil: not measured: not installed", out)

    def test_a_mesh_that_loses_as_much_as_another_fails(self):
        with mock.patch.object(self, "LOST", {**self.LOST, "meshgate": 300}):
            status, out, _ = self.run_main("--parts", "mesh")
        self.assertEqual(status, 1)
        self.assertIn("mesh/meshgate/lost: 300, wanted fewer than babeld-200ms's 300", out)


if __name__ == "__main__":
    unittest.main()
