// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/client_roaming.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/names.h"

namespace meshgate::mesh {

namespace {

constexpr size_t kMaxClaims = 4;  // boxes that may claim to have one client at the same time
// Own clients, after a new network file: the others may not have known them.
constexpr auto kSayAgain = std::chrono::seconds{5};
// Between looks at what has expired or must be refreshed.
constexpr auto kLookInterval = std::chrono::seconds{1};
// Everything, to a new neighbour: 32 messages each 50 ms.
constexpr auto kTellingInterval = std::chrono::milliseconds{50};
// Entries told to a new neighbour at a time.
constexpr size_t kEntriesPerTelling = 32 * kMaxClientEntries;
// From one neighbour. 10 000 clients, told anew by a neighbour that has restarted, fit in.
constexpr double kEntriesPerSecond = 2048;
constexpr double kEntriesAtOnce = 32'768;  // burst of the rate above

}  // namespace

void ClientRoaming::set_network(std::span<const ClientRule> clients,
                                std::span<const IpAddress> members, Time now) {
    members_.assign(members.begin(), members.end());
    std::sort(members_.begin(), members_.end());
    std::map<PublicKey, Client> next;
    for (const ClientRule& rule : clients) {
        const auto known = roaming_.find(rule.key);
        Client& client = next[rule.key];
        if (known != roaming_.end())
            client = std::move(known->second);
        client.boxes = rule.boxes;
        std::erase_if(client.claims,
                      [&](const auto& claim) { return !may_be_at(client, claim.first); });
    }
    for (auto& [key, client] : roaming_) {
        if (!next.contains(key) && client.box)
            changes_.push_back({key, std::nullopt});
    }
    roaming_ = std::move(next);
    for (auto& [key, client] : roaming_) {
        update(key, client);
        // Neighbours who had this file later than we may not have known a client when we spoke of
        // it.
        if (const auto own = client.claims.find(self_); own != client.claims.end())
            own->second.said = std::min(own->second.said, now - kClientRefresh + kSayAgain);
    }
    std::erase_if(news_, [this](const auto& one) {
        const auto client = roaming_.find(one.first.key);
        return client == roaming_.end() || !client->second.claims.contains(one.first.box);
    });
    next_look_ = now + kLookInterval;
}

void ClientRoaming::add_neighbor(const IpAddress& node, Time now) {
    Neighbor& neighbor =
        neighbors_.try_emplace(node, Neighbor{.entries = {kEntriesPerSecond, kEntriesAtOnce}})
            .first->second;
    if (!roaming_.empty())
        neighbor.told_from = roaming_.begin()->first;
    next_telling_ = now;
}

void ClientRoaming::remove_neighbor(const IpAddress& node) {
    neighbors_.erase(node);
}

// ---- our own ----

void ClientRoaming::here(const PublicKey& key, const ClientTimestamp& timestamp, Time now) {
    const auto found = roaming_.find(key);
    if (found == roaming_.end() || !may_be_at(found->second, self_))
        return;
    Client& client = found->second;
    const auto [own, added] = client.claims.try_emplace(self_);
    if (!added && !own->second.gone && own->second.timestamp >= timestamp)
        return;
    const bool greater = own->second.timestamp < timestamp;
    own->second = {.timestamp = std::max(own->second.timestamp, timestamp),
                   .refresh = greater ? 0 : own->second.refresh + 1,
                   .said = now};
    news_[{key, self_}] = self_;
    update(key, client);
}

void ClientRoaming::gone(const PublicKey& key, Time now) {
    const auto found = roaming_.find(key);
    if (found == roaming_.end())
        return;
    const auto own = found->second.claims.find(self_);
    if (own == found->second.claims.end() || own->second.gone)
        return;
    own->second.gone = true;
    announce(key, found->second, now);
    update(key, found->second);
}

// Says again what we say, as of now.
void ClientRoaming::announce(const PublicKey& key, Client& client, Time now) {
    Claim& own = client.claims.at(self_);
    ++own.refresh;
    own.said = now;
    news_[{key, self_}] = self_;
}

// ---- what neighbours say ----

bool ClientRoaming::may_be_at(const Client& client, const IpAddress& box) const {
    const bool allowed = client.boxes.empty() || std::find(client.boxes.begin(), client.boxes.end(),
                                                           box) != client.boxes.end();
    return allowed && std::binary_search(members_.begin(), members_.end(), box);
}

bool ClientRoaming::is_believed(const IpAddress& from, const IpAddress& box) const {
    if (from == box)
        return true;
    const auto next_hop = routes_.next_hop_to(box);
    return box != self_ && next_hop && next_hop->node == from;
}

void ClientRoaming::receive(const IpAddress& from, const ClientAt& said, Time now) {
    const auto neighbor = neighbors_.find(from);
    if (neighbor == neighbors_.end()) {
        count(ClientCounter::from_strangers);
        return;
    }
    for (const ClientAt::Entry& entry : said.entries) {
        if (neighbor->second.entries.take(now))
            receive_entry(from, entry, now);
        else
            count(ClientCounter::over_rate);
    }
}

void ClientRoaming::receive_entry(const IpAddress& from, const ClientAt::Entry& entry, Time now) {
    count(ClientCounter::entries_received);
    const auto found = roaming_.find(entry.key);
    if (found == roaming_.end()) {
        count(ClientCounter::unknown_client);
        return;
    }
    Client& client = found->second;
    if (entry.box == self_ || !is_believed(from, entry.box)) {
        count(ClientCounter::not_by_its_way);
        return;
    }
    if (!may_be_at(client, entry.box)) {
        count(ClientCounter::box_not_allowed);
        return;
    }
    const auto age = std::chrono::seconds{entry.age_s};
    if (age >= kClientLifetime)
        return;
    const Claim claim{entry.timestamp, entry.refresh, entry.gone, now - age};
    const auto rank = [](const Claim& one) {
        return std::tie(one.timestamp, one.refresh, one.gone);
    };
    const auto known = client.claims.find(entry.box);
    if (known != client.claims.end()) {
        if (rank(claim) <= rank(known->second))
            return;
        known->second = claim;
    } else {
        if (client.claims.size() >= kMaxClaims) {
            const auto least = std::min_element(
                client.claims.begin(), client.claims.end(), [this](const auto& a, const auto& b) {
                    return std::pair{a.first == self_, a.second.timestamp} <
                           std::pair{b.first == self_, b.second.timestamp};
                });
            if (least->first == self_ || least->second.timestamp >= claim.timestamp)
                return;
            news_.erase({entry.key, least->first});
            client.claims.erase(least);
        }
        client.claims.emplace(entry.box, claim);
    }
    news_[{entry.key, entry.box}] = from;
    update(entry.key, client);
}

// Finds where the client is now, and says so if it was elsewhere.
void ClientRoaming::update(const PublicKey& key, Client& client) {
    const std::pair<const IpAddress, Claim>* best = nullptr;
    for (const auto& claim : client.claims) {
        if (!claim.second.gone &&
            (best == nullptr || claim.second.timestamp > best->second.timestamp))
            best = &claim;
    }
    const auto box = best == nullptr ? std::nullopt : std::optional{best->first};
    if (box == client.box)
        return;
    client.box = box;
    changes_.push_back({key, box});
}

// ---- time ----

// What we say ourselves holds until we say otherwise.
bool ClientRoaming::is_outdated(const IpAddress& box, const Claim& claim, Time now) const {
    return now - claim.said >= kClientLifetime && (box != self_ || claim.gone);
}

void ClientRoaming::look_over(Time now) {
    for (auto& [key, client] : roaming_) {
        std::erase_if(client.claims, [&, key = key](const auto& claim) {
            if (!is_outdated(claim.first, claim.second, now))
                return false;
            news_.erase({key, claim.first});
            return true;
        });
        update(key, client);
        // A client that has moved on is the other box's to speak of, as long as that does.
        const auto own = client.claims.find(self_);
        if (own != client.claims.end() && client.box == self_ &&
            now - own->second.said >= kClientRefresh)
            announce(key, client, now);
    }
}

void ClientRoaming::tick(Time now) {
    if (next_look_ <= now) {
        next_look_ = now + kLookInterval;
        look_over(now);
    }
    if (next_telling_ > now)
        return;
    next_telling_ = kNever;
    for (auto& [node, neighbor] : neighbors_) {
        if (neighbor.told_from)
            tell_more(node, neighbor, now);
        if (neighbor.told_from)
            next_telling_ = now + kTellingInterval;
    }
}

Time ClientRoaming::next_deadline() const noexcept {
    return std::min(next_look_, next_telling_);
}

// ---- what goes out ----

ClientAt::Entry ClientRoaming::entry_of(const News& news, const Claim& claim, Time now) const {
    // Rounded up, so that passing it on makes nothing younger.
    const auto age = std::chrono::ceil<std::chrono::seconds>(now - claim.said).count();
    return {.key = news.key,
            .box = news.box,
            .timestamp = claim.timestamp,
            .refresh = claim.refresh,
            // Ours hold while they stand; of others the age grows from box to box.
            .age_s = news.box == self_ && !claim.gone ? uint16_t{0} : static_cast<uint16_t>(age),
            .gone = claim.gone};
}

void ClientRoaming::send(const IpAddress& to, std::vector<ClientAt::Entry> entries) {
    count(ClientCounter::entries_sent, entries.size());
    for (size_t i = 0; i < entries.size(); i += kMaxClientEntries) {
        const auto start = entries.begin() + static_cast<std::ptrdiff_t>(i);
        const auto len = std::min(kMaxClientEntries, entries.size() - i);
        messages_.push_back({to, ClientAt{{start, start + static_cast<std::ptrdiff_t>(len)}}});
    }
}

// Continues to tell a new neighbour everything, but of boxes that we hear of from there.
void ClientRoaming::tell_more(const IpAddress& to, Neighbor& neighbor, Time now) {
    std::vector<ClientAt::Entry> entries;
    auto client = roaming_.lower_bound(*neighbor.told_from);
    for (; client != roaming_.end() && entries.size() < kEntriesPerTelling; ++client) {
        for (const auto& [box, claim] : client->second.claims) {
            if (!is_believed(to, box) && !is_outdated(box, claim, now))
                entries.push_back(entry_of({client->first, box}, claim, now));
        }
    }
    neighbor.told_from = client == roaming_.end() ? std::nullopt : std::optional{client->first};
    send(to, std::move(entries));
}

void ClientRoaming::tell_news(Time now) {
    for (const auto& [to, neighbor] : neighbors_) {
        std::vector<ClientAt::Entry> entries;
        for (const auto& [news, from] : news_) {
            if (from != to && !is_believed(to, news.box))
                entries.push_back(entry_of(news, roaming_.at(news.key).claims.at(news.box), now));
        }
        send(to, std::move(entries));
    }
    news_.clear();
}

std::vector<Outgoing> ClientRoaming::take_messages(Time now) {
    if (!news_.empty())
        tell_news(now);
    return std::exchange(messages_, {});
}

std::vector<ClientChange> ClientRoaming::take_changes() {
    return std::exchange(changes_, {});
}

// ---- views ----

std::optional<IpAddress> ClientRoaming::box_of(const PublicKey& key) const {
    const auto found = roaming_.find(key);
    return found == roaming_.end() ? std::nullopt : found->second.box;
}

size_t ClientRoaming::nb_claims() const noexcept {
    size_t sum = 0;
    for (const auto& [key, client] : roaming_)
        sum += client.claims.size();
    return sum;
}

const char* to_string(ClientCounter counter) noexcept {
    constexpr auto kNames = names_of<kNbClientCounters>(
        {"entries_received", "entries_sent", "unknown_client", "box_not_allowed", "not_by_its_way",
         "over_rate", "from_strangers"});
    return kNames[static_cast<size_t>(counter)];
}

}  // namespace meshgate::mesh
