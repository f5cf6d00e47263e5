#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py FILE NAME: a file's bytes as a constant, on stdout."""
import sys

data = open(sys.argv[1], "rb").read()
print("// SPDX-License-Identifier: Apache-2.0\n#pragma once\n\n#include <array>\n#include <cstdint>\n\n"
      f"namespace meshgate {{\ninline constexpr std::array<uint8_t, {len(data)}> {sys.argv[2]}{{")
for start in range(0, len(data), 20):
    print("".join(f"{byte}," for byte in data[start:start + 20]))
print("};\n}  // namespace meshgate")
