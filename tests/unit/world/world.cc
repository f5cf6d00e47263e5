// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/world/world.h"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/assert.h"
#include "control/daemon/dataplane_options.h"

namespace meshgate::control::world {

namespace {

constexpr uint64_t kSampleNs = 50'000'000;
constexpr uint64_t kWatchNs = 200'000'000;
// Who is no relay any more still forwards until its owners have found another.
constexpr uint64_t kMovedAwayNs = 10'000'000'000;
constexpr uint16_t kListenPort = 51820;

// libsodium's random numbers come from the seed of the world that runs.
std::mt19937_64& numbers() {
    static std::mt19937_64 generator;
    return generator;
}

void seed_random_numbers(uint64_t seed) {
    static randombytes_implementation implementation{
        .implementation_name = [] { return "seeded"; },
        .random = [] { return static_cast<uint32_t>(numbers()()); },
        .stir = [] {},
        .uniform = nullptr,
        .buf =
            [](void* to, size_t len) {
                auto* bytes = static_cast<uint8_t*>(to);
                for (size_t i = 0; i < len; ++i)
                    bytes[i] = static_cast<uint8_t>(numbers()());
            },
        .close = [] { return 0; },
    };
    static const bool set = randombytes_set_implementation(&implementation) == 0;
    MG_ASSERT(set && sodium_init() >= 0);
    numbers().seed(seed);
}

std::string list(const std::vector<std::string>& items) {
    std::string result;
    for (const std::string& item : items)
        result += (result.empty() ? "\"" : ", \"") + item + "\"";
    return "[" + result + "]";
}

// The number of a user's packet stands behind its IPv4 header.
std::optional<uint32_t> probe_number(std::span<const uint8_t> ip) {
    if (ip.size() != 28 || ip[0] != 0x45)
        return std::nullopt;
    uint32_t number = 0;
    std::memcpy(&number, &ip[24], sizeof number);
    return number;
}

}  // namespace

World::World(uint64_t seed)
    : underlay{seed},
      seed_{seed},
      log_{std::make_unique<Log>(
          config::Log{.level = traces() ? config::LogLevel::debug : config::LogLevel::error,
                      .format = config::LogFormat::text})} {
    seed_random_numbers(seed);
    authority_secret_ = config::generate_authority_secret();
    authority_ = config::authority_key_of(authority_secret_);
    boxes_.reserve(64);  // boxes stay where they are
}

World::~World() {
    for (Box& box : boxes_) {
        box.gateway.reset();
        box.path.reset();
    }
}

// ---- who is there ----

BoxId World::add(const BoxOptions& options) {
    const BoxId id = nb_boxes();
    MG_ASSERT(id < boxes_.capacity());
    Box& box = boxes_.emplace_back();
    box.name = id < 26 ? std::string(1, static_cast<char>('a' + id)) : "box" + std::to_string(id);
    box.key = generate_private_key();
    box.entry.member = options.in_file;
    box.entry.relay = options.relay;
    box.entry.prefixes = {text("10.%u.0.0/16", id + 1)};
    config::Model& model = box.model;
    model.node.name = box.name;
    model.node.public_key = public_key_of(box.key);
    model.wireguard.listen_port = kListenPort;
    model.network = config::NetworkOptions{.file = "", .authority = authority_};
    for (unsigned i = 0; i < options.uplinks.size(); ++i) {
        const UplinkOptions& uplink = options.uplinks[i];
        const bool is_private = uplink.nat != NatKind::none && uplink.nat != NatKind::firewall;
        // Those behind one NAT are on one network.
        const std::string outside = text("100.%u.%u.2", 64 + i, id);
        std::string net =
            is_private ? text("192.168.%u", 10 * i + id) : text("100.%u.%u", 64 + i, id);
        unsigned host = 2;
        Nat* nat = nullptr;
        if (uplink.shares_nat_of) {
            const Uplink& shared = underlay.uplinks[*uplink.shares_nat_of];
            nat = shared.nat;
            net = text("192.168.%u", shared.v4.bytes[2]);
            host = 2 + id;
        } else if (uplink.nat != NatKind::none) {
            nat = underlay.add_nat(uplink.nat, *parse_address(outside));
        }
        const std::string address = net + "." + std::to_string(host);
        const std::string address6 = text("2001:db8:%x:%x::2", i + 1, id + 1);
        config::Port& port = model.ports.emplace_back();
        port.name = "wan" + std::to_string(i);
        port.role = config::Role::wan;
        port.device.argument = port.name;
        port.addresses = {*parse_prefix(address + "/24")};
        port.gateway_v4 = parse_address(net + ".1");
        port.metered = uplink.metered;
        if (uplink.ipv6) {
            port.addresses.push_back(*parse_prefix(address6 + "/64"));
            port.gateway_v6 = parse_address(text("2001:db8:%x:%x::1", i + 1, id + 1));
        }
        box.uplinks.push_back(
            underlay.add({.box = id,
                          .port = static_cast<PortId>(i),
                          .v4 = *parse_address(address),
                          .v6 = uplink.ipv6 ? *parse_address(address6) : IpAddress{},
                          .nat = nat}));
        if (uplink.nat == NatKind::none && !uplink.shares_nat_of) {
            box.entry.endpoints.push_back(address + ":51820");
            if (uplink.ipv6)
                box.entry.endpoints.push_back("[" + address6 + "]:51820");
        }
    }
    config::Port& lan = model.ports.emplace_back();
    lan.name = "lan0";
    lan.role = config::Role::lan;
    lan.device.argument = "lan0";
    lan.addresses = {*parse_prefix(text("10.%u.0.1/16", id + 1))};
    return id;
}

void World::start() {
    load_first_network();
    for (BoxId id = 0; id < nb_boxes(); ++id) {
        describe(boxes_[id]);
        start(id);
    }
    trace_paths();
}

void World::describe(const Box& box) {
    std::string line = box.name + (box.entry.relay ? ", relay" : "");
    for (const UplinkId id : box.uplinks) {
        const Uplink& uplink = underlay.uplinks[id];
        line += ", " + to_string(uplink.v4);
        if (uplink.nat != nullptr)
            line += std::string{" behind "} + to_string(uplink.nat->kind()) + " " +
                    to_string(uplink.nat->outside());
        if (uplink.v6.is_v6())
            line += " and " + to_string(uplink.v6);
    }
    note(line);
}

void World::start(BoxId id) {
    Box& box = boxes_[id];
    note("start " + box.name);
    DataplaneOptions options = dataplane_options(box.model);
    options.nb_mbufs = 4096;
    options.max_peers = 256;
    box.path = std::make_unique<PacketPath>(options, id, static_cast<PacketPath::Outside&>(*this));
    box.path->now_ns = now_ns_;
    Secrets secrets;
    secrets.private_key = box.key.clone();
    auto made = Gateway::create({.dataplane = *box.path,
                                 .log = *log_,
                                 .clock = [this] { return now(); },
                                 .timings = {},
                                 .network = &*box.store},
                                box.model, std::move(secrets));
    MG_ASSERT(made);
    box.gateway = std::move(*made);
    box.gateway->up();
    box.next_sample_ns = now_ns_ + kSampleNs;
    box.next_watch_ns = now_ns_ + kWatchNs;
    settle(box);
}

void World::kill(BoxId id) {
    Box& box = boxes_[id];
    if (!box.path)
        return;
    note("kill " + box.name);
    box.nb_control_bytes += box.path->statistics.control_bytes;
    box.gateway.reset();
    box.path.reset();
}

void World::drain(BoxId id) {
    note("drain " + box(id).name);
    box(id).gateway->leave();
    settle(box(id));
    after(1500ms, [this, id] { kill(id); });
}

// ---- the network file ----

std::string World::network_text() {
    std::string result = "version: " + std::to_string(++version_) + "\nname: world\nmembers:\n";
    for (const Box& box : boxes_) {
        if (!box.entry.member)
            continue;
        result += "  - name: " + box.name +
                  "\n    public_key: " + to_string(box.model.node.public_key) + "\n";
        if (!box.entry.prefixes.empty())
            result += "    prefixes: " + list(box.entry.prefixes) + "\n";
        if (!box.entry.endpoints.empty())
            result += "    endpoints: " + list(box.entry.endpoints) + "\n";
        if (box.entry.relay)
            result += "    relay: true\n";
    }
    return result + clients_yaml;
}

config::SignedNetwork World::sign() {
    config::SignedNetwork network;
    network.text = network_text();
    network.signature = config::sign(network.text, authority_secret_);
    note("version " + std::to_string(version_) + " of the network file");
    return network;
}

void World::give(BoxId id, const config::SignedNetwork& network) {
    const auto offer = boxes_[id].gateway->offer_network(network, "the test");
    if (!offer) {
        for (const std::string& error : offer.error())
            std::fprintf(stderr, "%s\n", error.c_str());
    }
    MG_ASSERT(offer);
    settle(boxes_[id]);
}

// A store begins with a file; each box has its own afterwards, which outlives its restarts.
void World::load_first_network() {
    const auto network = sign();
    std::string folder =
        (std::filesystem::temp_directory_path() / "meshgate-world-XXXXXX").string();
    MG_ASSERT(mkdtemp(folder.data()) != nullptr);
    const std::string file = folder + "/network.yaml";
    std::ofstream{file} << network.text;
    std::ofstream{file + ".sig"} << config::to_string(
        config::SignatureFile{.signature = network.signature, .version = {}, .authority = {}});
    for (Box& box : boxes_) {
        config::Model model = box.model;
        model.network->file = file;
        box.store.emplace(authority_, "");
        std::vector<config::Diagnostic> diagnostics;
        const bool loaded = box.store->load(model, diagnostics);
        for (const config::Diagnostic& diagnostic : diagnostics)
            std::fprintf(stderr, "%s\n", config::format_text(diagnostic).c_str());
        MG_ASSERT(loaded);
    }
    std::filesystem::remove_all(folder);
}

// ---- the underlay ----

void World::shape(BoxId one, BoxId other, const std::function<void(Wire&)>& change) {
    for (const UplinkId a : box(one).uplinks) {
        for (const UplinkId b : box(other).uplinks) {
            change(underlay.wire(a, b));
            change(underlay.wire(b, a));
        }
    }
}

void World::cut(BoxId one, BoxId other, bool cut) {
    cut_one_way(one, other, cut);
    cut_one_way(other, one, cut);
}

void World::cut_one_way(BoxId from, BoxId to, bool cut) {
    note((cut ? "cut " : "heal ") + box(from).name + " > " + box(to).name);
    for (const UplinkId a : box(from).uplinks) {
        for (const UplinkId b : box(to).uplinks)
            underlay.wire(a, b).cut = cut;
    }
}

void World::transmit(unsigned id, PortId port, Datagram datagram) {
    auto arrival = underlay.send(boxes_[id].uplinks.at(port), std::move(datagram), now_ns_);
    if (!arrival)
        return;
    const uint64_t at_ns = arrival->at_ns;
    events_.push({at_ns, ++order_, [this, arrival = std::move(*arrival)]() mutable {
                      const auto to = underlay.arrive(arrival, arrival.datagram, now_ns_);
                      if (!to)
                          return;
                      const Uplink& uplink = underlay.uplinks[*to];
                      Box& box = boxes_[uplink.box];
                      if (!box.path)
                          return;
                      box.path->from_wan(uplink.port, std::move(arrival.datagram));
                      settle(box);
                  }});
}

// ---- time ----

void World::set_clocks() {
    for (Box& box : boxes_) {
        if (box.path)
            box.path->now_ns = now_ns_;
    }
}

// What its packet path handed up, and when it wants to be called again.
void World::settle(Box& box) {
    if (!box.gateway)
        return;
    while (!box.path->arm_wakeup())
        box.gateway->poll();
    const auto due = box.gateway->next_deadline().time_since_epoch();
    box.deadline_ns = static_cast<uint64_t>(std::max<int64_t>(0, due.count()));
}

void World::run_box(Box& box) {
    if (box.deadline_ns <= now_ns_)
        box.gateway->tick();
    if (box.next_sample_ns <= now_ns_) {
        box.next_sample_ns = now_ns_ + kSampleNs;
        if (box.gateway->wants_sampling())
            box.gateway->sample();
    }
    if (box.next_watch_ns <= now_ns_) {
        box.next_watch_ns = now_ns_ + kWatchNs;
        box.gateway->watch_links();
    }
    settle(box);
}

uint64_t World::next_ns() const {
    uint64_t next = events_.empty() ? UINT64_MAX : events_.top().at_ns;
    for (const Box& box : boxes_) {
        if (box.path)
            next = std::min({next, box.deadline_ns, box.next_sample_ns, box.next_watch_ns});
    }
    return next;
}

void World::step(uint64_t at_ns) {
    now_ns_ = std::max(now_ns_, at_ns);
    set_clocks();
    while (!events_.empty() && events_.top().at_ns <= now_ns_) {
        const auto action = std::move(const_cast<Event&>(events_.top()).action);
        events_.pop();
        action();
    }
    for (Box& box : boxes_) {
        if (box.path &&
            std::min({box.deadline_ns, box.next_sample_ns, box.next_watch_ns}) <= now_ns_)
            run_box(box);
    }
}

void World::run_for(nanoseconds duration) {
    const uint64_t end_ns = now_ns_ + static_cast<uint64_t>(duration.count());
    for (uint64_t next = next_ns(); next <= end_ns; next = next_ns())
        step(next);
    now_ns_ = end_ns;
    set_clocks();
}

bool World::run_until(const std::function<bool()>& holds, nanoseconds most) {
    for (nanoseconds passed{}; passed < most; passed += 10ms) {
        if (holds())
            return true;
        run_for(10ms);
    }
    return holds();
}

void World::after(nanoseconds delay, std::function<void()> action) {
    events_.push({now_ns_ + static_cast<uint64_t>(delay.count()), ++order_, std::move(action)});
}

// ---- users ----

Bytes World::probe_packet(BoxId from, BoxId to, uint32_t number) const {
    const auto host = [&](BoxId id) {
        const Prefix prefix = *parse_prefix(boxes_[id].entry.prefixes.front());
        IpAddress address = prefix.address;
        address.bytes[3] = 9;
        return address;
    };
    Bytes ip(28, 0);
    ip[0] = 0x45;
    ip[3] = 28;
    ip[8] = 64;
    ip[9] = 253;
    std::copy_n(host(from).bytes.begin(), 4, ip.begin() + 12);
    std::copy_n(host(to).bytes.begin(), 4, ip.begin() + 16);
    std::memcpy(&ip[24], &number, sizeof number);
    return ip;
}

void World::send_probe(BoxId from, BoxId to) {
    if (!boxes_[from].path || boxes_[from].entry.prefixes.empty() ||
        boxes_[to].entry.prefixes.empty())
        return;
    const auto number = static_cast<uint32_t>(probes_.size());
    probes_.push_back({from, to, now_ns_, 0});
    boxes_[from].path->from_lan(probe_packet(from, to, number));
    settle(boxes_[from]);
}

void World::on_lan(unsigned box, std::span<const uint8_t> ip) {
    const auto number = probe_number(ip);
    if (!number || *number >= probes_.size())
        return;
    Probe& probe = probes_[*number];
    if (probe.to != box)
        ++nb_delivered_wrongly;
    else
        probe.delivered_ns = now_ns_;
}

void World::stream(nanoseconds interval, std::vector<BoxId> among) {
    if (among.empty()) {
        for (BoxId id = 0; id < nb_boxes(); ++id)
            among.push_back(id);
    }
    stream_once(++stream_generation_, interval, among);
}

void World::stream_once(unsigned generation, nanoseconds interval,
                        const std::vector<BoxId>& among) {
    if (generation != stream_generation_)
        return;
    for (const BoxId from : among) {
        for (const BoxId to : among) {
            if (from != to)
                send_probe(from, to);
        }
    }
    after(interval, [=, this] { stream_once(generation, interval, among); });
}

uint64_t World::lost(uint64_t from_ns, uint64_t to_ns,
                     const std::function<bool(const Probe&)>& counts) const {
    return static_cast<uint64_t>(std::ranges::count_if(probes_, [&](const Probe& probe) {
        return probe.sent_ns >= from_ns && probe.sent_ns < to_ns && probe.delivered_ns == 0 &&
               (!counts || counts(probe));
    }));
}

nanoseconds World::outage(BoxId from, BoxId to, uint64_t since_ns) const {
    uint64_t longest = 0, begin = 0;
    for (const Probe& probe : probes_) {
        if (probe.from != from || probe.to != to || probe.sent_ns < since_ns)
            continue;
        if (probe.delivered_ns != 0) {
            begin = 0;
            continue;
        }
        if (begin == 0)
            begin = probe.sent_ns;
        longest = std::max(longest, probe.sent_ns - begin + 1);
    }
    return nanoseconds{longest};
}

std::vector<std::string> World::silent_pairs(nanoseconds span) const {
    std::map<std::pair<BoxId, BoxId>, bool> heard;
    const uint64_t since_ns = now_ns_ - static_cast<uint64_t>(span.count());
    for (const Probe& probe : probes_) {
        if (probe.sent_ns >= since_ns)
            heard[{probe.from, probe.to}] |= probe.delivered_ns != 0;
    }
    std::vector<std::string> result;
    for (const auto& [pair, delivered] : heard) {
        if (!delivered)
            result.push_back(boxes_[pair.first].name + " > " + boxes_[pair.second].name);
    }
    return result;
}

// ---- what can be seen ----

void World::on_forwarded(unsigned id, const Datagram& datagram) {
    const mesh::Mesh* mesh = boxes_[id].gateway == nullptr ? nullptr : boxes_[id].gateway->mesh();
    const bool relay =
        mesh != nullptr &&
        std::ranges::any_of(mesh->members().network().members, [&](const auto& member) {
            return member.relay && member.public_key == boxes_[id].model.node.public_key;
        });
    Box& box = boxes_[id];
    if (relay)
        box.relay_until_ns = now_ns_;
    else if (now_ns_ > box.relay_until_ns + kMovedAwayNs)
        forwarded_wrongly.insert(id);
    if (std::ranges::count(datagram.relayed_by, id) == 0)
        return;
    ++nb_circles;
    last_circle_ns = now_ns_;
}

}  // namespace meshgate::control::world
