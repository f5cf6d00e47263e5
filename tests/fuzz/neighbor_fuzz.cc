// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "control/neighbor/neighbors.h"

// Input: records of one byte of length, one byte of time (in units of 100 ms), then a frame. The
// table asks for two hosts itself, so that answers to its questions can be guessed.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace meshgate;
    using namespace meshgate::control;
    constexpr size_t kMaxEntries = 16;
    Neighbors neighbors{kMaxEntries, 1};
    Time now = Time{} + std::chrono::hours{1};
    neighbors.set_ports({{.identity = {{{2, 0, 0, 0, 0, 1}}, 0},
                          .addresses = {*parse_address("10.1.0.1"), *parse_address("fd10:1::1")},
                          .networks = {*parse_prefix("10.1.0.0/24"), *parse_prefix("fd10:1::/64")},
                          .gateways = {*parse_address("10.1.0.254")}}},
                        now);
    std::span<const uint8_t> rest{data, size};
    while (rest.size() >= 2) {
        const size_t len = std::min<size_t>(rest[0], rest.size() - 2);
        now += std::chrono::milliseconds{100} * rest[1];
        neighbors.resolve(0, *parse_address("10.1.0.20"), now);
        neighbors.resolve(0, *parse_address("fd10:1::20"), now);
        neighbors.tick(now);
        neighbors.receive(0, rest.subspan(2, len), now);
        neighbors.take_frames();
        neighbors.take_events();
        if (neighbors.size() > kMaxEntries || neighbors.next_deadline() <= now)
            std::abort();
        rest = rest.subspan(2 + len);
    }
    return 0;
}
