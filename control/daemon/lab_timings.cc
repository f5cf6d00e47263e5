// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/lab_timings.h"

#include <charconv>
#include <optional>

namespace meshgate::control {

namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<uint64_t> parse_duration_ns(std::string_view text) {
    const bool ms = text.ends_with("ms");
    if (!ms && !text.ends_with("s"))
        return std::nullopt;
    const auto number = parse_number(text.substr(0, text.size() - (ms ? 2 : 1)));
    if (!number || *number > 86'400'000)
        return std::nullopt;
    return *number * (ms ? kNsPerMs : kNsPerSecond);
}

Result<void> set(wireguard::Timings& timings, std::string_view name, std::string_view value) {
    struct Duration {
        std::string_view name;
        uint64_t wireguard::Timings::*field;
    };
    static constexpr Duration kDurations[] = {
        {"rekey", &wireguard::Timings::rekey_after_time_ns},
        {"reject", &wireguard::Timings::reject_after_time_ns},
        {"retry", &wireguard::Timings::rekey_timeout_ns},
        {"jitter", &wireguard::Timings::rekey_timeout_jitter_ns},
        {"keepalive", &wireguard::Timings::keepalive_timeout_ns},
        {"zeroize", &wireguard::Timings::zeroize_after_time_ns},
    };
    for (const Duration& duration : kDurations) {
        if (name != duration.name)
            continue;
        const auto ns = parse_duration_ns(value);
        if (!ns)
            return fail("'" + std::string{value} + "' is no duration such as 2s or 500ms");
        timings.*duration.field = *ns;
        return {};
    }
    const auto number = parse_number(value);
    if (name != "initiations" || !number || *number == 0 || *number > 1000)
        return fail("'" + std::string{name} +
                    "' is not rekey, reject, retry, jitter, keepalive, "
                    "zeroize or initiations with a number");
    timings.max_initiations = static_cast<unsigned>(*number);
    return {};
}

}  // namespace

Result<wireguard::Timings> parse_lab_timings(std::string_view text) {
    wireguard::Timings timings;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        const std::string_view item = text.substr(0, comma);
        const size_t equals = std::min(item.find('='), item.size());
        const auto done =
            set(timings, item.substr(0, equals), item.substr(std::min(equals + 1, item.size())));
        if (!done)
            return propagate(done);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    if (const auto valid = timings.validate(); !valid)
        return propagate(valid);
    return timings;
}

}  // namespace meshgate::control
