// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/relayed_clients.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/names.h"
#include "control/wireguard/messages.h"

namespace meshgate::mesh {

namespace {

using wireguard::from_le32;
using wireguard::MessageType;
using Bytes = std::span<const uint8_t>;

// Of all initiations that are looked at, mac1 of each published member is computed.
constexpr double kExaminedPerSecond = 2000;
constexpr double kExaminedAtOnce = 500;  // burst of the rate above
// Of one member. It has its own defence, cookies; this bounds what passes through us.
constexpr double kHandshakesPerSecond = 500;
constexpr double kHandshakesAtOnce = 500;       // burst of the rate above
constexpr size_t kMaxWaiting = 4096;            // initiations that wait for the member's answer
constexpr size_t kMaxWaitingPerAddress = 16;    // of them from one source address
constexpr size_t kMaxSessionsPerMember = 4096;  // clients' sessions with one relayed member
constexpr size_t kMaxSessions = 32'768;         // with all of them

// WireGuard paper, section 5.4.4: HASH("mac1----" || the responder's public key).
wireguard::Hash mac1_key_of(const PublicKey& key) {
    constexpr std::string_view kLabel = "mac1----";
    return wireguard::hash({reinterpret_cast<const uint8_t*>(kLabel.data()), kLabel.size()},
                           key.bytes);
}

uint32_t index_at(Bytes message, size_t offset) {
    wireguard::Le32 word;
    std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(offset), word.size(), word.begin());
    return from_le32(word);
}

bool is_of(Bytes message, MessageType type, size_t len) {
    return message.size() == len && index_at(message, 0) == static_cast<uint32_t>(type);
}

}  // namespace

RelayedClients::RelayedClients(const RouteLookup& routes, RelayEntries& entries, ClientLinks& links)
    : routes_{routes},
      entries_{entries},
      links_{links},
      examined_{kExaminedPerSecond, kExaminedAtOnce} {}

RelayedClients::~RelayedClients() {
    end_sessions_if([](const Session&) { return true; });
}

void RelayedClients::set_published(std::span<const PublishedMember> members) {
    std::vector<Member> next;
    for (const PublishedMember& one : members.first(std::min(members.size(), kMaxPublished))) {
        Member member{.node = one.node,
                      .mac1_key = mac1_key_of(one.key),
                      .handshakes = {kHandshakesPerSecond, kHandshakesAtOnce}};
        if (const Member* known = member_at(one.node)) {
            member.handshakes = known->handshakes;
            member.nb_sessions = known->nb_sessions;
        }
        next.push_back(member);
    }
    members_ = std::move(next);
    end_sessions_if([this](const Session& one) { return member_at(one.member) == nullptr; });
    std::vector<uint32_t> gone;
    for (const auto& [index, one] : waiting_) {
        if (member_at(one.member) == nullptr)
            gone.push_back(index);
    }
    for (const uint32_t index : gone)
        forget_waiting(index);
}

// False: there is no direct way to the member any more.
bool RelayedClients::follow_way(Session& session) {
    const auto link = link_to(session.member);
    if (!link)
        return false;
    if (*link != session.member_link)
        entries_.move(session.member_index, *link);
    session.member_link = *link;
    return true;
}

void RelayedClients::on_next_hop_changed(const IpAddress& member) {
    end_sessions_if([&](Session& one) { return one.member == member && !follow_way(one); });
}

void RelayedClients::on_link_gone(LinkId link) {
    end_sessions_if([&](Session& one) {
        return client_links_.at(one.client).link == link ||
               (one.member_link == link && (!follow_way(one) || one.member_link == link));
    });
}

// ---- whom a message is for ----

RelayedClients::Member* RelayedClients::member_with_mac1(Bytes initiation) {
    const Bytes covered = initiation.first(initiation.size() - wireguard::kMacsLen);
    const Bytes mac1 = initiation.subspan(covered.size(), wireguard::kMacLen);
    for (Member& member : members_) {
        if (wireguard::equal_in_constant_time(wireguard::mac(member.mac1_key, covered), mac1))
            return &member;
    }
    return nullptr;
}

RelayedClients::Member* RelayedClients::member_at(const IpAddress& node) {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const Member& member) { return member.node == node; });
    return found == members_.end() ? nullptr : &*found;
}

// Directly: handshakes of clients travel as plain datagrams, which another relay would not know.
std::optional<LinkId> RelayedClients::link_to(const IpAddress& member) const {
    const auto next_hop = routes_.next_hop_to(member);
    if (!next_hop || next_hop->node != member)
        return std::nullopt;
    return next_hop->link;
}

void RelayedClients::receive(Bytes datagram, const ClientAddress& source,
                             const std::optional<IpAddress>& member, Time now) {
    if (is_of(datagram, MessageType::initiation, sizeof(wireguard::InitiationMessage))) {
        // A member's would mean that relays send it round among themselves.
        if (member || !is_plausible(source.remote))
            count(RelayedClientsCounter::refused_source);
        else
            receive_initiation(datagram, source, now);
        return;
    }
    const bool is_answer =
        is_of(datagram, MessageType::response, sizeof(wireguard::ResponseMessage)) ||
        is_of(datagram, MessageType::cookie_reply, sizeof(wireguard::CookieReplyMessage));
    if (is_answer && member)
        receive_answer(datagram, *member, now);
    else
        count(RelayedClientsCounter::not_for_us);
}

void RelayedClients::receive_initiation(Bytes message, const ClientAddress& source, Time now) {
    if (members_.empty() || !examined_.take(now)) {
        count(members_.empty() ? RelayedClientsCounter::not_for_us
                               : RelayedClientsCounter::over_rate);
        return;
    }
    Member* member = member_with_mac1(message);
    if (member == nullptr) {
        count(RelayedClientsCounter::not_for_us);
        return;
    }
    const auto link = link_to(member->node);
    if (!link) {
        count(RelayedClientsCounter::no_link);
        return;
    }
    const uint32_t index = index_at(message, offsetof(wireguard::InitiationMessage, sender_index));
    const auto known = waiting_.find(index);
    const bool repeated = known != waiting_.end() && known->second.client == source &&
                          known->second.member == member->node;
    if (sessions_.contains(index) || (known != waiting_.end() && !repeated)) {
        count(RelayedClientsCounter::index_taken);
        return;
    }
    if (!repeated && waiting_.size() >= kMaxWaiting) {
        count(RelayedClientsCounter::table_full);
        return;
    }
    const auto of_address = nb_waiting_of_.find(source.remote.address);
    const bool too_many = !repeated && of_address != nb_waiting_of_.end() &&
                          of_address->second >= kMaxWaitingPerAddress;
    if (too_many || !member->handshakes.take(now)) {
        count(RelayedClientsCounter::over_rate);
        return;
    }
    if (repeated) {
        known->second.budget += message.size();
    } else {
        waiting_[index] = {member->node, source, message.size(), now + kPublishedHandshake};
        ++nb_waiting_of_[source.remote.address];
        waiting_order_.emplace_back(now + kPublishedHandshake, index);
    }
    count(RelayedClientsCounter::initiations_forwarded);
    datagrams_.push_back({*link, {}, {message.begin(), message.end()}});
}

void RelayedClients::receive_answer(Bytes message, const IpAddress& member, Time now) {
    const bool is_response = message.size() == sizeof(wireguard::ResponseMessage);
    const size_t receiver_at = is_response
                                   ? offsetof(wireguard::ResponseMessage, receiver_index)
                                   : offsetof(wireguard::CookieReplyMessage, receiver_index);
    const uint32_t client_index = index_at(message, receiver_at);
    const auto found = waiting_.find(client_index);
    if (found == waiting_.end() || found->second.member != member || found->second.expires <= now) {
        count(RelayedClientsCounter::not_for_us);
        return;
    }
    Waiting& waiting = found->second;
    if (message.size() > waiting.budget) {
        count(RelayedClientsCounter::over_budget);
        return;
    }
    waiting.budget -= message.size();
    const ClientAddress client = waiting.client;
    if (is_response) {
        const uint32_t member_index =
            index_at(message, offsetof(wireguard::ResponseMessage, sender_index));
        const bool made = make_session(client_index, member_index, waiting, now);
        forget_waiting(client_index);
        if (!made)
            return;
    }
    count(RelayedClientsCounter::answers_forwarded);
    datagrams_.push_back({std::nullopt, client, {message.begin(), message.end()}});
}

// ---- sessions ----

bool RelayedClients::make_session(uint32_t client_index, uint32_t member_index,
                                  const Waiting& waiting, Time now) {
    Member& member = *member_at(waiting.member);
    const auto to_member = link_to(member.node);
    if (!to_member) {
        count(RelayedClientsCounter::no_link);
        return false;
    }
    if (member.nb_sessions >= kMaxSessionsPerMember || sessions_.size() >= kMaxSessions) {
        count(RelayedClientsCounter::table_full);
        return false;
    }
    const auto to_client = hold_client_link(waiting.client);
    if (!to_client) {
        count(RelayedClientsCounter::table_full);
        return false;
    }
    if (!entries_.install(member_index, *to_member)) {
        release_client_link(waiting.client);
        count(RelayedClientsCounter::index_taken);
        return false;
    }
    if (!entries_.install(client_index, *to_client)) {
        entries_.remove(member_index);
        release_client_link(waiting.client);
        count(RelayedClientsCounter::index_taken);
        return false;
    }
    ++member.nb_sessions;
    count(RelayedClientsCounter::sessions);
    const Time expires = now + kPublishedLifetime;
    sessions_[client_index] = {.member = waiting.member,
                               .member_index = member_index,
                               .member_link = *to_member,
                               .client = waiting.client,
                               .expires = expires};
    session_order_.emplace_back(expires, client_index);
    return true;
}

void RelayedClients::end_session(uint32_t client_index) {
    const auto found = sessions_.find(client_index);
    const Session session = found->second;
    sessions_.erase(found);
    entries_.remove(client_index);
    entries_.remove(session.member_index);
    release_client_link(session.client);
    if (Member* member = member_at(session.member))
        --member->nb_sessions;
}

template <typename Condition>
void RelayedClients::end_sessions_if(Condition condition) {
    std::vector<uint32_t> ended;
    for (auto& [index, session] : sessions_) {
        if (condition(session))
            ended.push_back(index);
    }
    for (const uint32_t index : ended)
        end_session(index);
}

std::optional<LinkId> RelayedClients::hold_client_link(const ClientAddress& client) {
    const auto found = client_links_.find(client);
    if (found != client_links_.end()) {
        ++found->second.nb_sessions;
        return found->second.link;
    }
    const LinkId link = links_.open(client);
    if (link == kNoLink)
        return std::nullopt;
    client_links_[client] = {link, 1};
    return link;
}

void RelayedClients::release_client_link(const ClientAddress& client) {
    const auto found = client_links_.find(client);
    if (--found->second.nb_sessions > 0)
        return;
    const LinkId link = found->second.link;
    client_links_.erase(found);
    links_.close(link);
}

void RelayedClients::forget_waiting(uint32_t client_index) {
    const auto found = waiting_.find(client_index);
    const auto of_address = nb_waiting_of_.find(found->second.client.remote.address);
    if (--of_address->second == 0)
        nb_waiting_of_.erase(of_address);
    waiting_.erase(found);
}

// ---- time ----

void RelayedClients::tick(Time now) {
    // An index may have been used again since: then it expires later.
    while (!waiting_order_.empty() && waiting_order_.front().first <= now) {
        const auto found = waiting_.find(waiting_order_.front().second);
        waiting_order_.pop_front();
        if (found != waiting_.end() && found->second.expires <= now)
            forget_waiting(found->first);
    }
    while (!session_order_.empty() && session_order_.front().first <= now) {
        const auto found = sessions_.find(session_order_.front().second);
        session_order_.pop_front();
        if (found != sessions_.end() && found->second.expires <= now)
            end_session(found->first);
    }
}

Time RelayedClients::next_deadline() const noexcept {
    const auto first = [](const auto& order) {
        return order.empty() ? kNever : order.front().first;
    };
    return std::min(first(waiting_order_), first(session_order_));
}

std::vector<RelayedClientsDatagram> RelayedClients::take_datagrams() {
    return std::exchange(datagrams_, {});
}

const char* to_string(RelayedClientsCounter counter) noexcept {
    constexpr auto kNames = names_of<kNbRelayedClientsCounters>(
        {"initiations_forwarded", "answers_forwarded", "sessions", "not_for_us", "no_link",
         "over_rate", "table_full", "index_taken", "over_budget", "refused_source"});
    return kNames[static_cast<size_t>(counter)];
}

}  // namespace meshgate::mesh
