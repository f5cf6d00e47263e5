#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""reference.py finds each kind of gap between code and page."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import reference  # noqa: E402

EVENTS = "<!-- table log events -->\n{}<!-- end -->\n"
HEAD = "| event | level | means | what to do |\n| --- | --- | --- | --- |\n"


def findings_of(table, page_text, page="log-events.md"):
    """The findings of one table, and whether the page is as the code says."""
    findings = []
    text = reference.renew(page_text, page, {"log events": table}, findings)
    return findings, text == page_text


class Reference(unittest.TestCase):
    def tree(self, **files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, text in files.items():
            path = Path(folder.name) / "control" / (name + ".cc")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Path(folder.name)

    def test_a_page_that_says_all_passes(self):
        table = reference.Table("log-events.md", ["event", "level", "means", "what to do"], [["`up`", "info"]])
        page = EVENTS.format(HEAD + "| `up` | info | it is up | nothing |\n")
        self.assertEqual(findings_of(table, page), ([], True))

    def test_a_row_that_the_page_lacks(self):
        table = reference.Table("log-events.md", ["event", "level", "means", "what to do"],
                                [["`up`", "info"], ["`down`", "warning"]])
        page = EVENTS.format(HEAD + "| `up` | info | it is up | nothing |\n")
        findings, same = findings_of(table, page)
        self.assertFalse(same)
        self.assertIn("`down`", findings[0])

    def test_a_row_that_the_code_lacks(self):
        table = reference.Table("log-events.md", ["event", "level", "means", "what to do"], [["`up`", "info"]])
        page = EVENTS.format(HEAD + "| `gone` | info | x | y |\n| `up` | info | it is up | nothing |\n")
        self.assertEqual(findings_of(table, page), ([], False))

    def test_a_level_that_changed(self):
        table = reference.Table("log-events.md", ["event", "level", "means", "what to do"], [["`up`", "error"]])
        page = EVENTS.format(HEAD + "| `up` | info | it is up | nothing |\n")
        self.assertEqual(findings_of(table, page), ([], False))

    def test_a_table_that_no_page_shows_and_one_that_no_code_makes(self):
        table = reference.Table("log-events.md", ["event"], [["`up`"]])
        self.assertTrue(findings_of(table, "prose\n")[0])
        self.assertTrue(findings_of(table, EVENTS.format("| event |\n| --- |\n| `up` |\n") +
                                    "<!-- table other -->\n<!-- end -->\n")[0])

    def test_log_events(self):
        findings = []
        table = reference.log_table(self.tree(a='log.write({Log::Level::info, "up", name});\n'
                                                'log.write({bad ? Log::Level::error : Log::Level::info,\n "two", x});\n'
                                                'log(Log::Level::debug, up ? "on" : "off", x);\n'), findings)
        self.assertEqual((findings, table.rows), ([], [["`off`", "debug"], ["`on`", "debug"],
                                                       ["`two`", "error or info"], ["`up`", "info"]]))
        reference.log_table(self.tree(a="log.write({Log::Level::info, event_name, x});\n"), findings)
        self.assertEqual(len(findings), 1)

    def test_limits(self):
        findings = []
        source = ("constexpr auto kLife = std::chrono::seconds{5};  // of one\n"
                  "// Above.\nconstexpr size_t kMaxRows = 1'000;\nconstexpr size_t kHeaderLen = 4;\n")
        (room, table), = reference.limit_tables(self.tree(a=source), findings)
        self.assertEqual((room, findings), ("control", []))
        self.assertEqual(table.rows, [["`kLife`", "5 s", "Of one."], ["`kMaxRows`", "1 000", "Above."]])
        list(reference.limit_tables(self.tree(a="\nconstexpr size_t kMaxRows = 9;\n"), findings))
        self.assertEqual(len(findings), 1)

    def test_counters(self):
        source = "enum class FileCounter : uint8_t {\n    // sent\n    pieces_sent,  // of a file\n    nb_counters,\n};\n"
        (name, table), = reference.counter_tables(self.tree(a=source))
        self.assertEqual((name, table.rows), ("FileCounter", [["`pieces_sent`"]]))

    def test_rooms(self):
        root = self.tree(a="int a;\n")
        (root / "docs").mkdir()
        page = root / "docs/architecture.md"
        page.write_text("| room | holds |\n| --- | --- |\n| `control/` | a |\n")
        self.assertEqual(list(reference.room_findings(root)), [])
        page.write_text("| `control/mesh/` | b |\n")
        self.assertEqual(len(list(reference.room_findings(root))), 2)

    def test_answers(self):
        shape = reference.shape_of({"rows": [{"a": 1, "b": None}, {"a": 2, "b": "x"}], "counters": {"n": 3}})
        self.assertEqual(shape, {"rows[].a": "number", "rows[].b": "text or null", "counters.*": "number"})

    def test_metrics(self):
        table = reference.metric_table("# HELP m_up One.\n# TYPE m_up gauge\nm_up{peer=\"a=\",port=\"b\"} 1\n")
        self.assertEqual(table.rows, [["`m_up`", "gauge", "`peer`, `port`", "One."]])


if __name__ == "__main__":
    unittest.main()
