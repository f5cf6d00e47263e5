#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Turns page.html into page.cc: its bytes, and a policy with the hashes of its script and style."""
import base64
import hashlib
import re
import sys


def source_hash(page, tag):
    contents = re.findall(rb"<%s>(.*?)</%s>" % (tag, tag), page, re.S)
    if len(contents) != 1:
        sys.exit(f"page.html needs one <{tag.decode()}>, it has {len(contents)}")
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(contents[0]).digest()).decode()


def main():
    page = open(sys.argv[1], "rb").read()
    policy = "; ".join([
        "default-src 'none'",
        "script-src " + source_hash(page, b"script"),
        "style-src " + source_hash(page, b"style"),
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ])
    lines = [page[i:i + 20] for i in range(0, len(page), 20)]
    with open(sys.argv[2], "w") as out:
        out.write('#include "web/page.h"\n\nnamespace meshgate::web {\nnamespace {\n\n')
        out.write("constexpr char kBytes[] = {\n")
        for line in lines:
            out.write("    " + "".join(f"'\\x{byte:02x}'," for byte in line) + "\n")
        out.write("};\n\n}  // namespace\n\n")
        out.write("const std::string_view kPage{kBytes, sizeof(kBytes)};\n")
        out.write(f'const char* const kPagePolicy = "{policy}";\n\n')
        out.write("}  // namespace meshgate::web\n")


main()
