// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/timestamp.h"

#include "control/wireguard/timings.h"

namespace meshgate::wireguard {

namespace {

// TAI is 10 s ahead of the Unix epoch's label; leap seconds since are ignored by everybody.
constexpr uint64_t kTai64Base = 0x400000000000000a;
constexpr uint64_t kStepNs = uint64_t{1} << 24;

struct Label {
    uint64_t seconds;
    uint64_t ns;
};

Timestamp encode(const Label& label) noexcept {
    Timestamp result;
    for (size_t n = 0; n < 8; ++n)
        result.bytes[n] = static_cast<uint8_t>(label.seconds >> (56 - 8 * n));
    for (size_t n = 0; n < 4; ++n)
        result.bytes[8 + n] = static_cast<uint8_t>(label.ns >> (24 - 8 * n));
    return result;
}

Label decode(const Timestamp& timestamp) noexcept {
    Label label{};
    for (size_t n = 0; n < 8; ++n)
        label.seconds = label.seconds << 8 | timestamp.bytes[n];
    for (size_t n = 8; n < kTimestampLen; ++n)
        label.ns = label.ns << 8 | timestamp.bytes[n];
    return label;
}

}  // namespace

Timestamp Timestamp::from_wall(uint64_t wall_ns) noexcept {
    const uint64_t ns = wall_ns % kNsPerSecond;
    return encode({kTai64Base + wall_ns / kNsPerSecond, ns - ns % kStepNs});
}

Timestamp Timestamp::successor() const noexcept {
    Label label = decode(*this);
    label.ns += kStepNs;
    if (label.ns >= kNsPerSecond)
        label = {label.seconds + 1, 0};
    return encode(label);
}

uint64_t Timestamp::wall_ns() const noexcept {
    const Label label = decode(*this);
    if (label.seconds < kTai64Base)
        return 0;
    return (label.seconds - kTai64Base) * kNsPerSecond + label.ns;
}

}  // namespace meshgate::wireguard
