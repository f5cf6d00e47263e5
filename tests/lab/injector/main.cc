// SPDX-License-Identifier: Apache-2.0
// A cable with faults: joins two interfaces, and does to the frames what it is told.
//
//   injector IF_A IF_B [SEED]
//
// Commands come on stdin, one a line; each is answered by one line ("ok", "error: ...", or JSON).
//
//   set a>b|b>a|both KEY VALUE [KEY VALUE ...]   keys: the fields of Faults in verdict.h
//   clear                                        a plain cable again
//   select all|handshake|data                    which frames the faults befall
//   record on|off                                keeps the frames of both directions
//   replay a>b|b>a COUNT                         sends the last COUNT of that direction once more
//   nat PORT                                     A's datagrams seem to come from PORT; 0: ends it
//   counters                                     {"a>b": {...}, "b>a": {...}}
//
// The end of stdin ends it, with the counters as the last line.

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "tests/lab/injector/direction.h"
#include "tests/lab/injector/packet_socket.h"

namespace meshgate::lab {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t now_ns() {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * kNsPerSecond + static_cast<uint64_t>(ts.tv_nsec);
}

// False when there is no such key.
bool set_fault(Faults& faults, const std::string& key, double value) {
    const std::pair<const char*, double*> reals[] = {
        {"loss", &faults.loss},
        {"burst_enter", &faults.burst_enter},
        {"burst_leave", &faults.burst_leave},
        {"duplicate", &faults.duplicate},
        {"corrupt", &faults.corrupt},
        {"truncate", &faults.truncate},
        {"mark_ce", &faults.mark_ce},
        {"reorder", &faults.reorder},
        {"delay_ms", &faults.delay_ms},
        {"jitter_ms", &faults.jitter_ms},
        {"rate_bits_per_second", &faults.rate_bits_per_second},
    };
    const std::pair<const char*, uint32_t*> counts[] = {
        {"reorder_depth", &faults.reorder_depth},
        {"queue_bytes", &faults.queue_bytes},
        {"mtu_bytes", &faults.mtu_bytes},
    };
    const std::pair<const char*, bool*> switches[] = {
        {"repair_checksum", &faults.repair_checksum},
        {"partition", &faults.partition},
    };
    const auto assign = [&](const auto& table) {
        for (const auto& [name, field] : table) {
            if (key == name) {
                *field = static_cast<std::remove_pointer_t<std::decay_t<decltype(field)>>>(value);
                return true;
            }
        }
        return false;
    };
    return assign(reals) || assign(counts) || assign(switches);
}

// Rewrites A's source port and, on the way back, the destination, as a NAT does.
class Nat {
public:
    void set_port(uint16_t port) { port_ = port; }
    void outbound(Frame& frame) {
        rewrite(frame, 0, [this](uint16_t) { return port_; });
    }
    void inbound(Frame& frame) {
        rewrite(frame, 2, [this](uint16_t port) { return port == port_ ? inner_port_ : port; });
    }

private:
    template <typename Map>
    void rewrite(Frame& frame, size_t offset, Map map) {
        const auto place = port_ != 0 ? find_udp(frame) : std::nullopt;
        if (!place)
            return;
        uint8_t* at = frame.data() + place->udp + offset;
        const auto before = static_cast<uint16_t>(at[0] << 8 | at[1]);
        if (offset == 0)
            inner_port_ = before;
        const uint16_t after = map(before);
        at[0] = static_cast<uint8_t>(after >> 8);
        at[1] = static_cast<uint8_t>(after);
        if (after != before)
            repair_checksum(frame, *place);
    }

    uint16_t port_ = 0, inner_port_ = 0;
};

class Cable {
public:
    Cable(const std::string& a, const std::string& b, uint64_t seed)
        : ends_{PacketSocket{a}, PacketSocket{b}},
          directions_{Direction{seed, 0}, Direction{seed, 1}} {}

    void run();

private:
    std::string obey(const std::string& line);
    std::string set(std::istringstream& words);
    std::string replay(std::istringstream& words);
    std::string counters();
    bool read_commands();
    void move_frames(size_t from);
    int wait(std::array<pollfd, 3>& fds) const;

    std::array<PacketSocket, 2> ends_;
    std::array<Direction, 2> directions_;  // [0] is a>b
    Nat nat_;
    std::string unread_;
};

std::string Cable::counters() {
    for (size_t i = 0; i < 2; ++i)
        directions_[i].count_missed(ends_[i].missed());
    return "{\"a>b\": " + directions_[0].counters() + ", \"b>a\": " + directions_[1].counters() +
           "}";
}

std::string Cable::set(std::istringstream& words) {
    std::string which, key;
    double value = 0;
    words >> which;
    if (which != "a>b" && which != "b>a" && which != "both")
        return "error: direction is a>b, b>a or both";
    while (words >> key) {
        if (!(words >> value))
            return "error: " + key + " wants a number";
        for (size_t i = 0; i < 2; ++i) {
            const bool meant = which == "both" || which == (i == 0 ? "a>b" : "b>a");
            if (meant && !set_fault(directions_[i].faults, key, value))
                return "error: no such key: " + key;
        }
    }
    return "ok";
}

std::string Cable::replay(std::istringstream& words) {
    std::string which;
    size_t count = 0;
    if (!(words >> which >> count) || (which != "a>b" && which != "b>a"))
        return "error: replay a>b|b>a COUNT";
    const size_t from = which == "a>b" ? 0 : 1;
    std::vector<Frame> out;
    directions_[from].replay(out, count);
    directions_[from].count_refused(ends_[1 - from].send(out));
    return "ok";
}

std::string Cable::obey(const std::string& line) {
    std::istringstream words{line};
    std::string verb, argument;
    words >> verb;
    if (verb == "set")
        return set(words);
    if (verb == "replay")
        return replay(words);
    if (verb == "counters")
        return counters();
    if (verb == "clear") {
        for (Direction& direction : directions_)
            direction.faults = Faults{};
        return "ok";
    }
    words >> argument;
    if (verb == "nat") {
        nat_.set_port(static_cast<uint16_t>(std::strtoul(argument.c_str(), nullptr, 10)));
        return "ok";
    }
    for (Direction& direction : directions_) {
        if (verb == "record" && (argument == "on" || argument == "off"))
            direction.recording = argument == "on";
        else if (verb == "select" && argument == "all")
            direction.selection = Selection::all;
        else if (verb == "select" && argument == "handshake")
            direction.selection = Selection::handshake;
        else if (verb == "select" && argument == "data")
            direction.selection = Selection::data;
        else
            return "error: not a command: " + line;
    }
    return "ok";
}

// False at the end of stdin.
bool Cable::read_commands() {
    std::array<char, 4096> data{};
    const ssize_t len = read(STDIN_FILENO, data.data(), data.size());
    if (len <= 0)
        return false;
    unread_.append(data.data(), static_cast<size_t>(len));
    for (size_t end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n')) {
        std::puts(obey(unread_.substr(0, end)).c_str());
        unread_.erase(0, end + 1);
    }
    std::fflush(stdout);
    return true;
}

void Cable::move_frames(size_t from) {
    Direction& direction = directions_[from];
    std::vector<Frame> out;
    for (Frame& frame : ends_[from].receive()) {
        if (from == 0)
            nat_.outbound(frame);
        else
            nat_.inbound(frame);
        direction.push(out, std::move(frame), now_ns());
    }
    direction.pop_due(out, now_ns());
    direction.count_refused(ends_[1 - from].send(out));
}

int Cable::wait(std::array<pollfd, 3>& fds) const {
    const uint64_t due_ns = std::min(directions_[0].next_due_ns(), directions_[1].next_due_ns());
    if (due_ns == std::numeric_limits<uint64_t>::max())
        return ppoll(fds.data(), fds.size(), nullptr, nullptr);
    const uint64_t at_ns = now_ns();
    const uint64_t left_ns = due_ns > at_ns ? due_ns - at_ns : 0;
    const timespec timeout{static_cast<time_t>(left_ns / kNsPerSecond),
                           static_cast<long>(left_ns % kNsPerSecond)};
    return ppoll(fds.data(), fds.size(), &timeout, nullptr);
}

void Cable::run() {
    std::puts("ready");
    std::fflush(stdout);
    for (bool open = true; open;) {
        std::array<pollfd, 3> fds{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{ends_[0].fd(), POLLIN, 0},
                                  pollfd{ends_[1].fd(), POLLIN, 0}};
        if (wait(fds) < 0)
            break;
        if (fds[0].revents != 0)
            open = read_commands();
        move_frames(0);
        move_frames(1);
    }
    std::puts(counters().c_str());
}

}  // namespace
}  // namespace meshgate::lab

int main(int argc, char** argv) {
    if (argc != 3 && argc != 4) {
        std::fputs("usage: injector IF_A IF_B [SEED]\n", stderr);
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1000);
    const uint64_t seed = argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 1;
    meshgate::lab::Cable{argv[1], argv[2], seed}.run();
    return 0;
}
