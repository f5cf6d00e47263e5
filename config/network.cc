// SPDX-License-Identifier: Apache-2.0
#include "config/network.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "config/schema/network_keys.h"
#include "config/validate/overlaps.h"

namespace meshgate::config {
namespace {

template <typename T>
bool same_set(std::vector<T> a, std::vector<T> b) {
    const auto order = [](const T& x, const T& y) {
        if constexpr (requires { x.text; })
            return x.text < y.text;
        else
            return x < y;
    };
    std::sort(a.begin(), a.end(), order);
    std::sort(b.begin(), b.end(), order);
    return a == b;
}

MemberChange compare(const Member& before, const Member& after) {
    MemberChange change{.before = before, .after = after};
    change.name = before.name != after.name;
    change.prefixes = !same_set(before.prefixes, after.prefixes);
    change.endpoints = !same_set(before.endpoints, after.endpoints);
    change.relay = before.relay != after.relay;
    change.published = !same_set(before.published, after.published);
    change.tags = !same_set(before.tags, after.tags);
    return change;
}

bool is_change(const MemberChange& change) {
    return change.name || change.prefixes || change.endpoints || change.relay || change.published ||
           change.tags;
}

ClientChange compare(const Client& before, const Client& after) {
    ClientChange change{.before = before, .after = after};
    change.name = before.name != after.name;
    change.addresses = !same_set(before.addresses, after.addresses);
    change.boxes = !same_set(before.boxes, after.boxes);
    change.tags = !same_set(before.tags, after.tags);
    return change;
}

bool is_change(const ClientChange& change) {
    return change.name || change.addresses || change.boxes || change.tags;
}

template <typename T, typename Change>
void compare_lists(const std::vector<T>& before, const std::vector<T>& after, std::vector<T>& added,
                   std::vector<T>& removed, std::vector<Change>& changed) {
    std::map<PublicKey, const T*> old;
    for (const T& one : before)
        old.emplace(one.public_key, &one);
    for (const T& one : after) {
        const auto found = old.find(one.public_key);
        if (found == old.end()) {
            added.push_back(one);
            continue;
        }
        Change change = compare(*found->second, one);
        if (is_change(change))
            changed.push_back(std::move(change));
        old.erase(found);
    }
    for (const T& one : before)
        if (old.contains(one.public_key))
            removed.push_back(one);
}

// What the box file has and what the network gives to somebody else.
struct Claim {
    Prefix prefix;
    const Peer* peer = nullptr;  // null: the network's
    std::string_view owner;
};

class AgainstBoxFile {
public:
    AgainstBoxFile(const Model& model, const Network& network) : model_{model}, network_{network} {}

    std::vector<Diagnostic> run() {
        check_keys();
        check_prefixes();
        return std::move(found_);
    }

private:
    Diagnostic& add(Severity severity, std::string_view code, std::string path,
                    std::string message) {
        Diagnostic diagnostic;
        diagnostic.severity = severity;
        diagnostic.code = code;
        diagnostic.file = model_.network ? model_.network->file : "";
        diagnostic.path = std::move(path);
        diagnostic.message = std::move(message);
        return found_.emplace_back(std::move(diagnostic));
    }

    void check_keys() {
        std::map<PublicKey, std::string_view> owners;
        std::unordered_map<std::string_view, PublicKey> names;
        for (const Member& member : network_.members) {
            owners.emplace(member.public_key, member.name);
            names.emplace(member.name, member.public_key);
        }
        if (!owners.contains(model_.node.public_key))
            add(Severity::warning, "not-a-member", "members",
                "this box is no member: no member has its key " + to_string(model_.node.public_key))
                .fix =
                "add the box to the network file and sign it anew, or take the private key that "
                "belongs to its entry";
        for (const Client& client : network_.clients) {
            owners.emplace(client.public_key, client.name);
            names.emplace(client.name, client.public_key);
        }
        for (const Peer& peer : model_.peers) {
            const auto namesake = names.find(peer.name);
            if (namesake != names.end() && namesake->second != peer.public_key)
                add(Severity::error, "name-of-member", "",
                    "the network file gives the name '" + peer.name +
                        "' of a peer of the box file to somebody else")
                    .fix = "choose another name in the box file";
            const auto owner = owners.find(peer.public_key);
            if (owner != owners.end())
                add(Severity::error, "key-of-member", "",
                    "peer " + peer.name + " of the box file has the key of " +
                        std::string{owner->second} + " of the network file")
                    .fix = "remove the peer from the box file: the network file has it";
        }
    }

    void check_prefixes() {
        std::vector<Claim> claims;
        const auto collect = [&](const std::vector<Prefix>& prefixes, const Peer* peer,
                                 std::string_view owner) {
            for (const Prefix& prefix : prefixes)
                claims.push_back({prefix, peer, owner});
        };
        if (model_.peers.empty())
            return;
        if (model_.network)
            claims.push_back(
                {node_prefix(model_.network->authority), nullptr, "the boxes themselves"});
        for (const Member& member : network_.members)
            collect(member.prefixes, nullptr, member.name);
        for (const Client& client : network_.clients)
            collect(client.addresses, nullptr, client.name);
        for (const Peer& peer : model_.peers)
            collect(peer.allowed_ips, &peer, peer.name);
        find_overlaps(
            claims,
            [](const Claim& outer, const Claim& inner) {
                const bool left_over = outer.prefix.len == 0 && inner.prefix.len != 0;
                return (outer.peer == nullptr) != (inner.peer == nullptr) && !left_over;
            },
            [this](const Claim& outer, const Claim& inner) {
                complain(outer, inner);
                return found_.size() < Report::kMaxErrors;
            });
    }

    void complain(const Claim& outer, const Claim& inner) {
        const Claim& peer = outer.peer != nullptr ? outer : inner;
        const Claim& other = outer.peer != nullptr ? inner : outer;
        add(Severity::error, "prefix-overlap", "",
            to_string(peer.prefix) + " of peer " + std::string{peer.owner} +
                " in the box file overlaps " + to_string(other.prefix) + " of " +
                std::string{other.owner} + " in the network file")
            .fix = "narrow or remove it in the box file";
    }

    const Model& model_;
    const Network& network_;
    std::vector<Diagnostic> found_;
};

}  // namespace

NetworkResult parse_network(std::string_view text, const std::string& file_name,
                            const std::optional<AuthorityKey>& authority) {
    Report report{text, file_name, kNetworkFile};
    Network network;
    if (const auto root = parse_tree(report)) {
        network = bind_network(*root, report);
        const bool keys = root->kind == NodeKind::map || root->kind == NodeKind::null;
        if (keys && !report.full())
            validate_network(*root, network, report, authority);
    }
    NetworkResult result;
    if (!report.has_errors())
        result.network = std::move(network);
    result.diagnostics = report.take();
    return result;
}

std::vector<Diagnostic> check_against(const Model& model, const Network& network) {
    return AgainstBoxFile{model, network}.run();
}

bool NetworkDiff::empty() const noexcept {
    return added_members.empty() && removed_members.empty() && changed_members.empty() &&
           added_clients.empty() && removed_clients.empty() && changed_clients.empty();
}

NetworkDiff diff(const Network& before, const Network& after) {
    NetworkDiff result;
    compare_lists(before.members, after.members, result.added_members, result.removed_members,
                  result.changed_members);
    compare_lists(before.clients, after.clients, result.added_clients, result.removed_clients,
                  result.changed_clients);
    return result;
}

}  // namespace meshgate::config
