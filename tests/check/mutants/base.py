# SPDX-License-Identifier: Apache-2.0
"""Breaks of base/, as mutations.py has them."""

ROWS = [
    ("RFC 6724", "base/source_address.cc", "    return std::min<unsigned>(len, source.prefix_len);",
     "    return len;", "unit_base:SourceAddress.*"),
    ("W35", "base/keys.cc", "    sodium_memzero(bytes_.data(), bytes_.size());", "",
     "unit_wireguard:Secrets*"),
]
