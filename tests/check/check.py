#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the tree must hold to, as tests: check.py format|layering|licence|unfinished [ROOT]

Prints each finding as file:line: sentence; exit status 1 when there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDERS = ("base", "bench", "cli", "config", "control", "dataplane", "tests", "web")
SOURCE = {".cc", ".h"}
SCRIPT = {".py", ".sh", ".build"}

# What a folder may include besides itself. The longest matching folder decides.
MAY_INCLUDE = {
    "base": [],
    "config": ["base"],
    # The facade may use every room; the rooms, from the ground up. Stages stand on the worker, and
    # nothing below them knows the packet's way.
    "dataplane": ["base"],
    "dataplane/tables": ["base"],
    "dataplane/api": ["base", "dataplane/tables"],
    "dataplane/packet": ["base", "dataplane/tables", "dataplane/api"],
    "dataplane/wire": ["base", "dataplane/tables", "dataplane/api", "dataplane/packet"],
    "dataplane/ports": ["base", "dataplane/tables", "dataplane/api", "dataplane/packet"],
    "dataplane/crypto": ["base", "dataplane/tables", "dataplane/api"],
    "dataplane/worker": ["base", "dataplane/tables", "dataplane/api", "dataplane/packet",
                         "dataplane/wire", "dataplane/ports", "dataplane/crypto"],
    "dataplane/path": ["base", "dataplane/tables", "dataplane/api", "dataplane/packet",
                       "dataplane/wire", "dataplane/ports", "dataplane/crypto",
                       "dataplane/worker"],
    "dataplane/host": ["base", "dataplane/tables", "dataplane/api", "dataplane/packet",
                       "dataplane/wire", "dataplane/ports", "dataplane/worker"],
    # Protocol cores stand on the ground; daemon/ and gateway/ know everybody, nobody knows them.
    "control": ["base", "config", "dataplane/api"],
    "control/api": ["base", "config"],
    "control/babel": ["base"],
    "control/log": ["base", "config"],
    "control/packets": ["base", "dataplane/api"],
    "control/wireguard": ["base", "dataplane/api"],
    "control/host_interfaces": ["base", "config", "control/log"],
    "control/neighbor": ["base", "control/packets", "dataplane/api"],
    "control/routing": ["base", "config", "control/neighbor", "control/packets", "dataplane/api"],
    "control/underlay": ["base", "control/log", "control/neighbor", "control/packets",
                         "control/wireguard", "dataplane/api"],
    "control/sessions": ["base", "control/log", "control/underlay", "control/wireguard",
                         "dataplane/api"],
    "control/site_routers": ["base", "config", "control/babel", "control/log", "control/neighbor",
                             "control/packets", "control/routing", "dataplane/api"],
    # One way: protocol < members < probing, relays < paths, clients < the owner.
    "control/mesh/protocol": ["base"],
    "control/mesh/members": ["base", "config", "control/babel", "control/mesh/protocol",
                             "control/packets", "control/underlay", "control/wireguard",
                             "dataplane/api"],
    "control/mesh/probing": ["base", "config", "control/babel", "control/mesh/protocol",
                             "control/mesh/members", "control/underlay", "dataplane/api"],
    "control/mesh/relays": ["base", "control/mesh/protocol", "control/mesh/members",
                            "dataplane/api"],
    "control/mesh/paths": ["base", "control/babel", "control/log", "control/mesh/protocol",
                           "control/mesh/members", "control/mesh/probing", "control/mesh/relays",
                           "control/underlay", "control/wireguard", "dataplane/api"],
    "control/mesh/clients": ["base", "config", "control/mesh/protocol", "control/mesh/members",
                             "control/mesh/relays", "control/underlay", "control/wireguard",
                             "dataplane/api"],
    "control/mesh": ["base", "config", "control/api", "control/babel", "control/log",
                     "control/packets", "control/routing", "control/sessions", "control/underlay",
                     "control/wireguard", "dataplane/api"],
    "control/gateway": ["base", "config", "control/log", "control/mesh", "control/neighbor",
                        "control/packets", "control/routing", "control/sessions",
                        "control/site_routers", "control/underlay", "control/wireguard",
                        "dataplane/api"],
    "cli": ["base", "config"],
    "web": ["base"],
}
# Sans-I/O: bytes and time come in as arguments, so nothing here may wait, send or read a clock. A
# header of ours may bring the types of <chrono> along, so the calls are looked for as well.
SANS_IO = ("control/babel", "control/wireguard", "control/neighbor", "control/routing",
           "control/packets", "control/mesh/protocol", "control/mesh/relays",
           "control/mesh/members/channel", "control/mesh/members/file_exchange",
           "control/mesh/members/member", "control/mesh/clients", "control/mesh/paths",
           "control/mesh/probing")
IO_HEADER = re.compile(
    r"#include <(boost/asio|sys/(socket|epoll|timerfd|eventfd|random|select|wait|ioctl|mman|stat)|"
    r"poll|chrono|ctime|time|thread|mutex|condition_variable|future|fstream|iostream|cstdio|"
    r"filesystem|unistd|fcntl|netdb)\b")
# What may be a method of ours (bind, select, ...) counts only with :: before it; its header does anyway.
IO_CALL = re.compile(
    r"::now\(|\bstd::random_device\b|\bstd::this_thread\b|"
    r"\bstd::(cout|cerr|clog|ifstream|ofstream|fstream|thread|jthread|async)\b|"
    r"(?<![\w.:>])(?:::|std::)(?:bind|connect|accept|listen|select|poll|send|recv|read|write|open|"
    r"close|random|clock)\(|"
    r"(?<![\w.:>])(?:::|std::)?(?:time|clock_gettime|clock_nanosleep|gettimeofday|timespec_get|"
    r"u?sleep|nanosleep|getrandom|getentropy|s?rand|socket|sendto|sendmsg|recvfrom|recvmsg|ppoll|"
    r"epoll_\w+|eventfd|timerfd_\w+|ioctl|fopen|getenv|f?printf|puts)\(")
QUOTED_OR_COMMENT = re.compile(r'"(\\.|[^"\\])*"|//.*')
# Ordering, ownership and retirement of what workers read are the dataplane's, behind its verbs.
BEHIND_THE_BOUNDARY = re.compile(r"\bmemory_order\w*|\bretire\(")


def files(root, suffixes):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
                yield path


def lines(path):
    return enumerate(path.read_text(errors="replace").splitlines(), 1)


def check_format(root):
    sources = [str(path) for path in files(root, SOURCE)]
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *sources], cwd=root, text=True,
                          capture_output=True, check=False)
    for line in done.stderr.splitlines():
        if "error:" in line:
            yield line.replace(f"{root}/", "", 1) + " (clang-format -i)"


def owner(path):
    """The folder of MAY_INCLUDE that rules over a path; None for the tests and benches."""
    return next((str(folder) for folder in Path(path).parents if str(folder) in MAY_INCLUDE), None)


def what_does_io(line):
    if IO_HEADER.match(line):
        yield line.split()[1]
    for match in IO_CALL.finditer(QUOTED_OR_COMMENT.sub('""', line)):
        yield match[0].rstrip("(")


def check_layering(root):
    for path in files(root, SOURCE):
        name = path.relative_to(root)
        folder = owner(name)
        if folder is None:
            continue
        allowed = [folder, *MAY_INCLUDE[folder]]
        for number, line in lines(path):
            match = re.match(r'\s*#\s*include "([^"]+)"', line)
            inside = match and any(match[1].startswith(f"{start}/") for start in allowed)
            if match and not inside:
                yield f"{name}:{number}: {folder}/ may not include {match[1]}"
            if str(name).startswith(SANS_IO):
                yield from (f"{name}:{number}: sans-I/O code may not use {what}"
                            for what in what_does_io(line))
            if name.parts[0] == "control" and (found := BEHIND_THE_BOUNDARY.search(line)):
                yield f"{name}:{number}: control/ may not use {found[0]}: a verb of dataplane/api does"


def check_licence(root):
    for path in files(root, SOURCE | SCRIPT):
        head = path.read_text(errors="replace").splitlines()[:2]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            yield f"{path.relative_to(root)}:1: no SPDX line"


def check_unfinished(root):
    word = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    for path in files(root, SOURCE | SCRIPT):
        for number, line in lines(path):
            if word.search(line):
                yield f"{path.relative_to(root)}:{number}: finish it, or leave it out and say so"


def main():
    checks = {"format": check_format, "layering": check_layering, "licence": check_licence,
              "unfinished": check_unfinished}
    if len(sys.argv) < 2 or sys.argv[1] not in checks:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else Path(__file__).resolve().parents[2]
    findings = list(checks[sys.argv[1]](root))
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
