// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace meshgate {

// Monotonic; always an argument, so that tests can let hours pass.
using Time = std::chrono::steady_clock::time_point;
constexpr Time kNever = Time::max();

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Monotonic time drives every timer; wall time only makes timestamps and what people read.
struct Now {
    Time mono{};
    uint64_t wall_ns = 0;  // since 1970

    constexpr uint64_t mono_ns() const noexcept {
        return static_cast<uint64_t>(std::chrono::nanoseconds{mono.time_since_epoch()}.count());
    }
    static constexpr Now at(uint64_t mono_ns, uint64_t wall_ns) noexcept {
        return {.mono = Time{std::chrono::nanoseconds{mono_ns}}, .wall_ns = wall_ns};
    }
};

// Reads both clocks; tests pass one of their own.
using Clock = std::function<Now()>;

}  // namespace meshgate
