// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "config/model.h"

namespace meshgate::config {

// The words of one enumeration: read, shown and offered from the same list.
template <typename E, size_t N>
struct Choices {
    std::string_view noun;  // with its article
    std::string_view code;
    std::array<std::pair<std::string_view, E>, N> words;

    constexpr std::string_view word_of(E value) const noexcept {
        for (const auto& [word, candidate] : words)
            if (candidate == value)
                return word;
        return {};
    }
};

inline constexpr Choices<DeviceKind, 6> kDeviceKinds{"a kind of device",
                                                     "bad-device",
                                                     {{{"pci", DeviceKind::pci},
                                                       {"af_xdp", DeviceKind::af_xdp},
                                                       {"af_packet", DeviceKind::af_packet},
                                                       {"tap", DeviceKind::tap},
                                                       {"memif", DeviceKind::memif},
                                                       {"vdev", DeviceKind::vdev}}}};

inline constexpr Choices<Role, 3> kRoles{
    "a role",
    "bad-role",
    {{{"wan", Role::wan}, {"lan", Role::lan}, {"[wan, lan]", Role::one_arm}}}};

inline constexpr Choices<UdpChecksum, 2> kUdpChecksums{
    "a choice",
    "bad-udp-checksum",
    {{{"always", UdpChecksum::always}, {"never", UdpChecksum::never}}}};

inline constexpr Choices<Idle, 2> kIdles{
    "an idle mode", "bad-idle", {{{"busy", Idle::busy}, {"adaptive", Idle::adaptive}}}};

inline constexpr Choices<Crypto, 4> kCryptos{"a crypto engine",
                                             "bad-crypto",
                                             {{{"auto", Crypto::automatic},
                                               {"cross-packet", Crypto::cross_packet},
                                               {"ipsec-mb", Crypto::ipsec_mb},
                                               {"libsodium", Crypto::libsodium}}}};

inline constexpr Choices<Hugepages, 3> kHugepages{"a hugepage mode",
                                                  "bad-hugepages",
                                                  {{{"auto", Hugepages::automatic},
                                                    {"require", Hugepages::require},
                                                    {"never", Hugepages::never}}}};

inline constexpr Choices<Medium, 2> kMediums{
    "a medium", "bad-medium", {{{"wired", Medium::wired}, {"wireless", Medium::wireless}}}};

inline constexpr Choices<MacAlgorithm, 2> kMacAlgorithms{
    "an algorithm",
    "bad-algorithm",
    {{{"hmac-sha256", MacAlgorithm::hmac_sha256}, {"blake2s", MacAlgorithm::blake2s}}}};

inline constexpr Choices<LogLevel, 5> kLogLevels{"a log level",
                                                 "bad-level",
                                                 {{{"trace", LogLevel::trace},
                                                   {"debug", LogLevel::debug},
                                                   {"info", LogLevel::info},
                                                   {"warning", LogLevel::warning},
                                                   {"error", LogLevel::error}}}};

inline constexpr Choices<LogFormat, 2> kLogFormats{
    "a log format", "bad-format", {{{"text", LogFormat::text}, {"json", LogFormat::json}}}};

}  // namespace meshgate::config
