#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What peers.py makes of what it measured, without measuring."""

import sys
import unittest
from pathlib import Path

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


if __name__ == "__main__":
    unittest.main()
