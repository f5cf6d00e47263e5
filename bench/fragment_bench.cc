// SPDX-License-Identifier: Apache-2.0
// A full forwarding load beside a flood of fragments that never become whole, as many a second as a
// worker takes (ReassembleState::kPerSecond); what exceeds that dies before it costs anything.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <numeric>
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

constexpr int kNbRounds = 20;
// So many that the last burst of a round, which is short, does not count.
constexpr size_t kNbPackets = 2048;
constexpr Direction kDirection = Direction::wan_to_lan;
constexpr uint32_t kNbSources = 1024;
constexpr uint16_t kFragmentLen = 1400;
constexpr PortId kWan = Box::kWan;

// One fragment that others would have to follow, of any of the sources.
void write_fragment(rte_mbuf* mbuf, const PortView& wan, uint32_t number) {
    rte_pktmbuf_reset(mbuf);
    auto* const frame = reinterpret_cast<uint8_t*>(
        rte_pktmbuf_append(mbuf, static_cast<uint16_t>(kEtherLen + kFragmentLen)));
    MG_ASSERT(frame != nullptr);
    std::memset(frame, 0, kEtherLen + kFragmentLen);
    auto* const ether = reinterpret_cast<rte_ether_hdr*>(frame);
    std::memcpy(&ether->dst_addr, wan.mac.bytes.data(), wan.mac.bytes.size());
    ether->src_addr.addr_bytes[0] = 2;
    ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    auto* const ip = reinterpret_cast<rte_ipv4_hdr*>(ether + 1);
    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->total_length = rte_cpu_to_be_16(kFragmentLen);
    ip->packet_id = static_cast<uint16_t>(number);
    ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG);
    ip->time_to_live = 64;
    ip->next_proto_id = kProtoUdp;
    ip->src_addr = rte_cpu_to_be_32(0x64400000 + number % kNbSources);
    ip->dst_addr = wan.addresses.front().v4_be();
    ip->hdr_checksum = rte_ipv4_cksum(ip);
}

// Of the half in the middle: a median would not see fragments that come in some rounds only, and
// rounds in which the kernel ran something else say nothing.
double middle_mean(std::vector<double> values) {
    std::ranges::sort(values);
    const auto quarter = static_cast<std::ptrdiff_t>(values.size() / 4);
    const double sum = std::accumulate(values.begin() + quarter, values.end() - quarter, 0.0);
    return sum / static_cast<double>(values.size() - 2 * static_cast<size_t>(quarter));
}

// What both figures share, so that they are of one box and the same kind of packets.
class Flood {
public:
    Flood() : packets_{box_, 0, kDirection, imix(), kNbPackets} {}

    void measure(benchmark::State& state, double per_second) {
        const uint64_t refused_before = drops(Drop::fragment_flood);
        std::vector<double> values;
        double due = 0;
        uint64_t nb_fragments = 0;
        for (auto _ : state) {
            packets_.prepare();
            const auto nb = static_cast<uint32_t>(due);
            due -= nb;
            if (!mix_in(nb))
                return state.SkipWithError("no mbufs");
            const uint64_t cycles = packets_.run();
            due += static_cast<double>(cycles) / tsc_hz() * per_second;
            nb_fragments += nb;
            values.push_back(static_cast<double>(cycles) / kNbPackets);
            state.SetIterationTime(static_cast<double>(cycles) / tsc_hz());
        }
        if (per_second > 0 && nb_fragments == 0)
            return state.SkipWithError("no fragment came");
        if (drops(Drop::fragment_flood) != refused_before)
            return state.SkipWithError("fragments were refused unseen");
        state.counters["whole"] = middle_mean(std::move(values));
    }

private:
    // Puts fragments among the packets that wait, at random places.
    bool mix_in(uint32_t nb) {
        auto& arriving = box_.queue(kDirection, 0).arriving;
        for (uint32_t i = 0; i < nb; ++i) {
            rte_mbuf* const mbuf = rte_pktmbuf_alloc(Box::pool());
            if (mbuf == nullptr)
                return false;
            write_fragment(mbuf, box_.view(kWan), next_++);
            const auto at = static_cast<std::ptrdiff_t>(random_() % (arriving.size() + 1));
            arriving.insert(arriving.begin() + at, mbuf);
        }
        return true;
    }

    uint64_t drops(Drop reason) { return box_.worker(0).counters.drops.get(reason); }

    Box box_{{.nb_peers = 10, .nb_prefixes = 10}};
    Packets packets_;
    std::mt19937 random_{1};
    uint32_t next_ = 0;
};

Group group() {
    const Lazy<Flood> flood{[] { return std::make_unique<Flood>(); }};
    const std::string name = std::string{"fragments/"} + to_string(kDirection) + "/IMIX";
    const auto run = [=](const std::string& figure, const std::string& reference,
                         double per_second) {
        return Run{
            .figures = {{figure, counted("whole", "clocks/packet", Better::less), reference}},
            .body =
                [=](benchmark::State& state) {
                    if (!eal())
                        return state.SkipWithError("no EAL");
                    flood.get()->measure(state, per_second);
                },
            .clock = Clock::manual,
            .iterations = kNbRounds};
    };
    constexpr auto kMost = static_cast<double>(ReassembleState::kPerSecond);
    return {run(name + "/beside-" + std::to_string(ReassembleState::kPerSecond) + "a-second",
                name + "/alone", kMost),
            run(name + "/alone", "", 0)};
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
