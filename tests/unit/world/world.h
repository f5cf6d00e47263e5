// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "config/network_file.h"
#include "control/gateway/gateway.h"
#include "tests/unit/world/packet_path.h"
#include "tests/unit/world/underlay.h"

namespace meshgate::control::world {

// True when MESHGATE_WORLD_TRACE asks for the story while it happens.
bool traces();

std::string text(const char* format, auto... arguments) {
    std::array<char, 160> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, arguments...);
    return buffer.data();
}

using BoxId = unsigned;

struct UplinkOptions {
    NatKind nat = NatKind::none;
    std::optional<UplinkId> shares_nat_of;  // the same NAT as this one
    bool ipv6 = false;
    bool metered = false;
};

struct BoxOptions {
    bool relay = false;
    std::vector<UplinkOptions> uplinks{{}};
    bool in_file = true;  // is a member from the start
};

// As the network file has it; change and World::sign() it.
struct MemberEntry {
    bool member = true;
    bool relay = false;
    std::vector<std::string> prefixes;
    std::vector<std::string> endpoints;
};

// One box: the whole of its control on a simulated packet path.
struct Box {
    std::string name;
    config::Model model;
    SecretKey key;
    MemberEntry entry;
    std::vector<UplinkId> uplinks;
    std::optional<mesh::NetworkStore> store;  // its disk
    std::unique_ptr<PacketPath> path;         // null: it does not run
    std::unique_ptr<Gateway> gateway;
    uint64_t deadline_ns = 0;
    uint64_t next_sample_ns = 0;
    uint64_t next_watch_ns = 0;
    uint64_t relay_until_ns = 0;    // when it last forwarded as a relay
    uint64_t nb_control_bytes = 0;  // of earlier runs
};

// A packet of users from box to box.
struct Probe {
    BoxId from = 0, to = 0;
    uint64_t sent_ns = 0;
    uint64_t delivered_ns = 0;  // 0: not
};

// Whole boxes in virtual time: their control is the real one, with real handshakes, on packet paths
// and an underlay that are simulated. Everything random comes from the seed.
class World final : private PacketPath::Outside {
public:
    explicit World(uint64_t seed);
    ~World() override;
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // ---- who is there ----
    BoxId add(const BoxOptions& options);
    // Makes the first network file and starts all boxes.
    void start();
    Box& box(BoxId id) { return boxes_[id]; }
    BoxId nb_boxes() const { return static_cast<BoxId>(boxes_.size()); }
    void kill(BoxId id);
    void start(BoxId id);
    void restart(BoxId id) {
        kill(id);
        start(id);
    }
    // As SIGTERM: goodbye, 1.5 s of forwarding, the end.
    void drain(BoxId id);

    // ---- the network file ----
    config::SignedNetwork sign();
    void give(BoxId id, const config::SignedNetwork& network);
    uint64_t version() const { return version_; }
    uint64_t version_at(BoxId id) { return box(id).gateway->mesh()->members().network().version; }
    std::string clients_yaml;  // further lines of the file
    const SecretKey& authority_secret() const { return authority_secret_; }
    const config::AuthorityKey& authority() const { return authority_; }

    // ---- the underlay ----
    void cut(BoxId one, BoxId other, bool cut = true);
    void cut_one_way(BoxId from, BoxId to, bool cut = true);
    void shape(BoxId one, BoxId other, const std::function<void(Wire&)>& change);
    Underlay underlay;

    // ---- time ----
    void run_for(nanoseconds duration);
    // True as soon as it holds, looked at each 10 ms.
    bool run_until(const std::function<bool()>& holds, nanoseconds most);
    void after(nanoseconds delay, std::function<void()> action);
    uint64_t now_ns() const { return now_ns_; }
    Now now() const { return Now::at(now_ns_, 1'700'000'000'000'000'000 + now_ns_); }

    // ---- users ----
    // A packet each way between all boxes, or these, at this interval, from now on.
    void stream(nanoseconds interval = 20ms, std::vector<BoxId> among = {});
    void stop_streams() { ++stream_generation_; }
    void send_probe(BoxId from, BoxId to);
    Bytes probe_packet(BoxId from, BoxId to, uint32_t number) const;
    const std::vector<Probe>& probes() const { return probes_; }
    // Lost of those sent in [from, to), as far as `counts` says.
    uint64_t lost(uint64_t from_ns, uint64_t to_ns,
                  const std::function<bool(const Probe&)>& counts = {}) const;
    // Longest time without a delivered packet from one to the other among those sent since.
    nanoseconds outage(BoxId from, BoxId to, uint64_t since_ns) const;
    // Pairs without a delivery among what was sent in the last `span`.
    std::vector<std::string> silent_pairs(nanoseconds span) const;
    uint64_t nb_delivered_wrongly = 0;  // to another box than the packet was for

    // ---- what can be seen ----
    // "direct", "relay a", "none"
    std::string path(BoxId from, BoxId to);
    std::optional<MeshPathView> path_view(BoxId from, BoxId to);
    uint64_t nb_initiations(BoxId id) const;
    uint64_t control_bytes(BoxId id) const;
    size_t nb_path_changes() const { return nb_path_changes_; }
    uint64_t nb_circles = 0;  // datagrams that came to a relay a second time
    uint64_t last_circle_ns = 0;
    std::set<BoxId> forwarded_wrongly;  // forwarded others' datagrams without being a relay
    // What happened, and all paths, for a person to read.
    std::string story();
    void note(const std::string& text);

private:
    struct Event {
        uint64_t at_ns;
        uint64_t order;
        std::function<void()> action;
        bool operator>(const Event& other) const {
            return std::tie(at_ns, order) > std::tie(other.at_ns, other.order);
        }
    };

    // PacketPath::Outside
    void transmit(unsigned box, PortId port, Datagram datagram) override;
    void on_lan(unsigned box, std::span<const uint8_t> ip) override;
    void on_forwarded(unsigned box, const Datagram& datagram) override;

    void step(uint64_t at_ns);
    uint64_t next_ns() const;
    void run_box(Box& box);
    void settle(Box& box);
    void describe(const Box& box);
    void set_clocks();
    void stream_once(unsigned generation, nanoseconds interval, const std::vector<BoxId>& among);
    std::string network_text();
    void load_first_network();
    void trace_paths();
    std::string what_is(const Box& box);

    std::vector<Box> boxes_;
    uint64_t seed_;
    uint64_t now_ns_ = 3'600'000'000'000;
    uint64_t order_ = 0;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    SecretKey authority_secret_;
    config::AuthorityKey authority_;
    uint64_t version_ = 0;
    unsigned stream_generation_ = 0;
    std::vector<Probe> probes_;
    std::vector<std::string> story_;
    std::map<std::pair<BoxId, BoxId>, std::string> told_paths_;
    size_t nb_path_changes_ = 0;
    std::unique_ptr<Log> log_;
};

}  // namespace meshgate::control::world
