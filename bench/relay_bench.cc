// SPDX-License-Identifier: Apache-2.0
// Datagrams of others, led on by their receiver index: Worker::turn() from receive burst to
// transmit burst on ports in memory. Beside it, over the same packets: the ports with a loop
// between them that looks at nothing and writes the Ethernet addresses anew, as testpmd does in mac
// mode.
#include <rte_cycles.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/assert.h"
#include "bench/box.h"
#include "bench/eal.h"
#include "bench/figures.h"
#include "dataplane/wire/wire.h"

namespace meshgate::bench {
namespace {

// Rounds of one repetition: some milliseconds.
constexpr int kNbRounds = 200;
constexpr size_t kNbPackets = Packets::kNbPackets;
// More sessions share so many links: a thousand members.
constexpr uint32_t kMostLinks = 1000;
constexpr PortId kWan = Box::kWan;

struct Case {
    uint32_t nb_sessions = 1;
    Family from = Family::ipv4;
    Family to = Family::ipv4;
    uint16_t inner_len = 64;

    std::string name() const {
        std::string text = "relay/" + std::to_string(nb_sessions);
        if (from != Family::ipv4 || to != Family::ipv4) {
            text += from == Family::ipv4 ? "/ipv4" : "/ipv6";
            text += to == Family::ipv4 ? "-ipv4" : "-ipv6";
        }
        return inner_len == 64 ? text : text + "/" + std::to_string(inner_len) + "B";
    }
};

// The packets of a case, made afresh for every round; sessions are random and others in each, so
// that tables are as cold as their size makes them.
class Relayed {
public:
    explicit Relayed(const Case& of)
        : case_{of},
          box_{{.nb_peers = std::min(of.nb_sessions, kMostLinks),
                .nb_prefixes = std::min(of.nb_sessions, kMostLinks),
                .nb_relays = of.nb_sessions,
                .outer = of.to}},
          mbufs_(kNbPackets) {
        MG_ASSERT(rte_pktmbuf_alloc_bulk(Box::pool(), mbufs_.data(), kNbPackets) == 0);
    }
    ~Relayed() {
        rte_pktmbuf_free_bulk(mbufs_.data(), kNbPackets);
        queue() = MemoryQueue{};
    }

    void prepare() {
        for (rte_mbuf* mbuf : mbufs_)
            make(mbuf);
        MemoryQueue& memory = queue();
        memory.arriving = mbufs_;
        memory.nb_arrived = 0;
        memory.departed.resize(kNbPackets);
        memory.nb_departed = 0;
    }

    uint64_t run() {
        Worker& worker = box_.worker(0);
        const uint64_t start_tsc = rte_rdtsc();
        while (queue().nb_arrived < kNbPackets)
            worker.turn();
        const uint64_t cycles = rte_rdtsc() - start_tsc;
        check_departed();
        return cycles;
    }

    uint64_t run_mac_loop() {
        const Port& port = *box_.worker(0).shared.ports[kWan];
        const MacAddress& mac = box_.view(kWan).mac;
        std::array<rte_mbuf*, kBurst> mbufs;
        const uint64_t start_tsc = rte_rdtsc();
        while (const uint16_t n = port.rx_burst(0, mbufs.data(), kBurst)) {
            for (uint16_t i = 0; i < n; ++i)
                rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
            for (uint16_t i = 0; i < n; ++i) {
                auto* ether = header_at<rte_ether_hdr>(mbufs[i]);
                ether->dst_addr = ether->src_addr;
                std::memcpy(&ether->src_addr, mac.bytes.data(), mac.bytes.size());
            }
            port.tx_burst(0, mbufs.data(), n);
        }
        const uint64_t cycles = rte_rdtsc() - start_tsc;
        MG_ASSERT(queue().nb_departed == kNbPackets);
        return cycles;
    }

private:
    MemoryQueue& queue() { return box_.queue(Direction::wan_to_lan, 0); }

    // Nothing of the message is read behind its index.
    void make(rte_mbuf* mbuf) {
        const bool v6 = case_.from == Family::ipv6;
        const uint16_t l4_offset = kEtherLen + (v6 ? kIpv6Len : kIpv4Len);
        const uint16_t udp_len =
            static_cast<uint16_t>(kUdpLen + kMinTransportLen + case_.inner_len);
        rte_pktmbuf_reset(mbuf);
        mbuf->data_len = static_cast<uint16_t>(l4_offset + udp_len);
        mbuf->pkt_len = mbuf->data_len;
        auto* ether = header_at<rte_ether_hdr>(mbuf);
        const MacAddress& mac = box_.view(kWan).mac;
        std::memcpy(&ether->dst_addr, mac.bytes.data(), mac.bytes.size());
        ether->ether_type = rte_cpu_to_be_16(v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
        const IpAddress& local = box_.view(kWan).addresses[v6 ? 1 : 0];
        if (v6)
            make_ipv6(header_at<rte_ipv6_hdr>(mbuf, kEtherLen), local, udp_len);
        else
            make_ipv4(header_at<rte_ipv4_hdr>(mbuf, kEtherLen), local, udp_len);
        *header_at<rte_udp_hdr>(mbuf, l4_offset) = {
            .src_port = rte_cpu_to_be_16(51820),
            .dst_port = rte_cpu_to_be_16(51820),
            .dgram_len = rte_cpu_to_be_16(udp_len),
            .dgram_cksum = v6 ? uint16_t{0x1234} : uint16_t{0}};
        const auto session = static_cast<uint32_t>(random_() % case_.nb_sessions);
        *header_at<TransportHeader>(mbuf, l4_offset + kUdpLen) = {
            .type_le = rte_cpu_to_le_32(kMessageTransport),
            .receiver_index_le = rte_cpu_to_le_32(box_.relay_index(session)),
            .counter_le = 0};
    }

    void make_ipv4(rte_ipv4_hdr* ip, const IpAddress& local, uint16_t udp_len) {
        *ip = rte_ipv4_hdr{};
        ip->version_ihl = RTE_IPV4_VHL_DEF;
        ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + udp_len));
        ip->time_to_live = 64;
        ip->next_proto_id = kProtoUdp;
        ip->src_addr = rte_cpu_to_be_32(0xc6130000U + static_cast<uint32_t>(random_() & 0xffff));
        ip->dst_addr = local.v4_be();
        ip->hdr_checksum = rte_ipv4_cksum(ip);
    }

    void make_ipv6(rte_ipv6_hdr* ip, const IpAddress& local, uint16_t udp_len) {
        *ip = rte_ipv6_hdr{};
        ip->vtc_flow = rte_cpu_to_be_32(6U << 28);
        ip->payload_len = rte_cpu_to_be_16(udp_len);
        ip->proto = kProtoUdp;
        ip->hop_limits = 64;
        const IpAddress remote = *parse_address("2001:db8:d::1");
        std::memcpy(ip->src_addr, remote.bytes.data(), sizeof ip->src_addr);
        const uint64_t part = random_();
        std::memcpy(&ip->src_addr[8], &part, sizeof part);
        std::memcpy(ip->dst_addr, local.bytes.data(), sizeof ip->dst_addr);
    }

    // A packet that dies is cheaper than one that travels.
    void check_departed() {
        const WorkerCounters& counters = box_.worker(0).counters;
        for (size_t i = 0; i < kNbDrops; ++i) {
            if (const uint64_t n = counters.drops.get(static_cast<Drop>(i)); n != 0)
                std::fprintf(stderr, "dropped %s: %lu\n", meshgate::to_string(static_cast<Drop>(i)),
                             n);
        }
        MG_ASSERT(queue().nb_departed == kNbPackets);
    }

    const Case case_;
    Box box_;
    std::vector<rte_mbuf*> mbufs_;
    std::mt19937_64 random_{1};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

using Way = uint64_t (Relayed::*)();

void measure(benchmark::State& state, const Lazy<Relayed>& shared, Way way) {
    Relayed* relayed = shared.get();
    if (relayed == nullptr)
        return state.SkipWithError("no EAL");
    std::vector<double> clocks;
    for (auto _ : state) {
        relayed->prepare();
        const uint64_t cycles = (relayed->*way)();
        clocks.push_back(static_cast<double>(cycles) / kNbPackets);
        state.SetIterationTime(static_cast<double>(cycles) / tsc_hz());
    }
    state.counters["clocks"] = median(clocks);
    state.counters["rate"] = tsc_hz() / median(clocks) / 1e6;
}

Run run_of(const std::string& name, const std::string& reference, const Lazy<Relayed>& shared,
           Way way) {
    const Quantity rate = counted("rate", "M packets/s", Better::more);
    const Quantity clocks = counted("clocks", "clocks/packet", Better::less);
    const std::string clocks_of_reference = reference.empty() ? "" : reference + "/clocks";
    return {.figures = {{name, rate, reference}, {name + "/clocks", clocks, clocks_of_reference}},
            .body = [=](benchmark::State& state) { measure(state, shared, way); },
            .clock = Clock::manual,
            .iterations = kNbRounds};
}

Lazy<Relayed> lazy(const Case& of) {
    return Lazy<Relayed>{[of] { return eal() ? std::make_unique<Relayed>(of) : nullptr; }};
}

std::vector<Group> groups() {
    const Case one;
    const std::string mac = "relay/mac-loop";
    Group group{run_of(mac, "", lazy(one), &Relayed::run_mac_loop),
                run_of(one.name(), mac, lazy(one), &Relayed::run)};
    constexpr Family v6 = Family::ipv6;
    for (const Case& of : {Case{.nb_sessions = 1000}, Case{.nb_sessions = 100'000},
                           Case{.inner_len = 1420}, Case{.from = v6}, Case{.from = v6, .to = v6},
                           Case{.to = v6}, Case{.to = v6, .inner_len = 1420}})
        group.push_back(run_of(of.name(), one.name(), lazy(of), &Relayed::run));
    return {group};
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, meshgate::bench::groups());
}
