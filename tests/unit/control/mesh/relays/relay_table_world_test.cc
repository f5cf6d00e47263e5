// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>

#include "control/mesh/relays/relay_table.h"
#include "tests/unit/control/mesh/fixture.h"
#include "tests/unit/world_seeds.h"

// Boxes with random links between them, in virtual time. Links fail and come back, boxes restart
// and leave the network, messages are lost and late, ways change at every box at another moment,
// and a member that is no relay says what it likes. What must hold is in check_always(),
// check_quiet().
namespace meshgate::mesh::test {

namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

struct WorldEntries final : RelayEntries {
    bool install(uint32_t index, LinkId link) override {
        return !keypairs.contains(index) && links.emplace(index, link).second;
    }
    void move(uint32_t index, LinkId link) override { links.at(index) = link; }
    void remove(uint32_t index) override { EXPECT_EQ(links.erase(index), 1U); }
    std::map<uint32_t, LinkId> links;
    std::set<uint32_t> keypairs;  // indices that the box has chosen itself
};

struct WorldWays final : RouteLookup {
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        const auto found = routes.find(target);
        return found == routes.end() ? std::nullopt : std::optional{found->second};
    }
    std::map<IpAddress, NextHop> routes;
};

struct Box {
    bool relay = false;
    bool member = true;
    WorldWays routes;
    WorldEntries entries;
    std::unique_ptr<RelayTable> relays;
    std::map<uint32_t, unsigned> sessions;                  // index -> to which box
    std::map<std::pair<uint32_t, IpAddress>, Time> opened;  // last request for index by owner
};

struct WorldOptions {
    unsigned seed;
    double loss = 0.2;
    bool byzantine = false;
    bool removals = false;
};

class World {
public:
    explicit World(const WorldOptions& options) : options_{options}, random_{options.seed} {
        boxes_.resize(3 + pick(6));
        for (Box& box : boxes_)
            box.relay = pick(3) != 0;
        if (options_.byzantine)
            boxes_[0].relay = false;
        for (unsigned a = 0; a < boxes_.size(); ++a) {
            for (unsigned b = 0; b < a; ++b) {
                if (pick(100) < 55)
                    links_[{b, a}] = {};
            }
        }
        for (unsigned a = 0; a < boxes_.size(); ++a)
            restart(a);
        for (unsigned a = 0; a < boxes_.size(); ++a) {
            for (unsigned b = 0; b < boxes_.size(); ++b) {
                if (a != b && pick(2) == 0)
                    start_session(a, b);
            }
        }
    }

    // Failures and repairs for so long.
    void trouble(Seconds duration) {
        const Time end = now_ + std::chrono::duration_cast<Time::duration>(duration);
        while (now_ < end) {
            run(std::chrono::milliseconds{pick(3000)});
            for (unsigned nb = pick(3); nb > 0 && !links_.empty(); --nb)
                toggle(std::next(links_.begin(), pick(links_.size())));
            const auto any = pick(boxes_.size());
            if (pick(8) == 0)
                restart(any);
            if (options_.removals && any > 2 && pick(10) == 0)
                remove(any);
            if (pick(8) == 0)
                replace_a_session(any);
        }
    }

    void run(Time::duration duration) {
        const Time end = now_ + duration;
        while (now_ < end) {
            now_ += 20ms;
            while (!in_flight_.empty() && in_flight_.begin()->first <= now_) {
                const auto flight = in_flight_.begin()->second;
                in_flight_.erase(in_flight_.begin());
                deliver(flight);
            }
            for (unsigned i = 0; i < boxes_.size(); ++i) {
                if (boxes_[i].relays->next_deadline() <= now_)
                    boxes_[i].relays->tick(now_);
                flush(i);
            }
            while (!later_.empty() && later_.begin()->first <= now_) {
                const unsigned box = later_.begin()->second;
                later_.erase(later_.begin());
                update_ways(box);
            }
            if (options_.byzantine)
                lie();
            if (now_ >= next_probe_)
                probe();
            check_always();
        }
    }

    // Nothing has failed for a while: every session with a way works, and nothing goes in circles.
    void check_quiet() {
        for (unsigned a = 0; a < boxes_.size(); ++a) {
            for (const auto& [index, to] : boxes_[a].sessions) {
                const bool lies = options_.byzantine && a == 0;  // about its own, too
                if (lies || !boxes_[a].member || !boxes_[to].member || !next_hop(a, to))
                    continue;
                EXPECT_TRUE(arrives(a, index, to))
                    << "seed " << options_.seed << ": " << a << " to " << to << " by "
                    << describe(a, index, to);
            }
            for (const auto& [index, link] : boxes_[a].entries.links)
                EXPECT_NE(follow(a, index), Fate::loops) << "seed " << options_.seed;
        }
    }

    void end_all_sessions() {
        for (unsigned i = 0; i < boxes_.size(); ++i) {
            while (!boxes_[i].sessions.empty())
                end_session(i, boxes_[i].sessions.begin()->first);
        }
    }
    void set_loss(double loss) { options_.loss = loss; }
    void behave() { options_.byzantine = false; }
    size_t nb_boxes() const { return boxes_.size(); }
    size_t nb_entries() const {
        size_t sum = 0;
        for (const Box& box : boxes_)
            sum += box.relays->nb_entries() + box.entries.links.size();
        return sum;
    }
    uint64_t nb_relayed_twice() const { return nb_relayed_; }

private:
    unsigned pick(size_t below) {
        return static_cast<unsigned>(random_() % static_cast<unsigned>(below));
    }

    struct LinkState {
        bool up = true;
        unsigned generation = 1;
    };
    using LinkKey = std::pair<unsigned, unsigned>;  // the smaller first
    struct Flight {
        unsigned from;
        unsigned to;
        Message message;
    };
    enum class Fate : uint8_t { arrives, dies, loops };

    static LinkKey key(unsigned a, unsigned b) { return {std::min(a, b), std::max(a, b)}; }
    static IpAddress address(unsigned box) { return node(box + 1); }
    static unsigned box_at(const IpAddress& address) { return address.bytes[15] - 1U; }
    // A link that comes back is another one; its number tells which box it leads to.
    LinkId link_id(unsigned from, unsigned to) {
        return links_.at(key(from, to)).generation << 8 | to;
    }
    bool is_up(unsigned a, unsigned b) {
        const auto found = links_.find(key(a, b));
        return found != links_.end() && found->second.up && boxes_[a].member && boxes_[b].member;
    }
    bool is_alive(unsigned from, LinkId link) {
        const unsigned to = link & 0xff;
        return is_up(from, to) && link_id(from, to) == link;
    }

    // Of the shortest ways over relays, as Babel would find them.
    std::optional<unsigned> next_hop(unsigned from, unsigned to) {
        std::vector<unsigned> distance(boxes_.size(), UINT32_MAX);
        std::queue<unsigned> queue;
        distance[to] = 0;
        queue.push(to);
        while (!queue.empty()) {
            const unsigned at = queue.front();
            queue.pop();
            if (at != to && !boxes_[at].relay)
                continue;
            for (unsigned next = 0; next < boxes_.size(); ++next) {
                if (is_up(at, next) && distance[next] == UINT32_MAX) {
                    distance[next] = distance[at] + 1;
                    queue.push(next);
                }
            }
        }
        for (unsigned next = 0; next < boxes_.size(); ++next) {
            const bool may = next == to || boxes_[next].relay;
            if (may && is_up(from, next) && distance[next] != UINT32_MAX &&
                distance[next] + 1 == distance[from])
                return next;
        }
        return std::nullopt;
    }

    void update_ways(unsigned i) {
        Box& box = boxes_[i];
        std::set<LinkId> before;
        std::vector<unsigned> changed;
        for (const auto& [target, next_hop] : box.routes.routes)
            before.insert(next_hop.link);
        for (unsigned to = 0; to < boxes_.size(); ++to) {
            const auto old = box.routes.next_hop_to(address(to));
            const auto hop = to == i ? std::nullopt : next_hop(i, to);
            if (hop)
                box.routes.routes[address(to)] = {link_id(i, *hop), address(*hop)};
            else
                box.routes.routes.erase(address(to));
            if (box.routes.next_hop_to(address(to)) != old)
                changed.push_back(to);
        }
        for (const unsigned to : changed)
            box.relays->on_next_hop_changed(address(to), now_);
        for (const LinkId link : before) {
            if (!is_alive(i, link)) {
                box.relays->on_link_gone(link, now_);
                for (const auto& [index, used] : box.entries.links)
                    EXPECT_NE(used, link);
            }
        }
        flush(i);
    }

    void topology_changed() {
        for (unsigned i = 0; i < boxes_.size(); ++i)
            later_.emplace(now_ + std::chrono::milliseconds{pick(600)}, i);
    }

    void toggle(std::map<LinkKey, LinkState>::iterator link) {
        link->second.up = !link->second.up;
        link->second.generation += link->second.up ? 1 : 0;
        topology_changed();
    }

    std::vector<RelayMember> members() const {
        std::vector<RelayMember> list;
        for (unsigned i = 0; i < boxes_.size(); ++i) {
            if (boxes_[i].member)
                list.push_back({address(i), boxes_[i].relay});
        }
        return list;
    }

    void restart(unsigned i) {
        Box& box = boxes_[i];
        if (!box.member)
            return;
        box.entries.links.clear();
        box.opened.clear();
        box.routes.routes.clear();
        box.relays =
            std::make_unique<RelayTable>(RelayOptions{.self = address(i)}, box.routes, box.entries);
        box.relays->set_members(members(), now_);
        box.relays->set_serving(box.relay);
        const auto sessions = box.sessions;
        for (const auto& [index, to] : sessions) {
            end_session(i, index);
            start_session(i, to);
        }
        later_.emplace(now_ + 100ms, i);
    }

    void remove(unsigned i) {
        boxes_[i].member = false;
        for (unsigned other = 0; other < boxes_.size(); ++other)
            boxes_[other].relays->set_members(members(), now_);
        topology_changed();
    }

    // Few indices, so that some collide: unique at the box that chose them, not elsewhere.
    void start_session(unsigned from, unsigned to) {
        for (int tries = 0; tries < 100; ++tries) {
            const uint32_t index = pick(64);
            if (boxes_[from].sessions.contains(index) || is_chosen_by(to, index) ||
                boxes_[to].entries.links.contains(index))
                continue;
            boxes_[from].sessions[index] = to;
            boxes_[to].entries.keypairs.insert(index);
            boxes_[from].relays->open(index, address(to), now_);
            return;
        }
    }
    bool is_chosen_by(unsigned to, uint32_t index) const {
        return boxes_[to].entries.keypairs.contains(index);
    }
    void end_session(unsigned from, uint32_t index) {
        const auto session = boxes_[from].sessions.find(index);
        boxes_[session->second].entries.keypairs.erase(index);
        boxes_[from].sessions.erase(session);
        boxes_[from].relays->close(index, now_);
    }

    void replace_a_session(unsigned i) {
        Box& box = boxes_[i];
        if (box.sessions.empty())
            return;
        const auto [index, to] = *box.sessions.begin();
        end_session(i, index);
        start_session(i, to);
    }

    void flush(unsigned i) {
        Box& box = boxes_[i];
        for (Outgoing& one : box.relays->take_messages()) {
            const unsigned to = box_at(one.to);
            EXPECT_TRUE(boxes_[to].member && to != i) << "sent to who is no member";
            send({i, to, std::move(one.message)});
        }
        for (const RelayChange& change : box.relays->take_changes()) {
            // A handshake gives another index.
            if (change.kind == RelayChange::Kind::refused &&
                change.answer == RelayAnswer::refused_index_taken &&
                box.sessions.contains(change.index)) {
                end_session(i, change.index);
                start_session(i, box_at(change.target));
            }
        }
    }

    void send(Flight flight) {
        if (is_up(flight.from, flight.to) &&
            std::uniform_real_distribution<>{}(random_) >= options_.loss)
            in_flight_.emplace(now_ + std::chrono::milliseconds{5 + pick(60)}, std::move(flight));
    }

    void deliver(const Flight& flight) {
        Box& box = boxes_[flight.to];
        const IpAddress from = address(flight.from);
        if (const auto* open = std::get_if<RelayOpen>(&flight.message)) {
            box.opened[{open->index, from}] = now_;
            box.relays->receive(from, *open, now_);
        } else if (const auto* reply = std::get_if<RelayReply>(&flight.message)) {
            box.relays->receive(from, *reply, now_);
        } else {
            box.relays->receive(from, std::get<RelayClose>(flight.message), now_);
        }
        flush(flight.to);
    }

    // Box 0 knows every index there is.
    void lie() {
        if (pick(4) != 0)
            return;
        const Box& victim = boxes_[pick(boxes_.size())];
        if (victim.sessions.empty())
            return;
        const auto at = pick(victim.sessions.size());
        const uint32_t index = std::next(victim.sessions.begin(), at)->first;
        const auto to = pick(boxes_.size());
        const auto other = pick(boxes_.size());
        const auto request = pick(50);
        const std::array<Message, 4> lies{RelayOpen{request, index, address(other)},
                                          RelayClose{index},
                                          RelayReply{request, index, RelayAnswer::accepted},
                                          RelayReply{request, index, RelayAnswer::refused_no_way}};
        if (to != 0)
            send({0, to, lies.at(pick(lies.size()))});
    }

    // The ends notice silence.
    void probe() {
        next_probe_ = now_ + 1s;
        for (unsigned i = 0; i < boxes_.size(); ++i) {
            for (const auto& [index, to] : boxes_[i].sessions) {
                if (boxes_[i].relays->next_hop_of(index) && !arrives(i, index, to))
                    boxes_[i].relays->recheck(index, now_);
            }
            flush(i);
        }
    }

    // What happens to a datagram with this index that box `at` receives.
    Fate follow(unsigned at, uint32_t index) {
        for (size_t hops = 0; hops <= 2 * boxes_.size(); ++hops) {
            const auto& links = boxes_[at].entries.links;
            const auto entry = links.find(index);
            if (entry == links.end()) {
                end_ = at;
                return Fate::arrives;  // or is for nobody: the end is the caller's to judge
            }
            if (!is_alive(at, entry->second))
                return Fate::dies;
            at = entry->second & 0xff;
            nb_relayed_ += hops > 0 ? 1 : 0;  // the second relay
        }
        return Fate::loops;
    }

    bool arrives(unsigned from, uint32_t index, unsigned to) {
        const auto next_hop = boxes_[from].relays->next_hop_of(index);
        if (!next_hop || !is_alive(from, next_hop->link))
            return false;
        return follow(next_hop->link & 0xff, index) == Fate::arrives && end_ == to;
    }

    std::string describe(unsigned at, uint32_t index, unsigned to) {
        std::string text = "index " + std::to_string(index) + ":";
        for (size_t hops = 0; hops <= boxes_.size(); ++hops) {
            const auto hop = next_hop(at, to);
            text += " box " + std::to_string(at) + " (best " +
                    (hop ? std::to_string(*hop) : "none") + ")";
            for (const RelayEntryView& entry : boxes_[at].relays->entries()) {
                if (entry.index == index)
                    text += std::string{entry.own ? " own" : ""} + " owners " +
                            std::to_string(entry.owners.size()) + " to " +
                            std::to_string(box_at(entry.target)) + (entry.asking ? " asking" : "") +
                            (entry.next_hop
                                 ? " via " + std::to_string(box_at(entry.next_hop->node)) +
                                       (is_alive(at, entry.next_hop->link) ? "" : " (dead link)")
                                 : " no way");
            }
            text += boxes_[at].entries.keypairs.contains(index) ? " keypair;" : ";";
            if (!hop || at == to)
                break;
            at = *hop;
        }
        return text;
    }

    // Where a member could have two relays forward the same index to each other.
    bool comes_back_from_its_target(unsigned at, const RelayEntryView& entry) {
        return entry.next_hop && entry.next_hop->node == entry.target && !entry.owners.empty() &&
               is_alive(at, entry.next_hop->link) &&
               follow(box_at(entry.target), entry.index) == Fate::loops;
    }

    void check_always() {
        for (unsigned i = 0; i < boxes_.size(); ++i) {
            const Box& box = boxes_[i];
            if (!box.member)
                continue;
            for (const RelayEntryView& entry : box.relays->entries()) {
                const Box& target = boxes_[box_at(entry.target)];
                const bool agreed =
                    entry.next_hop &&
                    (entry.confirmed || (entry.next_hop->node == entry.target && !target.relay));
                EXPECT_EQ(box.entries.links.contains(entry.index), agreed && !entry.owners.empty());
                for (const IpAddress& owner : entry.owners) {
                    const auto last = box.opened.find({entry.index, owner});
                    ASSERT_NE(last, box.opened.end()) << "nobody asked for it";
                    EXPECT_LE(now_ - last->second, kRelayLifetime + 20ms);
                    EXPECT_TRUE(boxes_[box_at(owner)].member);
                }
                EXPECT_TRUE(!entry.next_hop || boxes_[box_at(entry.next_hop->node)].member);
                EXPECT_FALSE(comes_back_from_its_target(i, entry)) << "seed " << options_.seed;
            }
        }
    }

    WorldOptions options_;
    std::mt19937 random_;
    std::vector<Box> boxes_;
    std::map<LinkKey, LinkState> links_;
    Time now_ = Time{} + 1h;
    Time next_probe_ = now_;
    std::multimap<Time, Flight> in_flight_;
    std::multimap<Time, unsigned> later_;  // boxes that learn of a change
    unsigned end_ = 0;
    uint64_t nb_relayed_ = 0;
};

void live_through(const WorldOptions& options, unsigned nb_rounds) {
    World world{options};
    const bool last = options.seed % 10 == 0;
    static uint64_t nb_chained = 0;
    for (unsigned round = 0; round < nb_rounds; ++round) {
        world.trouble(20s);
        world.run(20s);  // five relays in a row, and each fifth message is lost
        world.check_quiet();
        if (testing::Test::HasFailure())
            return;
    }
    nb_chained += world.nb_relayed_twice();
    EXPECT_TRUE(!last || nb_chained > 0) << "no chain of relays in ten worlds";
    // Nobody says goodbye: each relay forgets in its own time, and nothing is left.
    world.behave();
    world.set_loss(1);
    world.end_all_sessions();
    world.run(kRelayLifetime * world.nb_boxes());
    EXPECT_EQ(world.nb_entries(), 0U) << "seed " << options.seed;
}

void for_seeds(const meshgate::test::WorldSeeds& seeds, WorldOptions options) {
    for (uint64_t seed = seeds.first; seed <= seeds.last && !testing::Test::HasFailure(); ++seed) {
        options.seed = static_cast<unsigned>(seed);
        live_through(options, 3);
    }
}

}  // namespace

TEST(MeshRelaysWorld, SessionsReachTheirEndsAfterAnyTrouble) {
    for_seeds({1, 40}, {});
}

TEST(MeshRelaysWorld, WithoutLossToo) {
    for_seeds({100, 11}, {.loss = 0});
}

TEST(MeshRelaysWorld, WhenMembersAreRemoved) {
    for_seeds({200, 21}, {.removals = true});
}

TEST(MeshRelaysWorld, WhateverAMemberSays) {
    for_seeds({300, 101}, {.byzantine = true});
}

}  // namespace meshgate::mesh::test
