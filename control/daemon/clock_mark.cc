// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/clock_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <fstream>

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

// Whole or not at all, whenever the machine stops.
Result<void> write_mark(const std::string& path, uint64_t value) {
    const std::string next = path + ".new";
    const std::string text = std::to_string(value) + "\n";
    const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(errno, next);
    const bool written =
        write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
    const int reason = errno;
    close(fd);
    if (!written)
        return fail(reason, next);
    if (std::rename(next.c_str(), path.c_str()) != 0)
        return fail(errno, path);
    return {};
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
    const auto written = write_mark(path_, mark_ns);
    if (written)
        stored_ns_ = mark_ns;
    return written;
}

}  // namespace meshgate::control
