// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/clock_mark.h"

#include <charconv>
#include <fstream>

#include "control/daemon/state_file.h"

namespace meshgate::control {

namespace {

// The mark on the disk runs ahead of the timestamps by this: one write per 30 s.
constexpr uint64_t kSlackNs = 60 * kNsPerSecond;
// A clock that jumps further ahead is not believed.
constexpr uint64_t kDayNs = 86400 * kNsPerSecond;

// 0 for whatever is no number: a lost mark costs some waiting, nothing else.
uint64_t read_mark(const std::string& path) {
    std::ifstream file{path};
    std::string text;
    std::getline(file, text);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? value : 0;
}

}  // namespace

ClockMark::ClockMark(const std::string& folder, const Now& start) : start_{start} {
    if (folder.empty())
        return;
    path_ = folder + "/timestamp";
    stored_ns_ = read_mark(path_);
}

Result<void> ClockMark::keep(uint64_t greatest_sent_ns, const Now& now) {
    if (path_.empty() || greatest_sent_ns + kSlackNs / 2 <= stored_ns_ || greatest_sent_ns == 0)
        return {};
    const uint64_t expected_ns = start_.wall_ns + (now.mono_ns() - start_.mono_ns());
    if (greatest_sent_ns > expected_ns + kDayNs && greatest_sent_ns > stored_ns_ + kDayNs)
        return fail("the clock jumped ahead by more than a day: its time is not kept");
    const uint64_t mark_ns = greatest_sent_ns + kSlackNs;
    const auto written = write_state_file(path_, std::to_string(mark_ns) + "\n");
    if (written)
        stored_ns_ = mark_ns;
    return written;
}

}  // namespace meshgate::control
