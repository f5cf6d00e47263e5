// SPDX-License-Identifier: Apache-2.0
// The Babel core on a UDP socket of one interface, for the interoperability tests. Not installed.
//
//   babel_node INTERFACE [hello_ms=N] [update_ms=N] [ipv4=ADDRESS] [key=hmac-sha256:HEX]
//              [announce=PREFIX]... [refuse=PREFIX]...
//
// Prints a line per route change and event, and a state of neighbours each second. Ends on SIGTERM
// with a goodbye.

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "control/babel/speaker.h"

namespace {

using namespace meshgate;
using babel::Speaker;

constexpr babel::InterfaceId kInterface = 1;
volatile std::sig_atomic_t g_stop = 0;

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "babel_node: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

Time now() {
    return std::chrono::steady_clock::now();
}

// The interface's link-local address, as the kernel lists it.
IpAddress link_local_of(unsigned index) {
    std::ifstream file("/proc/net/if_inet6");
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words{line};
        std::string hex;
        unsigned number = 0;
        unsigned plen = 0;
        unsigned scope = 0;
        words >> hex >> std::hex >> number >> plen >> scope;
        if (number != index || scope != 0x20)
            continue;
        std::array<uint8_t, 16> bytes{};
        for (size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
        return IpAddress::v6(bytes.data());
    }
    std::fprintf(stderr, "babel_node: no link-local address\n");
    std::exit(1);
}

int open_socket(unsigned index) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    const int on = 1;
    const int off = 0;
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(babel::kPort);
    ipv6_mreq group{};
    const IpAddress address = babel::multicast_group();
    std::copy(address.bytes.begin(), address.bytes.end(), group.ipv6mr_multiaddr.s6_addr);
    group.ipv6mr_interface = index;
    const auto set = [fd](int name, const auto& value) {
        if (setsockopt(fd, IPPROTO_IPV6, name, &value, sizeof(value)) != 0)
            die("setsockopt");
    };
    set(IPV6_V6ONLY, on);
    set(IPV6_RECVPKTINFO, on);
    set(IPV6_MULTICAST_LOOP, off);
    set(IPV6_MULTICAST_HOPS, on);
    set(IPV6_UNICAST_HOPS, on);
    set(IPV6_MULTICAST_IF, index);
    set(IPV6_JOIN_GROUP, group);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof(any)) != 0)
        die("bind");
    return fd;
}

void receive_all(Speaker& speaker, int fd, unsigned index) {
    std::array<uint8_t, 65536> buffer;
    std::array<char, 256> control;
    while (true) {
        sockaddr_in6 from{};
        iovec data{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof(from);
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t len = recvmsg(fd, &message, 0);
        if (len < 0)
            return;
        babel::Datagram datagram{.interface = kInterface, .flow = {}, .bytes = {}};
        for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
             part = CMSG_NXTHDR(&message, part)) {
            if (part->cmsg_level != IPPROTO_IPV6 || part->cmsg_type != IPV6_PKTINFO)
                continue;
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(part), sizeof(info));
            if (info.ipi6_ifindex != index)
                continue;
            datagram.flow.destination = {IpAddress::v6(info.ipi6_addr.s6_addr), babel::kPort};
        }
        if (datagram.flow.destination.port == 0)
            continue;  // of another interface
        datagram.flow.source = {IpAddress::v6(from.sin6_addr.s6_addr), ntohs(from.sin6_port)};
        datagram.bytes = {buffer.data(), static_cast<size_t>(len)};
        speaker.receive(datagram, now());
    }
}

void send_all(Speaker& speaker, int fd, unsigned index) {
    for (const babel::Outgoing& packet : speaker.take_packets()) {
        sockaddr_in6 to{};
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(packet.flow.destination.port);
        to.sin6_scope_id = index;
        std::copy(packet.flow.destination.address.bytes.begin(),
                  packet.flow.destination.address.bytes.end(), to.sin6_addr.s6_addr);
        // From the address that the core goes by: an interface may have several.
        in6_pktinfo info{};
        info.ipi6_ifindex = index;
        std::copy(packet.flow.source.address.bytes.begin(), packet.flow.source.address.bytes.end(),
                  info.ipi6_addr.s6_addr);
        std::array<char, CMSG_SPACE(sizeof(info))> control{};
        std::vector<uint8_t> bytes = packet.bytes;
        iovec data{bytes.data(), bytes.size()};
        msghdr message{};
        message.msg_name = &to;
        message.msg_namelen = sizeof(to);
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = IPPROTO_IPV6;
        part->cmsg_type = IPV6_PKTINFO;
        part->cmsg_len = CMSG_LEN(sizeof(info));
        std::memcpy(CMSG_DATA(part), &info, sizeof(info));
        if (sendmsg(fd, &message, 0) < 0)
            std::fprintf(stderr, "babel_node: sendmsg: %s\n", std::strerror(errno));
    }
}

void print_changes(Speaker& speaker) {
    static constexpr const char* kStates[] = {"reachable", "unreachable", "gone"};
    static constexpr const char* kEvents[] = {"neighbor_up",    "neighbor_down",
                                              "prefix_refused", "too_many_routes",
                                              "sender_refused", "neighbor_suspected"};
    for (const babel::RouteChange& change : speaker.take_route_changes()) {
        std::printf("route %s %s via %s metric %u\n", to_string(change.prefix).c_str(),
                    kStates[static_cast<size_t>(change.state)],
                    change.state == babel::RouteChange::State::reachable
                        ? to_string(change.next_hop).c_str()
                        : "-",
                    unsigned{change.metric});
    }
    for (const babel::Event& event : speaker.take_events()) {
        std::printf(
            "event %s %s\n", kEvents[static_cast<size_t>(event.kind)],
            event.prefix.address.family == Family::none ? "-" : to_string(event.prefix).c_str());
    }
}

void print_neighbors(const Speaker& speaker) {
    for (const babel::NeighborView& view : speaker.neighbors()) {
        std::printf("neighbor %s %s cost %u rxcost %u txcost %u rtt_us %u loss %.2f routes %zu\n",
                    to_string(view.id.address).c_str(), view.up ? "up" : "down",
                    unsigned{view.cost}, unsigned{view.rxcost}, unsigned{view.txcost},
                    view.rtt_known ? view.rtt_p50_us : 0, view.loss, view.nb_routes);
    }
    std::fflush(stdout);
}

class Refusals : public babel::Policy {
public:
    std::vector<Prefix> refused;
    bool may_announce(const babel::NeighborId&, const Prefix& prefix) const override {
        return std::find(refused.begin(), refused.end(), prefix) == refused.end();
    }
    bool may_export(babel::InterfaceId, const Prefix&, bool) const override { return true; }
};

std::vector<babel::MacKey> parse_key(const std::string& text) {
    std::array<uint8_t, babel::MacKey::kMaxLen> secret{};
    size_t len = 0;
    const size_t colon = text.find(':');
    if (colon == std::string::npos ||
        sodium_hex2bin(secret.data(), secret.size(), text.data() + colon + 1,
                       text.size() - colon - 1, nullptr, &len, nullptr) != 0)
        die("key");
    std::vector<babel::MacKey> keys;
    keys.emplace_back(text.starts_with("blake2s") ? babel::MacAlgorithm::blake2s
                                                  : babel::MacAlgorithm::hmac_sha256,
                      babel::Bytes{secret}.first(len));
    return keys;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || sodium_init() < 0)
        return 2;
    const unsigned index = if_nametoindex(argv[1]);
    if (index == 0)
        die(argv[1]);
    Refusals refusals;
    Speaker speaker{{.fill_random = [](auto bytes) { randombytes_buf(bytes.data(), bytes.size()); },
                     .router_id = std::nullopt,
                     .policy = &refusals}};
    babel::InterfaceOptions options;
    options.address = link_local_of(index);
    std::vector<babel::MacKey> keys;
    for (int i = 2; i < argc; ++i) {
        const std::string word{argv[i]};
        const std::string value = word.substr(word.find('=') + 1);
        if (word.starts_with("hello_ms="))
            options.hello_interval = std::chrono::milliseconds{std::stoul(value)};
        else if (word.starts_with("update_ms="))
            options.update_interval = std::chrono::milliseconds{std::stoul(value)};
        else if (word.starts_with("ipv4="))
            options.ipv4 = parse_address(value);
        else if (word.starts_with("key="))
            keys = parse_key(value);
        else if (word.starts_with("announce="))
            speaker.originate(parse_prefix(value).value(), babel::Scope::everywhere, now());
        else if (word.starts_with("refuse="))
            refusals.refused.push_back(parse_prefix(value).value());
        else
            die(word);
    }
    std::signal(SIGTERM, [](int) { g_stop = 1; });
    const int fd = open_socket(index);
    speaker.add_interface(kInterface, options, std::move(keys), now());
    Time next_print = now();
    while (g_stop == 0) {
        const Time deadline = std::min(speaker.next_deadline(), next_print);
        const auto wait_ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now()).count() + 1;
        pollfd waiting{fd, POLLIN, 0};
        poll(&waiting, 1, static_cast<int>(std::clamp<int64_t>(wait_ms, 0, 1000)));
        receive_all(speaker, fd, index);
        if (speaker.next_deadline() <= now())
            speaker.tick(now());
        send_all(speaker, fd, index);
        print_changes(speaker);
        if (next_print <= now()) {
            print_neighbors(speaker);
            next_print = now() + std::chrono::seconds{1};
        }
    }
    speaker.shutdown();
    send_all(speaker, fd, index);
    close(fd);
    return 0;
}
