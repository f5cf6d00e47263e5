// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/injector/direction.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace meshgate::lab {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kHoldAtMostNs = 100'000'000;  // when too little traffic overtakes
constexpr size_t kMaxRecorded = 100'000;

// The WireGuard message type of a UDP frame, 0 for anything else. Whatever the port: the lab's
// underlay carries nothing that could be mistaken for it.
uint8_t message_type(const Frame& frame) {
    const auto place = find_udp(frame);
    if (!place || place->end - place->payload < 32)
        return 0;
    const uint8_t* payload = frame.data() + place->payload;
    const bool plausible = payload[0] <= 4 && payload[1] == 0 && payload[2] == 0 && payload[3] == 0;
    return plausible ? payload[0] : 0;
}

uint64_t to_ns(double ms) {
    return ms > 0 ? static_cast<uint64_t>(ms * 1e6) : 0;
}

}  // namespace

bool Direction::selects(const Frame& frame) const {
    if (selection == Selection::all)
        return true;
    const uint8_t type = message_type(frame);
    return selection == Selection::data ? type == 4 : type >= 1 && type <= 3;
}

void Direction::push(std::vector<Frame>& out, Frame frame, uint64_t now_ns) {
    ++received_;
    received_bytes_ += frame.size();
    ++messages_[message_type(frame)];
    if (recording) {
        recorded_.push_back(frame);
        if (recorded_.size() > kMaxRecorded)
            recorded_.pop_front();
    }
    if (!selects(frame)) {
        emit(out, std::move(frame), 0, now_ns);
        return;
    }
    const Verdict verdict = fate_.next(faults);
    if (verdict.lost) {
        ++lost_;
        return;
    }
    if (faults.mtu_bytes != 0 && ip_len(frame) > faults.mtu_bytes) {
        ++too_long_;
        return;
    }
    damage(frame, verdict);
    if (verdict.duplicated) {
        ++duplicated_;
        emit(out, frame, verdict.delay_ms, now_ns);
    }
    if (verdict.reordered) {
        ++reordered_;
        held_.push_back({faults.reorder_depth, now_ns + kHoldAtMostNs, std::move(frame)});
        return;
    }
    emit(out, std::move(frame), verdict.delay_ms, now_ns);
    let_overtake(out, now_ns);
}

void Direction::damage(Frame& frame, const Verdict& verdict) {
    const auto place = find_udp(frame);
    if (!place)
        return;
    if (verdict.marked) {
        mark_ce(frame, *place);
        ++marked_;
    }
    if (!verdict.corrupted && !verdict.truncated)
        return;
    if (verdict.corrupted) {
        flip_bit(frame, *place, verdict.random);
        ++corrupted_;
    }
    if (verdict.truncated) {
        truncate(frame, *place, verdict.random);
        ++truncated_;
    }
    if (faults.repair_checksum)
        repair_checksum(frame, *place);
}

void Direction::emit(std::vector<Frame>& out, Frame frame, double delay_ms, uint64_t now_ns) {
    uint64_t leaves_ns = now_ns;
    if (faults.rate_bits_per_second > 0) {
        const double ns_per_byte = 8e9 / faults.rate_bits_per_second;
        const uint64_t backlog_ns = line_free_ns_ > now_ns ? line_free_ns_ - now_ns : 0;
        if (static_cast<double>(backlog_ns) > faults.queue_bytes * ns_per_byte) {
            ++queue_full_;
            return;
        }
        const double line_ns = static_cast<double>(frame.size()) * ns_per_byte;
        line_free_ns_ = std::max(line_free_ns_, now_ns) + static_cast<uint64_t>(line_ns);
        leaves_ns = line_free_ns_;
    }
    const uint64_t due_ns = leaves_ns + to_ns(delay_ms);
    if (due_ns > now_ns) {
        waiting_.push({due_ns, ++order_, std::move(frame)});
        return;
    }
    ++forwarded_;
    out.push_back(std::move(frame));
}

void Direction::let_overtake(std::vector<Frame>& out, uint64_t now_ns) {
    for (Held& held : held_)
        held.frames_to_pass -= held.frames_to_pass > 0 ? 1 : 0;
    while (!held_.empty() &&
           (held_.front().frames_to_pass == 0 || held_.front().until_ns <= now_ns)) {
        emit(out, std::move(held_.front().frame), 0, now_ns);
        held_.pop_front();
    }
}

void Direction::pop_due(std::vector<Frame>& out, uint64_t now_ns) {
    while (!held_.empty() && held_.front().until_ns <= now_ns) {
        emit(out, std::move(held_.front().frame), 0, now_ns);
        held_.pop_front();
    }
    while (!waiting_.empty() && waiting_.top().due_ns <= now_ns) {
        out.push_back(waiting_.top().frame);
        waiting_.pop();
        ++forwarded_;
    }
}

uint64_t Direction::next_due_ns() const {
    const uint64_t waiting_ns = waiting_.empty() ? kNever : waiting_.top().due_ns;
    const uint64_t held_ns = held_.empty() ? kNever : held_.front().until_ns;
    return std::min(waiting_ns, held_ns);
}

void Direction::replay(std::vector<Frame>& out, size_t count) {
    const size_t nb = std::min(count, recorded_.size());
    out.insert(out.end(), recorded_.end() - static_cast<std::ptrdiff_t>(nb), recorded_.end());
    replayed_ += nb;
}

std::string Direction::counters() const {
    const std::pair<const char*, uint64_t> all[] = {
        {"received", received_},
        {"received_bytes", received_bytes_},
        {"forwarded", forwarded_},
        {"lost", lost_},
        {"duplicated", duplicated_},
        {"corrupted", corrupted_},
        {"truncated", truncated_},
        {"marked", marked_},
        {"reordered", reordered_},
        {"queue_full", queue_full_},
        {"too_long", too_long_},
        {"replayed", replayed_},
        {"missed", missed_},
        {"refused", refused_},
        {"initiations", messages_[1]},
        {"responses", messages_[2]},
        {"cookie_replies", messages_[3]},
        {"data_messages", messages_[4]},
        {"other_frames", messages_[0]},
    };
    std::string text = "{";
    for (const auto& [name, value] : all)
        text +=
            (text.size() > 1 ? ", \"" : "\"") + std::string{name} + "\": " + std::to_string(value);
    return text + "}";
}

}  // namespace meshgate::lab
