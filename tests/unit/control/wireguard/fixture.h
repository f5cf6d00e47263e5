// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/wireguard/device.h"
#include "control/wireguard/messages.h"

namespace meshgate::wireguard {

constexpr uint64_t kMinute = 60 * kNsPerSecond;
constexpr uint64_t kHour = 60 * kMinute;

std::vector<uint8_t> from_hex(std::string_view hex);
std::string to_hex(std::span<const uint8_t> bytes);
template <size_t N>
std::array<uint8_t, N> array_from_hex(std::string_view hex) {
    const std::vector<uint8_t> bytes = from_hex(hex);
    std::array<uint8_t, N> result{};
    for (size_t n = 0; n < N && n < bytes.size(); ++n)
        result[n] = bytes[n];
    return result;
}

SecretKey secret(uint64_t seed);  // any 32 bytes, the same for the same seed
FillRandom seeded_random(uint64_t seed);
Endpoint endpoint_of(unsigned box);
Now at(uint64_t mono_ns);  // wall time runs along, from 2023

// Two devices and nothing between: the test carries every message and every action itself.
struct Bench {
    static constexpr PeerId kPeer = 7;  // each side's name for the other

    struct Side {
        explicit Side(unsigned box, DeviceOptions options = {});

        // Carries out what was asked: sorts the actions by kind, in order.
        void drain();
        std::optional<SendMessage> take_message();  // the oldest one sent
        template <typename A>
        size_t nb() const {
            size_t result = 0;
            for (const Action& action : actions)
                result += std::holds_alternative<A>(action) ? 1 : 0;
            return result;
        }
        template <typename A>
        const A* last() const {
            const A* result = nullptr;
            for (const Action& action : actions)
                if (const A* one = std::get_if<A>(&action))
                    result = one;
            return result;
        }
        uint64_t count(HandshakeEvent event) const {
            return device.counters()[static_cast<size_t>(event)];
        }
        PeerView peer() const { return *device.peer_view(kPeer); }

        unsigned box;
        SecretKey private_key;
        Device device;
        std::vector<Action> actions;  // drained, all that was not a message
        std::vector<SendMessage> messages;
    };

    explicit Bench(Timings timings = {}, std::array<uint64_t, 2> seeds = {1, 2});
    Bench(DeviceOptions a_options, DeviceOptions b_options);

    PeerOptions options_for(const Side& other) const;
    // Hands a message to `side` as if `from` had sent it.
    void give(Side& side, const SendMessage& message, Now now, size_t nb_queued = 0);
    void give(Side& side, const SendMessage& message, const Addressing& from, Now now,
              size_t nb_queued = 0);
    // A whole handshake, initiated by `from`, up to the responder's confirmation.
    void handshake(Side& from, Side& to, Now now);
    Addressing from_box(unsigned box) const;

    Side a;
    Side b;
};

// The message by which `side` asks for a session.
SendMessage initiation(Bench::Side& side, Now now);

// ---- a virtual internet ----

// What happens to datagrams between two boxes, one direction.
struct Wire {
    double loss = 0;
    double duplicate = 0;
    uint64_t delay_ns = 5 * kNsPerMs;
    uint64_t jitter_ns = 0;  // uniform, hence reordering
    bool cut = false;
};

struct Sent {
    uint64_t at_ns;
    unsigned from, to;
    MessageType type;  // 4: data
    size_t len;        // 32: keepalive
    uint32_t index;    // sender index (1, 2) or receiver index (4)
};
constexpr auto kData = static_cast<MessageType>(4);

// Boxes that each have a Device and a pretended packet path: it keeps keypairs, counts, refuses
// replays and expired keys, stages packets, and tells the device as the real one does.
class World {
public:
    explicit World(uint64_t seed, Timings timings = {});
    ~World();

    unsigned add_box();
    // Each a peer of the other, with endpoints.
    void join(unsigned a, unsigned b, uint16_t persistent_keepalive_s = 0);
    Wire& wire(unsigned from, unsigned to);
    void cut(unsigned a, unsigned b, bool both_ways);
    void heal(unsigned a, unsigned b);
    void up();

    // A packet of the overlay; counts as delivered once the other side opened it.
    void send(unsigned from, unsigned to);
    // The same every `interval_ns`, until `end_ns`.
    void send_every(unsigned from, unsigned to, uint64_t interval_ns, uint64_t end_ns);
    void run_for(uint64_t ns);
    void run_until(uint64_t at_ns);
    // Runs until packet `nb` of that direction arrived; false when `limit_ns` passes first.
    bool run_until_delivered(unsigned from, unsigned to, uint64_t nb, uint64_t limit_ns);

    Device& device(unsigned box);
    PeerView peer(unsigned box, unsigned other);
    static PeerId peer_id(unsigned other) { return other; }
    uint64_t now_ns() const { return now_ns_; }
    Now now() const { return at(now_ns_); }
    void shift_wall_clock(unsigned box, int64_t ns);
    void restart(unsigned box);  // forgets everything, as after kill -9
    // Handshake messages wait this long for the control thread of `box`, one after the other.
    void set_handshake_cost(unsigned box, uint64_t ns);

    struct Flow {
        uint64_t sent = 0, delivered = 0, delivered_twice = 0, staged_dropped = 0;
    };
    Flow flow(unsigned from, unsigned to) const;
    // All datagrams that left a box, since clear_log().
    const std::vector<Sent>& log() const { return log_; }
    void clear_log() { log_.clear(); }
    size_t nb_logged(unsigned from, MessageType type, size_t len = 0) const;
    uint64_t nb_bad_tags() const { return nb_bad_tags_; }
    uint64_t nb_unknown_index() const { return nb_unknown_index_; }
    size_t nb_keypairs(unsigned box) const;

    std::mt19937_64 random;

private:
    struct Box;
    struct Datagram;
    struct Event;

    void at_time(uint64_t at_ns, unsigned box, int kind, std::shared_ptr<Datagram> datagram = {});
    void act(Box& box);
    void emit(Box& box, std::shared_ptr<Datagram> datagram);
    void transmit(Box& box, unsigned to, uint64_t packet, bool keepalive);
    void overlay_packet(Box& box, unsigned to, uint64_t packet);
    void arrive(Box& box, const Datagram& datagram);
    void open(Box& box, const Datagram& datagram);
    void schedule_tick(Box& box);
    void report(Box& box);
    void start_device(Box& box);
    void work_on_handshakes(Box& box);
    bool lost(double probability);

    Timings timings_;
    uint64_t now_ns_ = 1000 * kNsPerSecond;
    uint64_t sequence_ = 0;
    std::vector<std::unique_ptr<Box>> boxes_;
    struct Later;
    std::unique_ptr<Later> later_;
    std::map<std::pair<unsigned, unsigned>, Wire> wires_;
    std::map<std::pair<unsigned, unsigned>, Flow> flows_;
    std::map<std::pair<unsigned, unsigned>, std::vector<bool>> arrived_;
    std::vector<Sent> log_;
    uint64_t nb_bad_tags_ = 0, nb_unknown_index_ = 0;
};

}  // namespace meshgate::wireguard
