#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a shell offers behind a command line: completion.py MESHGATE SHELL...

Each script is loaded by its own shell and asked, as the shell asks it when somebody presses Tab.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# The line, the last word unfinished -> some of what must be offered, and what must not.
LINES = {
    "meshgate sta": ({"status"}, {"show", "network"}),
    "meshgate --socket x sh": ({"show"}, {"status"}),
    "meshgate show pe": ({"peers"}, {"ports"}),
    "meshgate show peers b": ({"berlin"}, {"munich", "peers"}),
    "meshgate show --all drops b": ({"berlin"}, {"munich"}),
    "meshgate explain m": ({"munich"}, {"berlin"}),
    "meshgate network s": ({"sign", "show"}, {"keygen", "status"}),
    "meshgate network sign --k": ({"--key"}, {"--format"}),
    "meshgate check --format g": ({"gcc"}, {"json"}),
    "meshgate check o": ({"office.yaml"}, {"status"}),
}

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _meshgate; printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh completes only in its line editor; what the functions of its completion system are called with is
# what they would offer.
ZSH = """
compadd() { shift; local word; for word in "$@"; do [[ $word == "$words[CURRENT]"* ]] && print -r -- $word; done }
_files() { print -rl -- ${words[CURRENT]}*(N) }
script=$1; shift
words=("$@"); CURRENT=$#
source $script
"""
FISH = 'source $argv[1]; complete -C "$argv[2]" | string replace -r "\\t.*" ""; true'


def ask(shell, script, line, environment, folder):
    words = line.split(" ")
    command = {"bash": ["bash", "--norc", "-c", BASH, "bash", script, *words],
               "zsh": ["zsh", "-f", "-c", ZSH, "zsh", script, *words],
               "fish": ["fish", "--no-config", "-c", FISH, script, line]}[shell]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder,
                          check=False, timeout=20)
    if done.returncode != 0 and shell != "zsh" or done.stderr:
        return {f"exit {done.returncode}: {done.stderr}"}
    return set(done.stdout.split())


def findings(program, shell, folder):
    script = folder / f"completion.{shell}"
    with open(script, "wb") as out:
        subprocess.run([program, "completion", shell], stdout=out, check=True)
    # A daemon with two peers, as far as completion sees.
    (folder / "bin").mkdir(exist_ok=True)
    fake = folder / "bin/meshgate"
    fake.write_text("#!/bin/sh\nprintf 'NAME  STATE\\nberlin  up\\nmunich  up\\n$(id)  up\\n'\n")
    fake.chmod(0o755)
    (folder / "office.yaml").touch()
    environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder)}
    for line, (wanted, unwanted) in LINES.items():
        got = ask(shell, script, line, environment, folder)
        if not wanted <= got or got & unwanted:
            yield f"{shell}: '{line}' offers {' '.join(sorted(got))}, wanted {' '.join(sorted(wanted))}"


def main():
    program, shells, bad = sys.argv[1], sys.argv[2:], 0
    with tempfile.TemporaryDirectory() as name:
        for shell in shells:
            for finding in findings(os.path.abspath(program), shell, Path(name)):
                print(finding)
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
