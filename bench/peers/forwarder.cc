// SPDX-License-Identifier: Apache-2.0

// A box without a gateway in it: what comes in by one port goes out by the other, frame by frame.
// The same ports, mbufs, fix-ups and idle ladder as a worker's; no classification, no look-up, no
// crypto. What two of them carry is what the ports allow.
//
//   forwarder DEVICE DEVICE [busy|adaptive]        until SIGTERM; DEVICE: af_xdp:IF or af_packet:IF
//
// Prints "ready" once it forwards.

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/ports/eal.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/partial_checksum.h"
#include "dataplane/worker/doorbell.h"
#include "dataplane/worker/idle_ladder.h"

namespace meshgate {

namespace {

constexpr unsigned kMemoryMib = 256;
constexpr uint16_t kBurst = 64;  // as a worker's

volatile std::sig_atomic_t g_stop = 0;

int complain(const std::string& what) {
    std::fprintf(stderr, "forwarder: %s\n", what.c_str());
    return 1;
}

std::optional<PortOptions> port_options(std::string_view text) {
    for (const auto& [word, kind] : {std::pair{"af_xdp:", DeviceKind::af_xdp},
                                     std::pair{"af_packet:", DeviceKind::af_packet}}) {
        if (!text.starts_with(word))
            continue;
        const std::string interface { text.substr(std::string_view{word}.size()) };
        return PortOptions{.name = interface, .device = kind, .device_argument = interface};
    }
    return std::nullopt;
}

void finish_checksum(rte_mbuf* mbuf) noexcept {
    const rte_be16_t ether_type = rte_pktmbuf_mtod(mbuf, const rte_ether_hdr*)->ether_type;
    if (ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) && ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV6))
        return;
    rte_pktmbuf_adj(mbuf, RTE_ETHER_HDR_LEN);
    finish_partial_checksum(mbuf);
    rte_pktmbuf_prepend(mbuf, RTE_ETHER_HDR_LEN);
}

unsigned forward(const Port& from, const Port& to) noexcept {
    rte_mbuf* mbufs[kBurst];
    const uint16_t nb_received = from.rx_burst(0, mbufs, kBurst);
    if (nb_received == 0)
        return 0;
    if (from.traits().finish_partial_checksums)
        std::for_each_n(mbufs, nb_received, finish_checksum);
    const uint16_t nb_sent = to.tx_burst(0, mbufs, nb_received);
    rte_pktmbuf_free_bulk(mbufs + nb_sent, nb_received - nb_sent);
    return nb_received;
}

int run(const std::vector<PortOptions>& options, IdleMode mode) {
    const Result<Eal> eal = Eal::start({.memory = {.hugepages = false, .memory_mib = kMemoryMib}});
    if (!eal)
        return complain(eal.error().message);
    const Result<Mempool> mempool = Mempool::create({.for_af_xdp = true});
    const Result<Doorbell> doorbell = Doorbell::create();
    if (!mempool || !doorbell)
        return complain("no memory");
    std::vector<std::unique_ptr<Port>> ports;
    IdleLadder::Options ladder{.mode = mode,
                               .core = IdleLadder::CoreUse::floating,
                               .queue_doorbell_fds = {},
                               .own_doorbell_fd = doorbell->fd(),
                               .tsc_hz = rte_get_tsc_hz()};
    for (PortId id = 0; id < options.size(); ++id) {
        Result<std::unique_ptr<Port>> port = Port::open(options[id], id, 1, *mempool);
        if (!port)
            return complain(port.error().message);
        if ((*port)->ethdev() == nullptr)
            return complain((*port)->problem());
        ladder.queue_doorbell_fds.push_back((*port)->doorbell_fd(0));
        ports.push_back(*std::move(port));
    }
    IdleLadder idle{ladder};
    std::puts("ready");
    std::fflush(stdout);
    while (g_stop == 0) {
        const unsigned nb_packets = forward(*ports[0], *ports[1]) + forward(*ports[1], *ports[0]);
        if (idle.on_turn(nb_packets, rte_rdtsc()) == IdleLadder::Step::sleep)
            idle.sleep();
    }
    return 0;
}

}  // namespace

}  // namespace meshgate

int main(int argc, char** argv) {
    using namespace meshgate;
    const std::vector<std::string_view> words{argv + 1, argv + argc};
    std::vector<PortOptions> ports;
    for (size_t i = 0; i < words.size() && i < 2; ++i) {
        if (const auto options = port_options(words[i]))
            ports.push_back(*options);
    }
    const std::string_view mode = words.size() == 3 ? words[2] : "adaptive";
    if (ports.size() != 2 || words.size() > 3 || (mode != "busy" && mode != "adaptive")) {
        std::fputs("usage: forwarder DEVICE DEVICE [busy|adaptive]\n", stderr);
        return 2;
    }
    struct sigaction action {};
    action.sa_handler = [](int) { g_stop = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    return run(ports, mode == "busy" ? IdleMode::busy : IdleMode::adaptive);
}
