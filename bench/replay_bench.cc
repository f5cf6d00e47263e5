// SPDX-License-Identifier: Apache-2.0
// The replay window, beside the smallest there is: 64 packets, as RFC 4303 describes it.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "bench/figures.h"
#include "dataplane/tables/replay_window.h"

namespace meshgate::bench {
namespace {

constexpr size_t kBurst = 64;
constexpr size_t kNbSessions = 10'000;
constexpr uint64_t kReordered = 4096;  // packets that change places with one another

// RFC 4303, section 3.4.3: a shifted word.
class SmallWindow {
public:
    bool accept(uint64_t counter) noexcept {
        if (counter > greatest_) {
            const uint64_t moved = counter - greatest_;
            seen_ = moved < 64 ? seen_ << moved | 1 : 1;
            greatest_ = counter;
            return true;
        }
        const uint64_t age = greatest_ - counter;
        const bool fresh = age < 64 && (seen_ >> age & 1) == 0;
        if (fresh)
            seen_ |= uint64_t{1} << age;
        return fresh;
    }

private:
    uint64_t greatest_ = 0;
    uint64_t seen_ = 1;
};

// Bursts of `accept(n)`, n counting up; all of them must answer `expected`.
template <typename Accept>
void measure(benchmark::State& state, bool expected, Accept accept) {
    uint64_t n = 0;
    bool as_expected = true;
    for (auto _ : state) {
        for (size_t i = 0; i < kBurst; ++i)
            as_expected &= accept(n++) == expected;
    }
    if (!as_expected)
        return state.SkipWithError("wrong answers");
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBurst));
}

void in_order(benchmark::State& state) {
    ReplayWindow window;
    measure(state, true, [&](uint64_t n) { return window.accept(n); });
}

void small_window(benchmark::State& state) {
    SmallWindow window;
    measure(state, true, [&](uint64_t n) { return window.accept(n + 1); });
}

void reordered(benchmark::State& state) {
    std::vector<uint64_t> order(kReordered);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64{1});
    ReplayWindow window;
    measure(state, true, [&](uint64_t n) {
        return window.accept(n / kReordered * kReordered + order[n % kReordered]);
    });
}

void replayed(benchmark::State& state) {
    ReplayWindow window;
    for (uint64_t n = 0; n < kReordered; ++n)
        (void)window.accept(n);
    measure(state, false, [&](uint64_t n) { return window.accept(n % kReordered); });
}

// Each packet of another session, in random order: what the window costs is its way to the core.
void many_sessions(benchmark::State& state) {
    std::vector<ReplayWindow> windows(kNbSessions);
    std::vector<size_t> order(kNbSessions);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64{1});
    measure(state, true,
            [&](uint64_t n) { return windows[order[n % kNbSessions]].accept(n / kNbSessions); });
}

Group group() {
    const Quantity ns = ns_per("packet");
    return {
        {.figures = {{"replay/in-order", ns, "replay/rfc4303"}}, .body = in_order},
        {.figures = {{"replay/reordered", ns, "replay/in-order"}}, .body = reordered},
        {.figures = {{"replay/replayed", ns, "replay/in-order"}}, .body = replayed},
        {.figures = {{"replay/sessions/10000", ns, "replay/in-order"}}, .body = many_sessions},
        {.figures = {{"replay/rfc4303", ns, ""}}, .body = small_window},
    };
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
