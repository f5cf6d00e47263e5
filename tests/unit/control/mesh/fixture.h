// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/mesh/protocol/messages.h"

namespace meshgate::mesh::test {

inline std::vector<uint8_t> hex(std::string_view text) {
    std::vector<uint8_t> bytes;
    std::string digits;
    for (const char c : text) {
        if (c == ' ')
            continue;
        digits += c;
        if (digits.size() == 2) {
            bytes.push_back(static_cast<uint8_t>(std::stoul(digits, nullptr, 16)));
            digits.clear();
        }
    }
    return bytes;
}

inline Endpoint endpoint(std::string_view text) {
    return *parse_endpoint(text);
}

// Node address of the box with this number.
inline IpAddress node(unsigned number) {
    std::array<uint8_t, 16> bytes{0xfd, 0x6d, 0x67};
    bytes[14] = static_cast<uint8_t>(number >> 8);
    bytes[15] = static_cast<uint8_t>(number);
    return IpAddress::v6(bytes.data());
}

}  // namespace meshgate::mesh::test
