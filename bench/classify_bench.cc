// SPDX-License-Identifier: Apache-2.0
// The first stage over bursts of 64 frames that all pass, beside DPDK's parser of the same headers,
// which says what a frame is and checks nothing.
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_udp.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "bench/eal.h"
#include "bench/figures.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/wire.h"
#include "dataplane/worker/idle_ladder.h"

namespace meshgate::bench {
namespace {

constexpr size_t kNbFrames = 1024;  // of one iteration: as many as a receive ring holds
constexpr uint16_t kPayloadLen = 32;
constexpr uint16_t kListenPort = 51820;
constexpr PortId kWan = 0;
constexpr PortId kLan = 1;

enum class Side : uint8_t { overlay, underlay };

PortId port_of(Side side) {
    return side == Side::underlay ? kWan : kLan;
}

// Two ports and a worker; one in a process.
class Bed {
public:
    Bed() : pool_{Mempool::create({.name = "classify", .nb_mbufs = 4 * kNbFrames}).value()} {
        for (const PortRole role : {PortRole::wan, PortRole::lan}) {
            const auto id = static_cast<PortId>(ports_.size());
            const std::string number = std::to_string(id);
            ports_.push_back(Port::open({.name = "port" + number,
                                         .device = DeviceKind::vdev,
                                         .device_argument = "net_null" + number,
                                         .role = role},
                                        id, 1, pool_)
                                 .value());
            shared_.ports.push_back(ports_.back().get());
        }
        snapshot_.ports = {
            {.role = PortRole::wan,
             .mac = ports_[kWan]->mac(),
             .addresses = {*parse_address("198.51.100.2"), *parse_address("2001:db8:1::2")}},
            {.role = PortRole::lan,
             .mac = ports_[kLan]->mac(),
             .addresses = {*parse_address("10.1.0.1"), *parse_address("fd10:1::1")}}};
        snapshot_.listen_ports = {kListenPort};
        worker_.emplace(shared_, WorkerParts{.doorbell = Doorbell::create().value()});
    }

    Worker& worker() { return *worker_; }
    const Snapshot& snapshot() const { return snapshot_; }
    rte_mbuf* allocate() const { return rte_pktmbuf_alloc(pool_.get()); }

private:
    Mempool pool_;
    std::vector<std::unique_ptr<Port>> ports_;
    WorkerShared shared_;
    Snapshot snapshot_;
    std::optional<Worker> worker_;
};

// Never destroyed: the EAL ends first.
Bed* bed() {
    static Bed* const made = eal() ? new Bed : nullptr;
    return made;
}

template <typename T>
T* append(rte_mbuf* mbuf) {
    auto* header = reinterpret_cast<T*>(rte_pktmbuf_append(mbuf, sizeof(T)));
    MG_ASSERT(header != nullptr);
    std::memset(header, 0, sizeof(T));
    return header;
}

void append_ipv4(rte_mbuf* mbuf, Side side, uint16_t l4_len) {
    auto* ip = append<rte_ipv4_hdr>(mbuf);
    ip->version_ihl = 0x45;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(sizeof(*ip) + l4_len));
    ip->time_to_live = 64;
    ip->next_proto_id = IPPROTO_UDP;
    ip->src_addr = parse_address(side == Side::underlay ? "192.0.2.7" : "10.1.0.9")->v4_be();
    ip->dst_addr = parse_address(side == Side::underlay ? "198.51.100.2" : "10.9.0.2")->v4_be();
    ip->hdr_checksum = rte_ipv4_cksum(ip);
}

void append_ipv6(rte_mbuf* mbuf, Side side, uint16_t l4_len) {
    auto* ip = append<rte_ipv6_hdr>(mbuf);
    ip->vtc_flow = rte_cpu_to_be_32(6U << 28);
    ip->payload_len = rte_cpu_to_be_16(l4_len);
    ip->proto = IPPROTO_UDP;
    ip->hop_limits = 64;
    const auto source = parse_address(side == Side::underlay ? "2001:db8:2::7" : "fd10:1::9");
    const auto destination = parse_address(side == Side::underlay ? "2001:db8:1::2" : "fd09::2");
    std::memcpy(ip->src_addr, source->bytes.data(), sizeof(ip->src_addr));
    std::memcpy(ip->dst_addr, destination->bytes.data(), sizeof(ip->dst_addr));
}

// A UDP packet of the LAN, or a datagram with transport data.
void make_frame(rte_mbuf* mbuf, Side side, Family family, const MacAddress& mac) {
    auto* ethernet = append<rte_ether_hdr>(mbuf);
    std::memcpy(&ethernet->dst_addr, mac.bytes.data(), mac.bytes.size());
    ethernet->src_addr.addr_bytes[0] = 2;
    const bool v4 = family == Family::ipv4;
    ethernet->ether_type = rte_cpu_to_be_16(v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
    const auto l4_len = static_cast<uint16_t>(sizeof(rte_udp_hdr) + kPayloadLen);
    (v4 ? append_ipv4 : append_ipv6)(mbuf, side, l4_len);
    auto* udp = append<rte_udp_hdr>(mbuf);
    udp->src_port = rte_cpu_to_be_16(kListenPort);
    udp->dst_port = rte_cpu_to_be_16(kListenPort);
    udp->dgram_len = rte_cpu_to_be_16(l4_len);
    udp->dgram_cksum = 1;
    auto* payload = append<std::array<uint8_t, kPayloadLen>>(mbuf);
    (*payload)[0] = static_cast<uint8_t>(kMessageTransport);
}

// Frames that can be had again after the stage has moved their beginning.
class Frames {
public:
    Frames(Bed& bed, Side side, Family family) {
        const MacAddress mac = bed.snapshot().ports[port_of(side)].mac;
        for (size_t i = 0; i < kNbFrames; ++i) {
            rte_mbuf* mbuf = bed.allocate();
            make_frame(mbuf, side, family, mac);
            len_ = mbuf->data_len;
            mbufs_.push_back(mbuf);
        }
    }
    ~Frames() { rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(mbufs_.size())); }
    Frames(const Frames&) = delete;
    Frames& operator=(const Frames&) = delete;

    void restore() {
        for (rte_mbuf* mbuf : mbufs_) {
            mbuf->data_off = RTE_PKTMBUF_HEADROOM;
            mbuf->data_len = len_;
            mbuf->pkt_len = len_;
        }
    }
    const std::vector<rte_mbuf*>& all() const { return mbufs_; }

private:
    std::vector<rte_mbuf*> mbufs_;
    uint16_t len_ = 0;
};

void classify(benchmark::State& state, Side side, Family family) {
    if (bed() == nullptr)
        return state.SkipWithError("no EAL");
    Worker& worker = bed()->worker();
    const Snapshot& snapshot = bed()->snapshot();
    Frames frames{*bed(), side, family};
    Batch batch, fragments;  // of these there are none
    size_t nb_passed = 0;
    for (auto _ : state) {
        frames.restore();
        timed(state, [&] {
            for (size_t i = 0; i < kNbFrames; i += kBurst) {
                for (size_t n = i; n < i + kBurst; ++n)
                    batch.push(frames.all()[n]);
                if (side == Side::underlay)
                    classify_underlay_stage(worker, snapshot, port_of(side), batch, fragments);
                else
                    classify_overlay_stage(worker, snapshot, port_of(side), batch);
                nb_passed += batch.size();
                batch.clear();
            }
        });
    }
    const auto nb_frames = state.iterations() * static_cast<int64_t>(kNbFrames);
    if (nb_passed != static_cast<size_t>(nb_frames))
        return state.SkipWithError("a good frame was refused");
    state.SetItemsProcessed(nb_frames);
}

void parse_by_dpdk(benchmark::State& state, Side side, Family family) {
    if (bed() == nullptr)
        return state.SkipWithError("no EAL");
    Frames frames{*bed(), side, family};
    size_t nb_udp = 0;
    for (auto _ : state) {
        frames.restore();
        timed(state, [&] {
            for (const rte_mbuf* mbuf : frames.all()) {
                rte_net_hdr_lens lens;
                const uint32_t type = rte_net_get_ptype(
                    mbuf, &lens, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
                nb_udp += (type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP ? 1 : 0;
            }
        });
    }
    const auto nb_frames = state.iterations() * static_cast<int64_t>(kNbFrames);
    if (nb_udp != static_cast<size_t>(nb_frames))
        return state.SkipWithError("a frame was not recognised");
    state.SetItemsProcessed(nb_frames);
}

Group group() {
    Group group;
    for (const Side side : {Side::overlay, Side::underlay}) {
        for (const Family family : {Family::ipv4, Family::ipv6}) {
            const std::string name = std::string{"classify/"} +
                                     (side == Side::underlay ? "underlay" : "overlay") +
                                     (family == Family::ipv4 ? "/ipv4" : "/ipv6");
            group.push_back(
                {.figures = {{name, clocks_per("packet"), name + "/rte_net_get_ptype"}},
                 .body = [=](benchmark::State& state) { classify(state, side, family); },
                 .clock = Clock::manual});
            group.push_back(
                {.figures = {{name + "/rte_net_get_ptype", clocks_per("packet"), ""}},
                 .body = [=](benchmark::State& state) { parse_by_dpdk(state, side, family); },
                 .clock = Clock::manual});
        }
    }
    return group;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
