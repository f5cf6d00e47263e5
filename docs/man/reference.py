#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Turns docs/configure.md, which is made from the table of keys, into meshgate.yaml.5.scd."""
import re
import sys


def inline(text):
    """Markdown to scdoc within a line: `code` becomes bold, what scdoc would take for markup stays."""
    parts = re.split(r"(`[^`]*`|\*[^*]+\*)", text)
    return "".join(convert(part) for part in parts)


def convert(part):
    if part.startswith("`"):
        return "*" + escape(part[1:-1]) + "*"
    if part.startswith("*"):
        return "_" + escape(part[1:-1]) + "_"
    return escape(part)


def escape(text):
    return re.sub(r"([\\*_])", r"\\\1", text)


def row(line):
    key, value, default, reload_class, meaning = [c.strip() for c in line.strip("| \n").split(" | ", 4)]
    facts = f"{value}; {'required' if default == 'required' else 'default: ' + default}; {reload_class}"
    return f"{inline(key)}\n\t{inline(meaning)}++\n({inline(facts)})\n"


def body(lines):
    code = False
    for line in lines:
        if line.startswith("```"):
            code = not code
            yield "```\n"
        elif code:
            yield line
        elif line.startswith("#"):
            yield re.sub("^#+ ", "# ", line).replace("`", "").upper()
        elif line.startswith("| key ") or line.startswith("| ---"):
            continue
        elif line.startswith("| "):
            yield row(line) + "\n"
        else:
            yield inline(line)


def main():
    lines = open(sys.argv[1], encoding="utf-8").readlines()
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write("meshgate.yaml(5)\n\n# NAME\n\nmeshgate.yaml - the box file of meshgated\n\n# DESCRIPTION\n\n")
        out.writelines(body(lines[1:]))
        out.write("\n# SEE ALSO\n\n*meshgated*(8), *meshgate*(8)\n")


main()
