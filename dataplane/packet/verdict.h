// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>

#include "dataplane/api/drop.h"

namespace meshgate {

// What a check makes of a packet: sound, or why it dies.
class [[nodiscard]] Verdict {
public:
    constexpr Verdict() noexcept = default;  // sound
    constexpr Verdict(Drop reason) noexcept : code_{static_cast<uint8_t>(reason)} {}

    constexpr bool is_sound() const noexcept { return code_ == kSoundCode; }
    constexpr Drop reason() const noexcept {
        assert(!is_sound());
        return static_cast<Drop>(code_);
    }

    constexpr bool operator==(const Verdict&) const noexcept = default;

private:
    static constexpr uint8_t kSoundCode = UINT8_MAX;
    static_assert(kNbDrops < kSoundCode);

    uint8_t code_ = kSoundCode;
};
constexpr Verdict kSound;

}  // namespace meshgate
