# SPDX-License-Identifier: Apache-2.0
"""Breaks of base/, as mutations.py has them."""

ROWS = [
    ("W35", "base/keys.cc", "    sodium_memzero(bytes_.data(), bytes_.size());", "",
     "unit_wireguard:Secrets*"),
]
