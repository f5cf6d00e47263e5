// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <queue>
#include <string>
#include <vector>

#include "tests/lab/injector/frame.h"
#include "tests/lab/injector/verdict.h"

namespace meshgate::lab {

// Which frames the faults befall; the others pass.
enum class Selection : uint8_t { all, handshake, data };

// One direction of the cable: frames and time in, frames out. Does no I/O.
class Direction {
public:
    Direction(uint64_t seed, unsigned number) : fate_{seed, number} {}

    Faults faults;
    Selection selection = Selection::all;
    bool recording = false;

    // Takes a frame; what may leave at once is appended to `out`.
    void push(std::vector<Frame>& out, Frame frame, uint64_t now_ns);
    // Appends what is due.
    void pop_due(std::vector<Frame>& out, uint64_t now_ns);
    // When pop_due() has something next; UINT64_MAX: nothing waits.
    uint64_t next_due_ns() const;
    // Appends the last `count` recorded frames in their order, untouched by faults.
    void replay(std::vector<Frame>& out, size_t count);
    void count_missed(uint64_t nb) { missed_ += nb; }
    void count_refused(uint64_t nb) { refused_ += nb; }

    // A JSON object.
    std::string counters() const;

private:
    struct Waiting {
        uint64_t due_ns, order;
        Frame frame;
        bool operator>(const Waiting& other) const {
            return due_ns != other.due_ns ? due_ns > other.due_ns : order > other.order;
        }
    };
    struct Held {  // to be overtaken
        uint32_t frames_to_pass;
        uint64_t until_ns;
        Frame frame;
    };

    bool selects(const Frame& frame) const;
    void damage(Frame& frame, const Verdict& verdict);
    void emit(std::vector<Frame>& out, Frame frame, double delay_ms, uint64_t now_ns);
    void let_overtake(std::vector<Frame>& out, uint64_t now_ns);

    Fate fate_;
    std::priority_queue<Waiting, std::vector<Waiting>, std::greater<>> waiting_;
    std::deque<Held> held_;
    std::deque<Frame> recorded_;
    uint64_t order_ = 0, line_free_ns_ = 0;
    uint64_t received_ = 0, received_bytes_ = 0, forwarded_ = 0, lost_ = 0, duplicated_ = 0;
    uint64_t corrupted_ = 0, truncated_ = 0, marked_ = 0, reordered_ = 0, queue_full_ = 0,
             too_long_ = 0;
    uint64_t replayed_ = 0, missed_ = 0, refused_ = 0;
    std::array<uint64_t, 5> messages_{};  // by WireGuard type; 0: anything else
};

}  // namespace meshgate::lab
