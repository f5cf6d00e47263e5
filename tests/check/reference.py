#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reference/, made from the code: reference.py DESCRIBE_API [ROOT] [--write]

DESCRIBE_API is the program of tests/unit/control/api/describe.cc. A table stands between
`<!-- table NAME -->` and `<!-- end -->`; the prose around it is written by hand. What the code does
not say (the last columns of some tables) is kept from the page; an empty cell is a finding, and so
is a table of the code that no page shows. --write writes the tables anew (`./run reference`).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path("docs/reference")
BLOCK = re.compile(r"<!-- table (.+?) -->\n(.*?)<!-- end -->", re.S)


class Table:
    """Rows of cells; cells that a row lacks are kept from the page, by the row's first cell."""

    def __init__(self, page, columns, rows):
        self.page, self.columns, self.rows = page, columns, rows

    def text(self, kept):
        lines = [self.columns, ["---"] * len(self.columns)]
        for row in self.rows:
            missing = len(self.columns) - len(row)
            old = kept.get(row[0], [])
            lines.append([*row, *(old[-missing:] if missing else [])])
            lines[-1] += [""] * (len(self.columns) - len(lines[-1]))
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def cell(text):
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def code(text):
    return f"`{cell(text)}`"


# --- drops, punts, metrics, answers: from the running code -------------------------------------

def drop_tables(described):
    yield "drops", Table("drops.md", ["reason", "stage", "meaning"], [
        [code(drop["reason"]), drop["stage"], cell(drop["help"])] for drop in described["drops"]])
    yield "punts", Table("drops.md", ["reason", "meaning"],
                         [[code(punt)] for punt in described["punts"]])


def metric_table(text):
    families = {}
    for line in text.splitlines():
        if match := re.match(r"# (HELP|TYPE) (\S+) (.*)", line):
            families.setdefault(match[2], {"labels": []})[match[1]] = match[3]
        elif match := re.match(r"(\w+)(?:\{(.*)\})? \S+$", line):
            for label in re.findall(r'(?:^|,)(\w+)="', match[2] or ""):
                if label not in families[match[1]]["labels"]:
                    families[match[1]]["labels"].append(label)
    return Table("metrics.md", ["metric", "type", "labels", "meaning"], [
        [code(name), family["TYPE"], ", ".join(map(code, family["labels"])) or "–", cell(family["HELP"])]
        for name, family in families.items()])


def type_of(value):
    names = {bool: "boolean", int: "number", float: "number", str: "text", type(None): "null"}
    return names[type(value)]


def fields(value, name, found):
    """Adds the types of each leaf below `value` to found[NAME]; `[]` stands behind a list."""
    if isinstance(value, list):
        found.setdefault(name + "[]", set())
        for each in value:
            fields(each, name + "[]", found)
    elif isinstance(value, dict):
        for key, each in value.items():
            fields(each, f"{name}.{key}" if name else key, found)
    else:
        found.setdefault(name, set()).add(type_of(value))


# Objects whose members are names of counters, and thus rows of other pages.
COUNTS = ("punts", "refused", "counters", "handshakes", "events")


def shape_of(answer):
    found = {}
    fields(answer, "", found)
    shape = {}
    for name, types in found.items():
        head, _, last = name.rpartition(".")
        if head.split(".")[-1] in COUNTS and "[]" not in head:
            name, types = f"{head}.*", {"number"}
        if not types and any(other.startswith(name + ".") for other in found):
            continue
        types = types - {"null"} | ({"null"} if "null" in types else set())
        kinds = sorted(types - {"null"}) + (["null"] if "null" in types else [])
        shape.setdefault(name, " or ".join(kinds))
    # `problems[]` once, and not again as an empty list.
    return {name: kind for name, kind in shape.items() if kind}


def answer_tables(answers):
    for verb, answer in answers.items():
        yield verb, Table("api.md", ["field", "type", "meaning"],
                          [[code(name), kind] for name, kind in shape_of(answer).items()])


# --- log events, exit statuses, limits: from the sources -----------------------------------------

def sources(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".cc", ".h"}:
                yield path.relative_to(root), path.read_text()


LEVEL = r"(?:[\w:]*\bLevel::(\w+))"
EVENT = re.compile(LEVEL + r"(?:\s*:\s*" + LEVEL + r")?\s*,\s*"
                   r'(?:"([a-z0-9-]+)"|\w+\s*\?\s*"([a-z0-9-]+)"\s*:\s*"([a-z0-9-]+)")\s*,')
# A helper that takes the event's name: its callers write it out.
WARNS = re.compile(r'\bwarn\(\s*"([a-z0-9-]+)"\s*,')
LEVELS = ("error", "warning", "info", "debug")


def log_table(root, findings):
    levels = {}
    for path, text in sources(root, "control"):
        for match in EVENT.finditer(text):
            used = [level for level in match.group(1, 2) if level]
            names = [name for name in match.group(3, 4, 5) if name]
            for number, name in enumerate(names):
                which = used[number:number + 1] if len(names) == len(used) else used
                levels.setdefault(name, set()).update(which)
        for name in WARNS.findall(text):
            levels.setdefault(name, set()).add("warning")
        for match in re.finditer(LEVEL + r"\s*,\s*(?=\S)(?![\s\w?]*\"|event\b)", text):
            line = text[:match.start()].count("\n") + 1
            findings.append(f"{path}:{line}: the name of a log event is not written out here")
    rows = [[code(name), " or ".join(level for level in LEVELS if level in used)]
            for name, used in sorted(levels.items())]
    return Table("log-events.md", ["event", "level", "means", "what to do"], rows)


def exit_tables(root, findings):
    text = (root / "cli/exit_code.h").read_text()
    rows = re.findall(r"^    \w+ = (\d+),(?: +// (.*))?$", text, re.M)
    yield "meshgate", Table("exit-statuses.md", ["status", "means"],
                            [[number, cell(comment)] for number, comment in rows])
    text = (root / "control/daemon/main.cc").read_text()
    rows = [("0", "ended by a signal, in order"),
            *re.findall(r"^constexpr int kExit\w+ = (\d+);(?: +// (.*))?$", text, re.M)]
    yield "meshgated", Table("exit-statuses.md", ["status", "means"],
                             [[number, cell(comment)] for number, comment in rows])
    for name in ("meshgate", "meshgated"):
        page = root / f"docs/man/{name}.8.scd"
        statuses = re.findall(r"^(?:\[\[|\|) +\*(\d+)\*$", page.read_text(), re.M)
        known = {"meshgate": re.findall(r" = (\d+),", (root / "cli/exit_code.h").read_text()),
                 "meshgated": [row[0] for row in rows]}[name]
        if statuses != known:
            findings.append(f"{page.relative_to(root)}: exit statuses {statuses}, the code has {known}")


CONSTANT = re.compile(r"^\s*(?:static |inline )*constexpr (?:static )?([\w:<>, ]+?) (k[A-Z]\w*)(?:\[\])?"
                      r"\s*(?:=\s*|(?=\{))(.*?);(?:\s*// (.*))?$")
# What a constant of time or of quantity is called; the rest are formats of the wire, tables and the like.
QUANTITY = re.compile(r"Max|Min|Least|Most|Longest|Largest|First[A-Z].*(?:Delay|Backoff|Suspicion|Candidates)|"
                      r"Interval|Life|Time|Delay|After|Retry|Tries|Rounds|Probe|Doubt|Hold|Held|Period|Per[A-Z]|"
                      r"AtOnce|Budget|Window|Queued|Quota|Share|Slack|Solicits|Misses|Again|Refresh|"
                      r"Patience|Recheck|Quiet|Fresh|Back$|InUseFor|Repetition|Silence|Batch|Burst|Poll|"
                      r"Memory|Stable|Suspic|Refused|Scan|Age$|Gap|Lasts|Reachable|Announcement")
FORMAT = re.compile(r"^(?!kMax|kLeast)\w+(?:Len|SubTlv|Key)\b|^kNsPer|^kIcmp|\"|numeric_limits|sizeof|\{.*,")
DURATION = re.compile(r"Duration\b|\d(ms|s|min|h)\b|chrono::|kNsPer")


def readable(value):
    """`std::chrono::seconds{30}` is 30 s; what is computed stays as it is written."""
    value = re.sub(r"std::chrono::(\w+)\{([\d']+)\}", r"\2 \1", value).replace("'", " ")
    value = re.sub(r"\b([\d ]+) \* kNsPerSecond", r"\1 s", value)
    value = re.sub(r"\b([\d ]+) \* kNsPerMs", r"\1 ms", value)
    value = re.sub(r"(\d) ?(seconds|minutes|milliseconds)", lambda m: m[1] + {
        "seconds": " s", "minutes": " min", "milliseconds": " ms"}[m[2]], value)
    value = re.sub(r"(\d)(ms|s|min|h)$", r"\1 \2", value)
    value = re.sub(r"^kNsPerSecond$", "1 s", value)
    value = re.sub(r"size_t\{(\d+)\}|u?int\d+_t\{(\d+)\}", lambda m: m[1] or m[2], value)
    return cell(value)


def comment_above(lines, number):
    text = []
    while number > 0 and (match := re.match(r"\s*// ?(.*)", lines[number - 1])):
        text.insert(0, match[1])
        number -= 1
    return " ".join(text)


def constants(text):
    lines = text.splitlines()
    for number, line in enumerate(lines):
        # A value that the line does not end goes on in the next.
        whole, taken = line, number
        while "constexpr" in line and ";" not in whole and taken + 1 < len(lines) and taken < number + 3:
            taken += 1
            whole += " " + lines[taken].strip()
        match = CONSTANT.match(whole)
        if match and not FORMAT.search(match[2] + " " + match[3]) and (
                QUANTITY.search(match[2]) or DURATION.search(match[1] + " " + match[3])):
            yield number + 1, match[2], match[3], match[4] or comment_above(lines, number)


def limit_tables(root, findings):
    rooms = {}
    for path, text in sources(root, "base", "cli", "config", "control", "dataplane", "web"):
        for line, name, value, comment in constants(text):
            if name.startswith("kNb"):
                continue  # the length of an enumeration
            if not comment:
                findings.append(f"{path}:{line}: {name} has no comment that says what it is for")
            sentence = comment.rstrip(".") + "." if comment else ""
            if not re.match(r"\w+_", sentence):  # a name stays as it is
                sentence = sentence[:1].upper() + sentence[1:]
            rooms.setdefault(str(path.parent), []).append([code(name), readable(value), cell(sentence)])
    for room, rows in sorted(rooms.items()):
        yield room, Table("limits.md", ["constant", "value", "what it is for"], rows)


COUNTERS = re.compile(r"^enum class (\w*Counter|HandshakeEvent) : uint8_t \{\n(.*?)^\};", re.M | re.S)


def counter_tables(root):
    """The enumerations of counters; an enumerator is the name that the metrics and the API show."""
    for _, text in sources(root, "control"):
        for name, body in COUNTERS.findall(text):
            names = re.findall(r"^    (\w+),", body, re.M)
            yield name, Table("counters.md", ["counter", "counts"],
                              [[code(each)] for each in names if not each.startswith("nb_")])


# --- the rooms of docs/architecture.md ------------------------------------------------------------

ROOTS = ("base", "bench", "cli", "config", "control", "dataplane", "web")


def room_findings(root):
    """Each folder with sources has a row of the table, and each row a folder."""
    page = root / "docs/architecture.md"
    shown = set(re.findall(r"^\| `([\w/]+)/` \|", page.read_text(), re.M))
    rooms = {str(path.parent) for path, _ in sources(root, *ROOTS)
             if path.parent.name != "precompiled"}  # lists of headers for the compiler
    held = rooms | {str(parent) for room in rooms for parent in Path(room).parents}
    yield from (f"docs/architecture.md: the room {room}/ is missing" for room in sorted(rooms - shown))
    yield from (f"docs/architecture.md: there is no room {room}/" for room in sorted(shown - held))


# --- pages ------------------------------------------------------------------------------------------

def tables(root, described, findings):
    yield from drop_tables(described)
    yield "metrics", metric_table(described["metrics"])
    yield from answer_tables(described["answers"])
    yield "log events", log_table(root, findings)
    yield from exit_tables(root, findings)
    yield from limit_tables(root, findings)
    yield from counter_tables(root)


def renew(text, page, wanted, findings):
    """The page with its tables made anew."""
    def block(match):
        name = match[1]
        if name not in wanted or wanted[name].page != page:
            findings.append(f"{FOLDER / page}: the code has no table {name}")
            return ""
        kept = {row[0]: row for row in map(cells, match[2].splitlines()[2:])}
        made = wanted[name].text(kept)
        for line in made.splitlines():
            if "" in cells(line):
                findings.append(f"{FOLDER / page}: {name}: {cells(line)[0]}: something is not said")
        shown.add(name)
        return f"<!-- table {name} -->\n{made}<!-- end -->"

    shown = set()
    text = BLOCK.sub(block, text)
    for name, table in wanted.items():
        if table.page == page and name not in shown:
            findings.append(f"{FOLDER / page}: shows no table {name}")
            text += f"\n## {name}\n\n<!-- table {name} -->\n{table.text({})}<!-- end -->\n"
    return text


def pages(root, described, findings):
    wanted = dict(tables(root, described, findings))
    for page in sorted({table.page for table in wanted.values()}):
        path = root / FOLDER / page
        yield path, path.read_text() if path.exists() else "", wanted


def main():
    write = "--write" in sys.argv
    program, *rest = [argument for argument in sys.argv[1:] if argument != "--write"]
    root = Path(rest[0] if rest else Path(__file__).resolve().parents[2])
    described = json.loads(subprocess.run([program], check=True, capture_output=True).stdout)
    findings = list(room_findings(root))
    for path, old, wanted in pages(root, described, findings):
        new = renew(old, path.name, wanted, findings)
        if write:
            path.write_text(new)
        elif new != old:
            findings.append(f"{FOLDER / path.name}: not what the code says; ./run reference writes it anew")
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
