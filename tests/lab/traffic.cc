// SPDX-License-Identifier: Apache-2.0
// Paced, numbered UDP for the lab, where iperf3's receiver is too slow and ping too coarse.
//
//   traffic recv --bind ADDR --port N [--seconds S]
//       counts until SIGTERM or S seconds have passed
//   traffic send --to ADDR --port N --rate PPS --seconds S [--size BYTES] [--tos N] [--from-port N]
//   traffic echo --bind ADDR --port N
//       sends back what comes, until SIGTERM
//   traffic rtt --to ADDR --port N [--count N] [--size BYTES] [--interval-us N] [--again 1]
//       asks an echo; with --again at once a second time: what the first one took longer was added
//       by what had to wake up
//
// Each prints one JSON object to stdout at the end; `recv` and `echo` first print "ready". Sizes
// are UDP payload bytes.

#include <netdb.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr uint32_t kMagic = 0x4d475431;
constexpr size_t kBatch = 64;
constexpr size_t kMaxSize = 9000;
constexpr uint8_t kFill = 0xa5;
constexpr uint64_t kNsPerSecond = 1'000'000'000;
// A sender that fell behind by more than this starts its schedule anew rather than sending a burst.
constexpr uint64_t kMaxCatchUpNs = 5'000'000;

struct Header {
    uint32_t magic;
    uint32_t number;
    uint64_t sent_ns;
};

volatile std::sig_atomic_t g_stop = 0;

using Options = std::map<std::string, std::string>;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

uint64_t now_ns() {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * kNsPerSecond + static_cast<uint64_t>(ts.tv_nsec);
}

void sleep_until(uint64_t ns) {
    const timespec ts{static_cast<time_t>(ns / kNsPerSecond), static_cast<long>(ns % kNsPerSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, nullptr);
}

double number(const Options& options, const std::string& key, double fallback) {
    const auto found = options.find(key);
    return found == options.end() ? fallback : std::strtod(found->second.c_str(), nullptr);
}

// A UDP socket bound to --bind, or connected to --to. Buffers beyond the system's limit: the lab
// runs as root.
int open_socket(const Options& options) {
    const bool binds = options.contains("bind");
    const std::string& host = options.at(binds ? "bind" : "to");
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), options.at("port").c_str(), &hints, &found) != 0) {
        std::fprintf(stderr, "not an address and port: %s %s\n", host.c_str(),
                     options.at("port").c_str());
        std::exit(2);
    }
    const int fd = socket(found->ai_family, SOCK_DGRAM, 0);
    const int buffer_bytes = 64 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    const int tos = static_cast<int>(number(options, "tos", 0));
    if (found->ai_family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    if (options.contains("from-port")) {
        sockaddr_in6 from{};  // long enough for both families; the port is in the same place
        from.sin6_family = static_cast<sa_family_t>(found->ai_family);
        from.sin6_port = htons(static_cast<uint16_t>(number(options, "from-port", 0)));
        if (bind(fd, reinterpret_cast<sockaddr*>(&from), found->ai_addrlen) != 0)
            die("bind");
    }
    const int error = binds ? bind(fd, found->ai_addr, found->ai_addrlen)
                            : connect(fd, found->ai_addr, found->ai_addrlen);
    if (error != 0)
        die(binds ? "bind" : "connect");
    freeaddrinfo(found);
    return fd;
}

void set_receive_timeout_ms(int fd, long ms) {
    const timeval timeout{ms / 1000, (ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
}

// kBatch buffers and the vectors that recvmmsg and sendmmsg want.
struct Burst {
    std::vector<std::array<uint8_t, kMaxSize>> data{kBatch};
    std::array<iovec, kBatch> vectors{};
    std::array<mmsghdr, kBatch> messages{};

    explicit Burst(size_t len) {
        for (size_t i = 0; i < kBatch; ++i) {
            data[i].fill(kFill);
            vectors[i] = {data[i].data(), len};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    }
};

// What a receiver saw, by number: nothing is inferred from totals.
class Tally {
public:
    void count(const uint8_t* data, size_t len, uint64_t at_ns) {
        Header header{};
        if (len < sizeof header) {
            ++corrupt_;
            return;
        }
        std::memcpy(&header, data, sizeof header);
        const bool intact =
            std::memcmp(data + sizeof header, fill_.data(), len - sizeof header) == 0;
        if (header.magic != kMagic || !intact) {
            ++corrupt_;
            return;
        }
        if (header.number >= seen_.size())
            seen_.resize(std::max<size_t>(header.number + size_t{1}, seen_.size() * 2));
        if (seen_[header.number]) {
            ++duplicates_;
            return;
        }
        seen_[header.number] = true;
        if (unique_ > 0 && header.number < highest_)
            ++reordered_;
        highest_ = std::max(highest_, header.number);
        first_ns_ = unique_ == 0 ? at_ns : first_ns_;
        longest_gap_ns_ = unique_ == 0 ? 0 : std::max(longest_gap_ns_, at_ns - last_ns_);
        last_ns_ = at_ns;
        ++unique_;
        bytes_ += len;
    }

    void print() const {
        const double seconds = static_cast<double>(last_ns_ - first_ns_) / 1e9;
        std::printf(
            "{\"received\": %llu, \"bytes\": %llu, \"highest\": %lld, \"duplicates\": %llu, "
            "\"reordered\": %llu, \"corrupt\": %llu, \"seconds\": %.6f, "
            "\"longest_gap_seconds\": %.6f, \"longest_lost_run\": %llu}\n",
            static_cast<unsigned long long>(unique_), static_cast<unsigned long long>(bytes_),
            unique_ > 0 ? static_cast<long long>(highest_) : -1,
            static_cast<unsigned long long>(duplicates_),
            static_cast<unsigned long long>(reordered_), static_cast<unsigned long long>(corrupt_),
            seconds, static_cast<double>(longest_gap_ns_) / 1e9,
            static_cast<unsigned long long>(longest_lost_run()));
    }

private:
    // Of numbers up to the highest one that came: what was lost in a row, whatever held up the
    // receiver.
    uint64_t longest_lost_run() const {
        uint64_t longest = 0, run = 0;
        for (size_t i = 0; unique_ > 0 && i <= highest_; ++i) {
            run = seen_[i] ? 0 : run + 1;
            longest = std::max(longest, run);
        }
        return longest;
    }

    const std::vector<uint8_t> fill_ = std::vector<uint8_t>(kMaxSize, kFill);
    std::vector<bool> seen_;
    uint32_t highest_ = 0;
    uint64_t unique_ = 0, bytes_ = 0, duplicates_ = 0, reordered_ = 0, corrupt_ = 0;
    uint64_t first_ns_ = 0, last_ns_ = 0, longest_gap_ns_ = 0;
};

int receive(const Options& options) {
    const int fd = open_socket(options);
    set_receive_timeout_ms(fd, 50);
    const uint64_t deadline_ns =
        now_ns() + static_cast<uint64_t>(number(options, "seconds", 3600) * 1e9);
    Burst burst{kMaxSize};
    Tally tally;
    std::puts("ready");
    std::fflush(stdout);
    while (now_ns() < deadline_ns) {
        const int nb = recvmmsg(fd, burst.messages.data(), kBatch, MSG_WAITFORONE, nullptr);
        const uint64_t at_ns = now_ns();
        for (int i = 0; i < nb; ++i)
            tally.count(burst.data[static_cast<size_t>(i)].data(),
                        burst.messages[static_cast<size_t>(i)].msg_len, at_ns);
        if (nb <= 0 && g_stop != 0)  // the queue is empty: nothing that arrived is left out
            break;
    }
    tally.print();
    return 0;
}

int send_paced(const Options& options) {
    const int fd = open_socket(options);
    const double rate = number(options, "rate", 1000);
    const auto size = static_cast<size_t>(number(options, "size", 64));
    const auto total = static_cast<uint64_t>(rate * number(options, "seconds", 1));
    if (rate <= 0 || size < sizeof(Header) || size > kMaxSize)
        return 2;
    const size_t per_wakeup = std::clamp<size_t>(static_cast<size_t>(rate / 5000), 1, kBatch);
    prctl(PR_SET_TIMERSLACK, 1000);

    Burst burst{size};
    uint64_t sent = 0, refused = 0, restarts = 0;
    const uint64_t first_ns = now_ns();
    uint64_t base_ns = first_ns, base_count = 0;
    while (sent < total && g_stop == 0) {
        const uint64_t due_ns =
            base_ns + static_cast<uint64_t>(static_cast<double>(sent - base_count) * 1e9 / rate);
        uint64_t at_ns = now_ns();
        if (at_ns < due_ns) {
            sleep_until(due_ns);
            at_ns = now_ns();
        } else if (at_ns - due_ns > kMaxCatchUpNs) {
            base_ns = at_ns;
            base_count = sent;
            ++restarts;
        }
        const size_t nb = std::min<size_t>(per_wakeup, total - sent);
        for (size_t i = 0; i < nb; ++i) {
            const Header header{kMagic, static_cast<uint32_t>(sent + i), at_ns};
            std::memcpy(burst.data[i].data(), &header, sizeof header);
        }
        const int done = sendmmsg(fd, burst.messages.data(), static_cast<unsigned>(nb), 0);
        if (done > 0)
            sent += static_cast<uint64_t>(done);
        else if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH)
            ++refused;  // an ICMP error about an earlier packet; this one was not sent
        else if (errno != EINTR)
            die("sendmmsg");
        if (refused > total)
            break;
    }
    const double seconds = static_cast<double>(now_ns() - first_ns) / 1e9;
    std::printf(
        "{\"sent\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"icmp_errors\": %llu, "
        "\"schedule_restarts\": %llu}\n",
        static_cast<unsigned long long>(sent), static_cast<unsigned long long>(sent) * size,
        seconds, static_cast<unsigned long long>(refused),
        static_cast<unsigned long long>(restarts));
    return 0;
}

int echo(const Options& options) {
    const int fd = open_socket(options);
    set_receive_timeout_ms(fd, 50);
    std::puts("ready");
    std::fflush(stdout);
    std::array<uint8_t, kMaxSize> data{};
    uint64_t echoed = 0;
    while (g_stop == 0) {
        sockaddr_storage from{};
        socklen_t from_len = sizeof from;
        const ssize_t len = recvfrom(fd, data.data(), data.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &from_len);
        if (len < 0)
            continue;
        sendto(fd, data.data(), static_cast<size_t>(len), 0, reinterpret_cast<sockaddr*>(&from),
               from_len);
        ++echoed;
    }
    std::printf("{\"echoed\": %llu}\n", static_cast<unsigned long long>(echoed));
    return 0;
}

// Sends packet `number` and waits for its answer: microseconds, or less than 0 when none came.
double exchange(int fd, std::vector<uint8_t>& data, uint32_t number) {
    const Header header{kMagic, number, now_ns()};
    std::memcpy(data.data(), &header, sizeof header);
    if (send(fd, data.data(), data.size(), 0) < 0)
        return -1;
    Header answer{};
    do {  // answers to earlier packets that were given up are passed over
        if (recv(fd, &answer, sizeof answer, MSG_TRUNC) < 0)
            return -1;
    } while (answer.magic != kMagic || answer.number != number);
    return static_cast<double>(now_ns() - header.sent_ns) / 1e3;
}

void print_quantiles(const char* prefix, std::vector<double> values_us) {
    std::sort(values_us.begin(), values_us.end());
    for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"max", 1.0}}) {
        const auto place = static_cast<size_t>(q * static_cast<double>(values_us.size() - 1));
        std::printf(", \"%s%s_us\": %.1f", prefix, name, values_us.empty() ? -1 : values_us[place]);
    }
}

int round_trip(const Options& options) {
    const int fd = open_socket(options);
    set_receive_timeout_ms(fd, 1000);
    const auto count = static_cast<uint32_t>(number(options, "count", 1000));
    const auto size = static_cast<size_t>(number(options, "size", 64));
    const auto interval_ns = static_cast<uint64_t>(number(options, "interval-us", 500) * 1e3);
    const bool again = number(options, "again", 0) != 0;
    if (size < sizeof(Header) || size > kMaxSize)
        return 2;
    prctl(PR_SET_TIMERSLACK, 1000);

    std::vector<uint8_t> data(size, kFill);
    std::vector<double> rtts_us, again_us, added_us;
    for (uint32_t i = 0; i < count && g_stop == 0; ++i) {
        const uint64_t start_ns = now_ns();
        const double first_us = exchange(fd, data, 2 * i);
        if (first_us >= 0)
            rtts_us.push_back(first_us);
        if (const double second_us = again ? exchange(fd, data, 2 * i + 1) : -1; second_us >= 0) {
            again_us.push_back(second_us);
            if (first_us >= 0)
                added_us.push_back(first_us - second_us);
        }
        sleep_until(start_ns + interval_ns);
    }
    std::printf("{\"sent\": %u, \"received\": %zu", count, rtts_us.size());
    print_quantiles("", rtts_us);
    if (again) {
        print_quantiles("again_", again_us);
        print_quantiles("added_", added_us);
    }
    std::puts("}");
    return rtts_us.empty() ? 1 : 0;
}

int usage() {
    std::fputs("usage: traffic recv|send|echo|rtt --bind ADDR | --to ADDR --port N [...]\n",
               stderr);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 2; i + 1 < argc; i += 2)
        options[argv[i] + (std::strncmp(argv[i], "--", 2) == 0 ? 2 : 0)] = argv[i + 1];
    const std::string mode = argc > 1 ? argv[1] : "";
    const bool listens = mode == "recv" || mode == "echo";
    if (argc % 2 != 0 || !options.contains("port") || !options.contains(listens ? "bind" : "to"))
        return usage();

    struct sigaction action {};
    action.sa_handler = [](int) { g_stop = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    if (mode == "recv")
        return receive(options);
    if (mode == "send")
        return send_paced(options);
    if (mode == "echo")
        return echo(options);
    return mode == "rtt" ? round_trip(options) : usage();
}
