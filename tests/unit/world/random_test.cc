// SPDX-License-Identifier: Apache-2.0
// Random worlds: members, roles, NATs and whatever happens to them come from the seed. After the
// last change and some time, who can reach whom by the rules must do so, and nobody else.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/world/world.h"
#include "tests/unit/world_seeds.h"

namespace meshgate::control::world {
namespace {

constexpr nanoseconds kSettled = 60s;
constexpr auto kTraffic = 50ms;
// Two ends that renew their session at the same moment may lose what is under way.
constexpr unsigned kRenewed = 2;

class RandomWorld {
public:
    explicit RandomWorld(uint64_t seed) : world{seed}, random_{seed * 7919 + 17} {
        make_boxes();
        world.start();
        world.stream(kTraffic);
    }

    // Things happen; then nothing any more.
    void live() {
        world.run_for(std::chrono::milliseconds{pick(8000)});
        const unsigned nb_changes = 3 + pick(12);
        for (unsigned i = 0; i < nb_changes; ++i) {
            change();
            world.run_for(std::chrono::milliseconds{pick(2) == 0 ? pick(300) : pick(9000)});
        }
        for (BoxId id = 0; id < world.nb_boxes(); ++id) {
            if (!world.box(id).path)
                world.start(id);
        }
        for (const auto& [one, other] : shaped_)
            world.shape(one, other, [](Wire& wire) { wire.loss = 0; });
    }
    void heal() {
        world.note("heal everything");
        world.underlay.heal();
        cuts_.clear();
    }

    // What is not as it has to be.
    std::vector<std::string> wrongs() {
        std::vector<std::string> result;
        const uint64_t from_ns = world.now_ns() - 2'500'000'000;
        std::map<std::pair<BoxId, BoxId>, std::pair<unsigned, unsigned>> seen;
        for (const Probe& probe : world.probes()) {
            if (probe.sent_ns < from_ns || probe.sent_ns > world.now_ns() - 500'000'000)
                continue;
            ++(probe.delivered_ns == 0 ? seen[{probe.from, probe.to}].second
                                       : seen[{probe.from, probe.to}].first);
        }
        const std::vector<bool> reached = file_reaches();
        for (BoxId id = 0; id < world.nb_boxes(); ++id) {
            if (reached[id] && !has_last_file(id))
                result.push_back(world.box(id).name + " has not got the last file");
        }
        for (const auto& [pair, count] : seen) {
            const auto [from, to] = pair;
            const std::string name = world.box(from).name + " > " + world.box(to).name;
            if (must_reach(from, to) && count.second > kRenewed)
                result.push_back(name + " lost " + std::to_string(count.second) + " of " +
                                 std::to_string(count.first + count.second) + ", " +
                                 world.path(from, to));
            const bool revoked = !world.box(from).entry.member || !world.box(to).entry.member;
            const bool known = has_last_file(from) || has_last_file(to);
            if (revoked && known && count.first > 0)
                result.push_back(name + " is revoked and delivers");
        }
        for (const BoxId id : world.forwarded_wrongly)
            result.push_back(world.box(id).name + " forwards and is no relay");
        if (world.last_circle_ns > world.now_ns() - 30'000'000'000)
            result.push_back("datagrams go in circles");
        if (world.nb_delivered_wrongly > 0)
            result.push_back("packets reach another box than they were for");
        for (BoxId id = 0; id < world.nb_boxes(); ++id)
            look_at_tables(id, result);
        return result;
    }

    World world;

private:
    unsigned pick(unsigned below) {
        return std::uniform_int_distribution<unsigned>{0, below - 1}(random_);
    }
    bool chance(unsigned percent) { return pick(100) < percent; }
    BoxId any_box() { return pick(world.nb_boxes()); }

    void make_boxes() {
        const unsigned nb_relays = pick(4);
        const unsigned nb_boxes = std::max(2U, nb_relays + 1 + pick(6));
        for (unsigned i = 0; i < nb_boxes; ++i) {
            BoxOptions options{.relay = i < nb_relays};
            constexpr std::array kKinds{NatKind::none,      NatKind::cone,     NatKind::restricted,
                                        NatKind::symmetric, NatKind::firewall, NatKind::none};
            UplinkOptions& first = options.uplinks.front();
            if (i >= nb_relays && nb_relays > 0)
                first.nat = kKinds[pick(kKinds.size())];
            first.ipv6 = chance(20);
            if (i > nb_relays && chance(15)) {
                const UplinkId shared = world.box(i - 1).uplinks.front();
                const Nat* nat = world.underlay.uplinks[shared].nat;
                if (nat != nullptr && nat->kind() != NatKind::firewall) {
                    first.nat = NatKind::cone;
                    first.shares_nat_of = shared;
                }
            }
            if (chance(20))
                options.uplinks.push_back({.nat = first.nat, .metered = chance(50)});
            world.add(options);
            if (i > 0)
                world.shape(i, pick(i), [this](Wire& wire) {
                    wire.delay = std::chrono::milliseconds{1 + pick(80)};
                });
        }
    }

    void change() {
        const BoxId one = any_box();
        BoxId other = any_box();
        while (other == one)
            other = any_box();
        switch (pick(12)) {
            case 0:
            case 1:
            case 2:
                world.cut(one, other);
                cuts_.insert(std::minmax(one, other));
                return;
            case 3:
                world.cut_one_way(one, other);
                cuts_.insert(std::minmax(one, other));
                return;
            case 4:
            case 5:
                if (cuts_.empty())
                    return;
                {
                    const auto which =
                        std::next(cuts_.begin(), pick(static_cast<unsigned>(cuts_.size())));
                    world.cut(which->first, which->second, false);
                    cuts_.erase(which);
                }
                return;
            case 6:
                return world.restart(one);
            case 7:
                world.kill(one);
                return world.after(std::chrono::milliseconds{pick(20'000)}, [this, one] {
                    if (!world.box(one).path)
                        world.start(one);
                });
            case 8:
                if (!world.box(one).path)
                    return;
                world.drain(one);
                return world.after(3s, [this, one] {
                    if (!world.box(one).path)
                        world.start(one);
                });
            case 9:
            case 10:
                return change_file(one, other);
            case 11:
                world.note("loss between " + world.box(one).name + " and " + world.box(other).name);
                shaped_.insert(std::minmax(one, other));
                return world.shape(one, other, [this](Wire& wire) {
                    wire.loss = 0.01 * pick(40);
                    wire.jitter = 0.01 * pick(50);
                });
        }
    }

    void change_file(BoxId one, BoxId giver) {
        MemberEntry& entry = world.box(one).entry;
        if (!world.box(giver).path || !world.box(giver).entry.member)
            return;
        bool comes_back = false;
        switch (pick(3)) {
            case 0:
                if (entry.endpoints.empty())
                    return;
                entry.relay = !entry.relay;
                world.note(world.box(one).name +
                           (entry.relay ? " becomes a relay" : " is no relay any more"));
                break;
            default:
                comes_back = !entry.member;
                if (comes_back && !world.box(one).path)
                    return;
                entry.member = !entry.member;
                world.note(world.box(one).name +
                           (entry.member ? " is a member again" : " is revoked"));
                break;
        }
        const auto file = world.sign();
        last_giver_ = giver;
        world.give(giver, file);
        if (comes_back)
            world.give(one, file);
    }

    bool has_last_file(BoxId id) { return world.version_at(id) == world.version(); }

    // By the file that it has.
    bool knows(BoxId who, BoxId whom) {
        return world.box(who).gateway->device().find_peer(world.box(whom).model.node.public_key) !=
               std::nullopt;
    }
    bool linked(BoxId one, BoxId other) const { return !cuts_.contains(std::minmax(one, other)); }
    bool is_relay(BoxId id) { return world.box(id).entry.member && world.box(id).entry.relay; }
    bool has_endpoints(BoxId id) { return !world.box(id).entry.endpoints.empty(); }

    // A link that comes up by itself, whatever NATs there are.
    bool surely_direct(BoxId one, BoxId other) {
        return linked(one, other) && (has_endpoints(one) || has_endpoints(other));
    }
    // Over relays, or directly.
    bool must_reach(BoxId from, BoxId to) {
        if (!world.box(from).entry.member || !world.box(to).entry.member || !has_last_file(from) ||
            !has_last_file(to))
            return false;
        std::set<BoxId> reached{from}, frontier{from};
        while (!frontier.empty()) {
            const BoxId at = frontier.extract(frontier.begin()).value();
            if (surely_direct(at, to))
                return true;
            for (BoxId next = 0; next < world.nb_boxes(); ++next) {
                if (is_relay(next) && has_last_file(next) && surely_direct(at, next) &&
                    reached.insert(next).second)
                    frontier.insert(next);
            }
        }
        return false;
    }
    // From who was given it, over boxes that are members.
    std::vector<bool> file_reaches() {
        std::vector<bool> reached(world.nb_boxes());
        if (!last_giver_)
            return reached;
        std::vector<BoxId> frontier{*last_giver_};
        reached[*last_giver_] = true;
        while (!frontier.empty()) {
            const BoxId at = frontier.back();
            frontier.pop_back();
            for (BoxId next = 0; next < world.nb_boxes(); ++next) {
                if (reached[next] || !world.box(next).entry.member || !surely_direct(at, next) ||
                    !knows(next, at))
                    continue;
                reached[next] = true;
                frontier.push_back(next);
            }
        }
        return reached;
    }

    void look_at_tables(BoxId id, std::vector<std::string>& wrongs) {
        const Box& box = world.box(id);
        const size_t nb_boxes = world.nb_boxes();
        const auto most = [&](const char* what, size_t is, size_t may_be) {
            if (is > may_be)
                wrongs.push_back(box.name + " has " + std::to_string(is) + " " + what);
        };
        most("keypairs", box.path->keypairs.size(), 3 * nb_boxes);
        most("links", box.path->link_table.size(), 32 * nb_boxes);
        most("relay entries", box.path->relays.size(), 8 * nb_boxes * nb_boxes);
    }

    std::mt19937_64 random_;
    std::set<std::pair<BoxId, BoxId>> cuts_;
    std::set<std::pair<BoxId, BoxId>> shaped_;
    std::optional<BoxId> last_giver_;
};

// Nothing wrong, or what is.
std::string run(uint64_t seed) {
    RandomWorld random{seed};
    random.live();
    for (const bool healed : {false, true}) {
        if (healed)
            random.heal();
        random.world.run_for(kSettled);
        const auto wrongs = random.wrongs();
        if (wrongs.empty())
            continue;
        std::string result;
        for (const std::string& wrong : wrongs)
            result += wrong + "\n";
        return result + random.world.story();
    }
    return {};
}

TEST(RandomWorlds, EverybodyReachesWhomTheRulesLet) {
    const meshgate::test::WorldSeeds seeds{1, 40};
    for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
        const std::string wrong = run(seed);
        EXPECT_TRUE(wrong.empty()) << wrong;
    }
}

}  // namespace
}  // namespace meshgate::control::world
