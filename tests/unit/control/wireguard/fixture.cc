// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/wireguard/fixture.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <queue>
#include <set>

namespace meshgate::wireguard {

std::vector<uint8_t> from_hex(std::string_view hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(
            static_cast<uint8_t>(std::stoi(std::string{hex.substr(i, 2)}, nullptr, 16)));
    return bytes;
}

std::string to_hex(std::span<const uint8_t> bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

SecretKey secret(uint64_t seed) {
    SecretKey key;
    seeded_random(seed ^ 0x5ec7e7)(key.mutable_bytes());
    return key;
}

FillRandom seeded_random(uint64_t seed) {
    return [generator = std::make_shared<std::mt19937_64>(seed)](std::span<uint8_t> bytes) {
        for (uint8_t& byte : bytes)
            byte = static_cast<uint8_t>((*generator)() >> 32);
    };
}

Endpoint endpoint_of(unsigned box) {
    const std::array<uint8_t, 4> bytes{10, static_cast<uint8_t>(box >> 8),
                                       static_cast<uint8_t>(box), 1};
    uint32_t address_be = 0;
    std::memcpy(&address_be, bytes.data(), sizeof(address_be));
    return {IpAddress::v4(address_be), 51820};
}

Now at(uint64_t mono_ns) {
    return Now::at(mono_ns, 1'700'000'000 * kNsPerSecond + mono_ns);
}

// ---- Bench ----

namespace {

DeviceOptions bench_options(const Timings& timings, uint64_t seed) {
    DeviceOptions options;
    options.timings = timings;
    options.fill_random = seeded_random(seed);
    return options;
}

}  // namespace

Bench::Side::Side(unsigned number, DeviceOptions options)
    : box{number}, private_key{secret(number)}, device{std::move(options)} {}

void Bench::Side::drain() {
    std::vector<Action> fresh;
    device.drain(fresh);
    for (Action& action : fresh) {
        if (auto* message = std::get_if<SendMessage>(&action))
            messages.push_back(std::move(*message));
        else
            actions.push_back(std::move(action));
    }
}

std::optional<SendMessage> Bench::Side::take_message() {
    drain();
    if (messages.empty())
        return std::nullopt;
    SendMessage message = std::move(messages.front());
    messages.erase(messages.begin());
    return message;
}

Bench::Bench(Timings timings, std::array<uint64_t, 2> seeds)
    : Bench{bench_options(timings, seeds[0]), bench_options(timings, seeds[1])} {}

Bench::Bench(DeviceOptions a_options, DeviceOptions b_options)
    : a{1, std::move(a_options)}, b{2, std::move(b_options)} {
    for (Side* side : {&a, &b}) {
        Side& other = side == &a ? b : a;
        side->device.set_private_key(side->private_key.clone(), at(0));
        side->device.add_peer(kPeer, options_for(other), at(0));
        side->device.up(at(0));
        side->drain();
        side->actions.clear();
    }
}

PeerOptions Bench::options_for(const Side& other) const {
    PeerOptions options;
    options.public_key = public_key_of(other.private_key);
    options.endpoint = endpoint_of(other.box);
    return options;
}

Addressing Bench::from_box(unsigned box) const {
    return {endpoint_of(box), endpoint_of(box == 1 ? 2 : 1), 0};
}

void Bench::give(Side& side, const SendMessage& message, const Addressing& from, Now now,
                 size_t nb_queued) {
    side.device.receive(message.message.view(), from, nb_queued, now);
    side.drain();
}

void Bench::give(Side& side, const SendMessage& message, Now now, size_t nb_queued) {
    give(side, message, from_box(side.box == 1 ? 2 : 1), now, nb_queued);
}

SendMessage initiation(Bench::Side& side, Now now) {
    side.device.on_no_session(Bench::kPeer, now);
    return *side.take_message();
}

void Bench::handshake(Side& from, Side& to, Now now) {
    give(to, initiation(from, now), now);
    give(from, *to.take_message(), now);
    to.device.on_confirmed(to.last<InstallKeypair>()->local_index, now);
    to.drain();
}

// ---- World ----

struct World::Datagram {
    unsigned from = 0;
    Message message;  // len 0: data
    uint32_t receiver_index = 0;
    uint64_t counter = 0;
    SecretKey key;  // stands for the tag
    uint64_t packet = 0;
    bool keepalive = false;
};

struct World::Box {
    struct Key {
        PeerId peer = kNoPeer;
        uint32_t remote_index = 0;
        SecretKey send_key, receive_key;
        uint64_t send_counter = 0, reject_after_ns = 0;
        bool confirmed = false;
        std::set<uint64_t> seen;
    };
    struct PeerState {
        std::optional<uint32_t> sending;
        Activity activity;
        std::deque<uint64_t> staged;
        bool dirty = false;
    };

    unsigned number = 0;
    std::unique_ptr<Device> device;
    std::map<uint32_t, Key> keys;
    std::map<PeerId, PeerState> peers;
    std::map<unsigned, uint16_t> joined;
    std::vector<unsigned> dirty;
    uint64_t tick_at_ns = kNeverNs;
    uint64_t reports_at_ns = kNeverNs;
    int64_t wall_shift_ns = 0;
    uint64_t handshake_cost_ns = 0;
    uint64_t busy_until_ns = 0;
    uint64_t nb_starts = 0;
    std::deque<std::shared_ptr<Datagram>> queued;
};

namespace {
enum Kind : int { kTick, kArrival, kReport, kWork, kSend };
}

struct World::Event {
    uint64_t at_ns, sequence;
    unsigned box;
    int kind;
    std::shared_ptr<Datagram> datagram;
    std::function<void()> call;

    bool operator>(const Event& other) const {
        return std::pair{at_ns, sequence} > std::pair{other.at_ns, other.sequence};
    }
};

struct World::Later {
    std::priority_queue<Event, std::vector<Event>, std::greater<>> queue;
};

World::World(uint64_t seed, Timings timings)
    : random{seed}, timings_{timings}, later_{std::make_unique<Later>()} {}
World::~World() = default;

void World::at_time(uint64_t at_ns, unsigned box, int kind, std::shared_ptr<Datagram> datagram) {
    later_->queue.push({at_ns, sequence_++, box, kind, std::move(datagram), {}});
}

bool World::lost(double probability) {
    return probability > 0 && std::uniform_real_distribution<>{}(random) < probability;
}

unsigned World::add_box() {
    auto box = std::make_unique<Box>();
    box->number = static_cast<unsigned>(boxes_.size());
    boxes_.push_back(std::move(box));
    start_device(*boxes_.back());
    return boxes_.back()->number;
}

void World::start_device(Box& box) {
    DeviceOptions options;
    options.timings = timings_;
    options.nb_workers = 2;
    options.fill_random = seeded_random(random() ^ box.nb_starts++);
    options.sample_activity = [&box](PeerId id) { return box.peers[id].activity; };
    box.device = std::make_unique<Device>(std::move(options));
    box.device->set_private_key(secret(box.number), now());
}

void World::join(unsigned a, unsigned b, uint16_t persistent_keepalive_s) {
    for (const auto& [one, other] : {std::pair{a, b}, std::pair{b, a}}) {
        PeerOptions options;
        options.public_key = public_key_of(secret(other));
        options.endpoint = endpoint_of(other);
        options.persistent_keepalive_s = persistent_keepalive_s;
        boxes_[one]->device->add_peer(peer_id(other), std::move(options), now());
        boxes_[one]->joined[other] = persistent_keepalive_s;
        act(*boxes_[one]);
    }
}

void World::restart(unsigned number) {
    Box& box = *boxes_[number];
    box.keys.clear();
    box.peers.clear();
    box.dirty.clear();
    start_device(box);
    for (const auto& [other, keepalive] : box.joined) {
        PeerOptions options;
        options.public_key = public_key_of(secret(other));
        options.endpoint = endpoint_of(other);
        options.persistent_keepalive_s = keepalive;
        box.device->add_peer(peer_id(other), std::move(options), now());
    }
    Now shifted = now();
    shifted.wall_ns += static_cast<uint64_t>(box.wall_shift_ns);
    box.device->up(shifted);
    act(box);
}

Wire& World::wire(unsigned from, unsigned to) {
    return wires_[{from, to}];
}

void World::cut(unsigned a, unsigned b, bool both_ways) {
    wire(a, b).cut = true;
    wire(b, a).cut = both_ways;
}

void World::heal(unsigned a, unsigned b) {
    wire(a, b).cut = false;
    wire(b, a).cut = false;
}

void World::up() {
    for (const auto& box : boxes_) {
        box->device->up(now());
        act(*box);
    }
}

Device& World::device(unsigned box) {
    return *boxes_[box]->device;
}

PeerView World::peer(unsigned box, unsigned other) {
    return *boxes_[box]->device->peer_view(peer_id(other));
}

void World::shift_wall_clock(unsigned box, int64_t ns) {
    boxes_[box]->wall_shift_ns = ns;
}

void World::set_handshake_cost(unsigned box, uint64_t ns) {
    boxes_[box]->handshake_cost_ns = ns;
}

World::Flow World::flow(unsigned from, unsigned to) const {
    const auto found = flows_.find({from, to});
    return found == flows_.end() ? Flow{} : found->second;
}

size_t World::nb_logged(unsigned from, MessageType type, size_t len) const {
    return static_cast<size_t>(std::count_if(log_.begin(), log_.end(), [&](const Sent& sent) {
        return sent.from == from && sent.type == type && (len == 0 || sent.len == len);
    }));
}

size_t World::nb_keypairs(unsigned box) const {
    return boxes_[box]->keys.size();
}

void World::schedule_tick(Box& box) {
    const uint64_t due_ns = std::max(box.device->next_deadline(), now_ns_);
    if (box.device->next_deadline() == kNeverNs || due_ns >= box.tick_at_ns)
        return;
    box.tick_at_ns = due_ns;
    at_time(due_ns, box.number, kTick);
}

// Carries out the actions, as the adapter to the packet path does.
void World::act(Box& box) {
    std::vector<Action> actions;
    box.device->drain(actions);
    for (Action& action : actions) {
        if (auto* message = std::get_if<SendMessage>(&action)) {
            auto datagram = std::make_shared<Datagram>();
            datagram->message = message->message;
            const auto address = message->to.remote.address.bytes;
            datagram->receiver_index = unsigned{address[1]} << 8 | address[2];  // the box it is for
            emit(box, std::move(datagram));
        } else if (auto* install = std::get_if<InstallKeypair>(&action)) {
            Box::Key& key = box.keys[install->local_index];
            key.peer = install->peer;
            key.remote_index = install->remote_index;
            key.send_key = std::move(install->send_key);
            key.receive_key = std::move(install->receive_key);
            key.reject_after_ns = install->reject_after_ns;
            key.confirmed = install->initiator == Initiator::us;
        } else if (auto* use = std::get_if<UseForSending>(&action)) {
            box.peers[use->peer].sending = use->local_index;
            box.peers[use->peer].activity.send_counter = box.keys.at(use->local_index).send_counter;
        } else if (auto* stop = std::get_if<StopSending>(&action)) {
            box.peers[stop->peer].sending.reset();
        } else if (auto* remove = std::get_if<RemoveKeypair>(&action)) {
            box.keys.erase(remove->local_index);
            if (box.peers[remove->peer].sending == remove->local_index)
                box.peers[remove->peer].sending.reset();
        } else if (auto* keepalive = std::get_if<SendKeepalive>(&action)) {
            transmit(box, keepalive->peer, 0, true);
        } else if (auto* flush = std::get_if<FlushStaged>(&action)) {
            auto staged = std::exchange(box.peers[flush->peer].staged, {});
            if (staged.empty() && flush->keepalive_if_none)
                transmit(box, flush->peer, 0, true);
            for (const uint64_t packet : staged)
                overlay_packet(box, flush->peer, packet);
        } else if (auto* purge = std::get_if<PurgeStaged>(&action)) {
            flows_[{box.number, purge->peer}].staged_dropped +=
                box.peers[purge->peer].staged.size();
            box.peers[purge->peer].staged.clear();
        }
    }
    schedule_tick(box);
}

// Puts a datagram on its wire. Handshakes carry their destination in receiver_index until here.
void World::emit(Box& box, std::shared_ptr<Datagram> datagram) {
    datagram->from = box.number;
    unsigned to = 0;
    Sent sent{now_ns_, box.number, 0, kData, 32, datagram->receiver_index};
    if (datagram->message.len != 0) {
        to = datagram->receiver_index;
        Le32 word{};
        std::memcpy(word.data(), datagram->message.bytes.data(), word.size());
        sent.type = static_cast<MessageType>(from_le32(word));
        std::memcpy(word.data(), datagram->message.bytes.data() + 4, word.size());
        sent.index = from_le32(word);
        sent.len = datagram->message.len;
    } else {
        to = static_cast<unsigned>(datagram->packet >> 48);
        sent.len = datagram->keepalive ? 32 : 128;
    }
    sent.to = to;
    log_.push_back(sent);
    const Wire& way = wire(box.number, to);
    const int copies = lost(way.duplicate) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
        if (way.cut || lost(way.loss))
            continue;
        const uint64_t jitter_ns = way.jitter_ns == 0 ? 0 : random() % way.jitter_ns;
        at_time(now_ns_ + way.delay_ns + jitter_ns, to, kArrival, datagram);
    }
}

// A packet id carries its destination in the top 16 bits.
void World::send(unsigned from, unsigned to) {
    Flow& flow = flows_[{from, to}];
    const uint64_t packet = uint64_t{to} << 48 | flow.sent++;
    overlay_packet(*boxes_[from], to, packet);
}

void World::send_every(unsigned from, unsigned to, uint64_t interval_ns, uint64_t end_ns) {
    if (now_ns_ >= end_ns)
        return;
    send(from, to);
    later_->queue.push({now_ns_ + interval_ns, sequence_++, from, kSend, {}, [=, this] {
                            send_every(from, to, interval_ns, end_ns);
                        }});
}

void World::overlay_packet(Box& box, unsigned to, uint64_t packet) {
    Box::PeerState& peer = box.peers[peer_id(to)];
    const bool usable = peer.sending && now_ns_ < box.keys.at(*peer.sending).reject_after_ns;
    if (usable)
        return transmit(box, to, packet, false);
    peer.staged.push_back(packet);
    if (peer.staged.size() > 128) {
        peer.staged.pop_front();
        ++flows_[{box.number, to}].staged_dropped;
    }
    Now shifted = now();
    shifted.wall_ns += static_cast<uint64_t>(box.wall_shift_ns);
    box.device->on_no_session(peer_id(to), shifted);
    act(box);
}

void World::transmit(Box& box, unsigned to, uint64_t packet, bool keepalive) {
    Box::PeerState& peer = box.peers[peer_id(to)];
    if (!peer.sending)
        return;
    Box::Key& key = box.keys.at(*peer.sending);
    auto datagram = std::make_shared<Datagram>();
    datagram->receiver_index = key.remote_index;
    datagram->counter = key.send_counter++;
    datagram->key = key.send_key.clone();
    datagram->packet = keepalive ? uint64_t{to} << 48 : packet;
    datagram->keepalive = keepalive;
    peer.activity.send_counter = key.send_counter;
    peer.activity.last_any_tx_ns = now_ns_;
    if (!keepalive)
        peer.activity.last_data_tx_ns = now_ns_;
    report(box);
    peer.dirty = true;
    emit(box, std::move(datagram));
}

// Activity is reported every 50 ms, as far as there is any.
void World::report(Box& box) {
    if (box.reports_at_ns != kNeverNs)
        return;
    box.reports_at_ns = (now_ns_ / (50 * kNsPerMs) + 1) * 50 * kNsPerMs;
    at_time(box.reports_at_ns, box.number, kReport);
}

void World::arrive(Box& box, const Datagram& datagram) {
    if (datagram.message.len == 0)
        return open(box, datagram);
    if (box.queued.size() >= 4096)
        return;
    box.queued.push_back(std::make_shared<Datagram>());
    box.queued.back()->from = datagram.from;
    box.queued.back()->message = datagram.message;
    work_on_handshakes(box);
}

void World::work_on_handshakes(Box& box) {
    while (!box.queued.empty() && box.busy_until_ns <= now_ns_) {
        const std::shared_ptr<Datagram> datagram = box.queued.front();
        box.queued.pop_front();
        Now shifted = now();
        shifted.wall_ns += static_cast<uint64_t>(box.wall_shift_ns);
        box.device->receive(datagram->message.view(),
                            Addressing{endpoint_of(datagram->from), endpoint_of(box.number), 0},
                            box.queued.size(), shifted);
        act(box);
        if (box.handshake_cost_ns == 0)
            continue;
        box.busy_until_ns = now_ns_ + box.handshake_cost_ns;
        at_time(box.busy_until_ns, box.number, kWork);
    }
}

void World::open(Box& box, const Datagram& datagram) {
    const auto found = box.keys.find(datagram.receiver_index);
    if (found == box.keys.end()) {
        ++nb_unknown_index_;
        return;
    }
    Box::Key& key = found->second;
    if (now_ns_ >= key.reject_after_ns)
        return;
    if (!key.receive_key.equals(datagram.key)) {
        ++nb_bad_tags_;
        return;
    }
    if (!key.seen.insert(datagram.counter).second)
        return;
    const PeerId id = key.peer;
    Activity& activity = box.peers[id].activity;
    activity.last_any_rx_ns = now_ns_;
    if (!datagram.keepalive)
        activity.last_data_rx_ns = now_ns_;
    box.peers[id].dirty = true;
    report(box);
    if (!datagram.keepalive) {
        Flow& flow = flows_[{datagram.from, box.number}];
        auto& arrived = arrived_[{datagram.from, box.number}];
        const auto number = static_cast<size_t>(datagram.packet & ((uint64_t{1} << 48) - 1));
        if (arrived.size() <= number)
            arrived.resize(number + 1);
        if (arrived[number])
            ++flow.delivered_twice;
        else
            ++flow.delivered;
        arrived[number] = true;
    }
    if (!std::exchange(key.confirmed, true)) {
        box.device->on_confirmed(datagram.receiver_index, now());
        act(box);
    }
}

void World::run_until(uint64_t end_ns) {
    auto& queue = later_->queue;
    while (!queue.empty() && queue.top().at_ns <= end_ns) {
        const Event event = queue.top();
        queue.pop();
        now_ns_ = event.at_ns;
        Box& box = *boxes_[event.box];
        Now shifted = now();
        shifted.wall_ns += static_cast<uint64_t>(box.wall_shift_ns);
        switch (event.kind) {
            case kTick:
                if (box.tick_at_ns == event.at_ns)
                    box.tick_at_ns = kNeverNs;
                box.device->tick(shifted);
                act(box);
                break;
            case kArrival:
                arrive(box, *event.datagram);
                break;
            case kReport:
                box.reports_at_ns = kNeverNs;
                for (auto& [id, peer] : box.peers)
                    if (std::exchange(peer.dirty, false))
                        box.device->on_activity(id, peer.activity, shifted);
                act(box);
                break;
            case kWork:
                work_on_handshakes(box);
                break;
            default:
                event.call();
        }
    }
    now_ns_ = end_ns;
}

void World::run_for(uint64_t ns) {
    run_until(now_ns_ + ns);
}

bool World::run_until_delivered(unsigned from, unsigned to, uint64_t nb, uint64_t limit_ns) {
    const uint64_t end_ns = now_ns_ + limit_ns;
    while (flow(from, to).delivered < nb) {
        if (now_ns_ >= end_ns || later_->queue.empty())
            return false;
        run_until(std::min(later_->queue.top().at_ns, end_ns));
    }
    return true;
}

}  // namespace meshgate::wireguard
