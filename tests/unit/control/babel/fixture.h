// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "control/babel/speaker.h"
#include "tests/unit/control/babel/world.h"

namespace meshgate::babel::test {

using namespace std::chrono_literals;

inline std::vector<uint8_t> hex(std::string_view text) {
    std::vector<uint8_t> bytes;
    std::string digits;
    for (const char c : text) {
        if (c == ' ' || c == '\n')
            continue;
        digits += c;
        if (digits.size() == 2) {
            bytes.push_back(static_cast<uint8_t>(std::stoul(digits, nullptr, 16)));
            digits.clear();
        }
    }
    return bytes;
}

inline Prefix prefix(const char* text) {
    return *parse_prefix(text);
}
inline IpAddress address(const char* text) {
    return *parse_address(text);
}
inline RouterId id(uint8_t last) {
    return {1, 2, 3, 4, 5, 6, 7, last};
}
const RouterId kOurId = id(0xee);

// One speaker and neighbours played by the test, which say Hello each second while they live.
class Router {
public:
    struct Sent {
        Time at;
        InterfaceId interface;
        IpAddress destination;
        Tlv tlv;
    };
    struct Fake {
        InterfaceId interface;
        IpAddress address;
        bool alive = true;
        bool acknowledges = true;
        uint16_t rxcost = 96;
        uint16_t hello_seqno = 100;
    };

    explicit Router(const std::function<void(SpeakerOptions&)>& adjust = nullptr) {
        SpeakerOptions options{.fill_random = seeded_random(7), .router_id = kOurId};
        options.switch_margin = 0;
        options.smoothing_half_life = Duration{};
        if (adjust)
            adjust(options);
        speaker = std::make_unique<Speaker>(std::move(options));
    }

    void lan(InterfaceId interface, const std::function<void(InterfaceOptions&)>& adjust = nullptr,
             std::vector<MacKey> keys = {}) {
        InterfaceOptions options;
        options.address = ours(interface);
        options.ipv4 = parse_address("192.0.2.1");
        if (adjust)
            adjust(options);
        speaker->add_interface(interface, options, std::move(keys), now);
        collect();
    }
    static IpAddress ours(InterfaceId interface) { return node_link_local(1000 + interface); }

    // Met: both directions work.
    Fake& neighbor(InterfaceId interface, uint32_t number, uint16_t rxcost = 96) {
        fakes.push_back(std::make_unique<Fake>(
            Fake{.interface = interface, .address = node_link_local(number), .rxcost = rxcost}));
        greet(*fakes.back());
        run_for(2s);
        take();
        return *fakes.back();
    }

    void greet(Fake& fake) {
        send(fake,
             {Hello{.seqno = ++fake.hello_seqno, .interval_cs = 100},
              Ihu{.address = ours(fake.interface), .rxcost = fake.rxcost, .interval_cs = 300}});
    }

    void send(const Fake& from, const std::vector<Tlv>& tlvs) {
        PacketWriter writer{1400};
        for (const Tlv& tlv : tlvs)
            ASSERT_TRUE_OR_DIE(writer.add(tlv, from.address));
        raw(from, writer.finish());
    }

    void raw(const Fake& from, const std::vector<uint8_t>& bytes) {
        speaker->receive({.interface = from.interface,
                          .flow = {{from.address, kPort}, {multicast_group(), kPort}},
                          .bytes = bytes},
                         now);
        collect();
    }

    struct Announcement {
        const char* prefix;
        uint8_t router = 1;
        uint16_t seqno = 10;
        uint16_t metric = 0;
        uint16_t interval_cs = 400;
    };
    void announce(const Fake& from, const Announcement& what) {
        const Prefix parsed = prefix(what.prefix);
        Update update{.prefix = parsed,
                      .interval_cs = what.interval_cs,
                      .seqno = what.seqno,
                      .metric = what.metric};
        if (what.metric != kInfinity) {
            update.router_id = id(what.router);
            update.next_hop = parsed.address.is_v4() ? parse_address("192.0.2.77") : from.address;
        }
        send(from, {update});
    }
    void retract(const Fake& from, const char* what) {
        announce(from, {.prefix = what, .metric = kInfinity});
    }

    void run_for(Duration duration) {
        const Time end = now + duration;
        while (true) {
            const Time next = std::min(speaker->next_deadline(), next_greeting);
            if (next > end)
                break;
            now = std::max(now, next);
            if (next == next_greeting) {
                next_greeting += 1s;
                for (const auto& fake : fakes) {
                    if (fake->alive)
                        greet(*fake);
                }
                continue;
            }
            speaker->tick(now);
            collect();
        }
        now = end;
    }

    // What was sent since the last call, of one kind.
    template <typename T>
    std::vector<T> take_all() {
        std::vector<T> result;
        for (const Sent& one : sent) {
            if (const T* tlv = std::get_if<T>(&one.tlv))
                result.push_back(*tlv);
        }
        sent.clear();
        return result;
    }
    std::vector<Sent> take() { return std::exchange(sent, {}); }
    // The last update of a prefix in what was sent, on an interface.
    std::optional<Update> update_of(const char* what, InterfaceId interface = 1) const {
        std::optional<Update> last;
        for (const Sent& one : sent) {
            const auto* update = std::get_if<Update>(&one.tlv);
            if (update && update->prefix == prefix(what) && one.interface == interface)
                last = *update;
        }
        return last;
    }

    std::optional<RouteChange::State> state(const char* what) const {
        for (auto at = changes.rbegin(); at != changes.rend(); ++at) {
            if (at->prefix == prefix(what))
                return at->state;
        }
        return std::nullopt;
    }
    std::optional<RouteView> selected(const char* what) const {
        return speaker->selected(prefix(what));
    }
    size_t nb_events(Event::Kind kind) const {
        return static_cast<size_t>(std::count_if(
            events.begin(), events.end(), [kind](const Event& e) { return e.kind == kind; }));
    }

    void collect() {
        for (const Outgoing& packet : speaker->take_packets()) {
            const auto decoded = decode(packet.bytes, packet.flow.source.address);
            ASSERT_TRUE_OR_DIE(decoded && decoded->nb_ignored == 0);
            packets.push_back(packet);
            for (const Tlv& tlv : decoded->tlvs) {
                sent.push_back({now, packet.interface, packet.flow.destination.address, tlv});
                if (const auto* request = std::get_if<AckRequest>(&tlv))
                    acknowledge(packet, request->nonce);
            }
        }
        for (RouteChange& change : speaker->take_route_changes())
            changes.push_back(std::move(change));
        for (Event& event : speaker->take_events())
            events.push_back(std::move(event));
    }

    std::unique_ptr<Speaker> speaker;
    std::vector<std::unique_ptr<Fake>> fakes;
    std::vector<Sent> sent;
    std::vector<Outgoing> packets;
    std::vector<RouteChange> changes;
    std::vector<Event> events;
    Time now = Time{} + std::chrono::hours{1};
    Time next_greeting = now + 1s;

private:
    static void ASSERT_TRUE_OR_DIE(bool condition) {
        if (!condition)
            std::abort();
    }
    void acknowledge(const Outgoing& packet, uint16_t nonce) {
        for (const auto& fake : fakes) {
            if (fake->interface == packet.interface && fake->alive && fake->acknowledges)
                acks.emplace_back(fake.get(), nonce);
        }
        if (acknowledging)
            return;
        acknowledging = true;
        while (!acks.empty()) {
            const auto [fake, number] = acks.back();
            acks.pop_back();
            send(*fake, {Ack{number}});
        }
        acknowledging = false;
    }
    std::vector<std::pair<Fake*, uint16_t>> acks;
    bool acknowledging = false;
};

// Two LANs with a neighbour each.
struct Two : Router {
    explicit Two(const std::function<void(SpeakerOptions&)>& adjust = nullptr) : Router{adjust} {
        lan(1);
        lan(2);
        a = &neighbor(1, 1);
        b = &neighbor(2, 2);
    }
    Fake* a = nullptr;
    Fake* b = nullptr;
};

}  // namespace meshgate::babel::test
