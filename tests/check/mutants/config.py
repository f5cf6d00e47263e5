# SPDX-License-Identifier: Apache-2.0
"""Breaks of config/, as mutations.py has them."""

ROWS = [
    ("config", "config/text/report.h", "\"a box file\", size_t{8} << 20", "\"a box file\", size_t{4} << 20",
     "unit_config:Load.*Peers*"),
    ("config", "config/text/plain_reader.cc", "text.ends_with(':') || is_null(text) ||\n            text.find",
     "text.ends_with(':') ||\n            text.find", "unit_config:PlainReader*"),
    ("config", "config/text/plain_reader.cc", "            const bool complete = !block->open;",
     "            const bool complete = true;", "unit_config:PlainReader*"),
    # The network file, and how it comes to the daemon.
    ("network", "config/network_file.cc", "if (!verify(candidate, authority)) {", "if (false) {",
     "unit_config:*Network*"),
    ("network", "config/network_file.cc", "return crypto_sign_verify_detached(network.signature.data(), "
     "text, network.text.size(),", "return crypto_sign_verify_detached(network.signature.data(), text, "
     "network.text.size() - 1,", "unit_config:Network.*"),
    ("network", "config/authority.cc", " || crypto_core_ed25519_is_valid_point(key->bytes.data()) != 1",
     "", "unit_config:HostileNetworks.*"),
    ("network", "config/authority.cc", "address.bytes.begin() + kNetworkLen);",
     "address.bytes.begin() + 5);",
     "unit_config:Network.*"),
    ("network", "config/network_file.cc", "    const auto contents = read_file(path, "
     "std::tuple_size_v<Signature> + kMaxNetworkBytes);", "    const auto contents = read_file(path, "
     "kMaxNetworkBytes * 2);", "unit_config:NetworkFile.*"),
    ("network", "config/network_file.cc", "        ::unlink(temporary.c_str());\n", "",
     "unit_config:NetworkFile.*"),
    ("network", "config/network_file.cc", "O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY",
     "O_RDONLY | O_CLOEXEC | O_NOCTTY", "unit_config:NetworkFile.*"),
    ("network", "config/validate/validate_network.cc", "if (outer.prefix.len == 0 || (outer.kind == inner.kind",
     "if ((outer.kind == inner.kind", "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc",
     "return outer.kind != Claim::Kind::member || inner.kind != Claim::Kind::client;", "return true;",
     "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc", "        if (authority)\n", "        if (false)\n",
     "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc", "} else if (!network_.members[*relay].relay) {",
     "} else if (false) {", "unit_config:*WrongNetwork*"),
    ("network", "config/schema/network_values.cc", "!special->overlaps(prefix)", "true",
     "unit_config:*WrongNetwork*"),
    ("network", "config/schema/network_keys.cc", 'if (key.text == "policy") {', "if (false) {",
     "unit_config:*WrongNetwork*"),
    ("network", "config/validate/overlaps.h", "            around.pop_back();\n", "            break;\n",
     "unit_config:*"),
    ("network", "config/network.cc", "change.prefixes = !same_set(before.prefixes, after.prefixes);",
     "change.prefixes = before.prefixes != after.prefixes;", "unit_config:NetworkDiff.*"),
    ("network", "config/network.cc", "                const bool left_over = outer.prefix.len == 0 && "
     "inner.prefix.len != 0;", "                const bool left_over = false;",
     "unit_config:BoxInNetwork.*"),
    ("network", "config/key_file.cc", "    if (marked != (kind == KeyKind::authority))",
     "    if (false)", "unit_config:NetworkFile.*"),
]
