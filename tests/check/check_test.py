#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each check finds what it is there to find, in a small tree with one fault."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import check  # noqa: E402
import mutations  # noqa: E402

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"


class Checks(unittest.TestCase):
    def findings(self, run, name, text):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / ".clang-format").write_text("BasedOnStyle: Google\n")
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
            return list(run(root))

    def test_format(self):
        self.assertEqual(self.findings(check.check_format, "base/a.cc", LICENCE + "int a;\n"), [])
        self.assertTrue(self.findings(check.check_format, "base/a.cc", LICENCE + "int  a ;\n"))

    def test_layering(self):
        for name, include in (("dataplane/rx.cc", "control/gateway/gateway.h"),
                              ("dataplane/rx.cc", "config/model.h"),
                              ("dataplane/tables/fib.h", "dataplane/worker/worker.h"),
                              ("dataplane/wire/frame.h", "dataplane/worker/worker.h"),
                              ("dataplane/worker/worker.cc", "dataplane/path/pipeline.h"),
                              ("dataplane/crypto/aead.h", "dataplane/dataplane_impl.h"),
                              ("dataplane/api/link.cc", "dataplane/wire/wire.h"),
                              ("control/daemon/main.cc", "dataplane/worker/worker.h"),
                              ("control/mesh/mesh.cc", "control/gateway/gateway.h"),
                              ("control/mesh/protocol/cbor.cc", "control/mesh/members/member.h"),
                              ("control/mesh/members/member.h", "control/mesh/paths/suspicion.h"),
                              ("control/mesh/probing/links.cc", "control/mesh/paths/suspicion.h"),
                              ("control/mesh/relays/a.cc", "control/mesh/paths/suspicion.h"),
                              ("control/mesh/paths/a.cc", "control/mesh/clients/roaming.h"),
                              ("control/mesh/clients/a.cc", "control/mesh/mesh.h"),
                              ("control/underlay/links.cc", "control/sessions/sessions.h"),
                              ("config/load.cc", "control/gateway/gateway.h"),
                              ("base/keys.cc", "config/model.h")):
            text = f'#include "{include}"\n'
            self.assertTrue(self.findings(check.check_layering, name, text), (name, include))
        for name, include in (("dataplane/rx.cc", "dataplane/tables/fib.h"),
                              ("control/daemon/main.cc", "dataplane/api/drop.h"),
                              ("control/daemon/main.cc", "base/keys.h"),
                              ("control/mesh/mesh.cc", "control/mesh/paths/suspicion.h"),
                              ("control/mesh/paths/a.cc", "control/mesh/members/member.h"),
                              ("tests/unit/rx_test.cc", "dataplane/worker/worker.h")):
            text = f'#include "{include}"\n'
            self.assertEqual(self.findings(check.check_layering, name, text), [], (name, include))

    def test_sans_io(self):
        for text in ("#include <sys/socket.h>", "#include <chrono>",
                     "auto now = Time::clock::now();", "auto now = steady_clock::now();",
                     "const auto now = time(nullptr);", "if (::clock_gettime(CLOCK_REALTIME, &now))",
                     "getrandom(bytes.data(), bytes.size(), 0);", "std::random_device{}()",
                     "const int fd = socket(AF_INET, SOCK_DGRAM, 0);", "::bind(fd, 0, 0);",
                     "usleep(10);", "std::this_thread::sleep_for(1s);", 'std::printf("x");'):
            for room in ("control/wireguard", "control/mesh/paths"):
                found = self.findings(check.check_layering, f"{room}/peer.cc", text + "\n")
                self.assertTrue(found, text)
            self.assertFalse(self.findings(check.check_layering, "control/api/server.cc",
                                           text + "\n"))
        for text in ("void receive(Time now);", "// reads steady_clock::now() elsewhere",
                     "select(prefix, now);", "queue_.time(3);", 'return "time(s)";',
                     "transport(), uptime(now)", "Clock::Time at{};"):
            self.assertFalse(self.findings(check.check_layering, "control/wireguard/peer.cc",
                                           text + "\n"), text)

    def test_boundary(self):
        for text in ("path.store(link, std::memory_order_release);\n", "dataplane.retire(old);\n"):
            self.assertTrue(self.findings(check.check_layering, "control/underlay/a.cc", text))
            self.assertFalse(self.findings(check.check_layering, "dataplane/tables/a.cc", text))

    def test_mutations(self):
        def stale(root):
            return mutations.stale([("W01", "base/a.cc", "a < b", "a <= b", "unit:*")], root)

        self.assertFalse(self.findings(stale, "base/a.cc", "return a < b;\n"))
        self.assertTrue(self.findings(stale, "base/a.cc", "return a > b;\n"))
        self.assertTrue(self.findings(stale, "base/a.cc", "return a < b && !(a < b);\n"))
        self.assertTrue(self.findings(stale, "base/b.cc", ""))
        for seed in ("1", "2"):
            self.assertEqual(mutations.sample(mutations.ROWS, 12, seed),
                             mutations.sample(mutations.ROWS, 12, seed))
        self.assertNotEqual(mutations.sample(mutations.ROWS, 12, "1"),
                            mutations.sample(mutations.ROWS, 12, "2"))

    def test_licence(self):
        self.assertTrue(self.findings(check.check_licence, "base/a.h", "#pragma once\n"))
        self.assertFalse(self.findings(check.check_licence, "base/a.h", LICENCE))

    def test_unfinished(self):
        self.assertTrue(self.findings(check.check_unfinished, "base/a.h", "// TO" "DO: later\n"))
        self.assertFalse(self.findings(check.check_unfinished, "base/a.h", "// done\n"))


if __name__ == "__main__":
    unittest.main()
