// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/text.h"
#include "config/schema/network_keys.h"
#include "config/validate/complain.h"
#include "config/validate/overlaps.h"

namespace meshgate::config {
namespace {

Path member_path(size_t member, std::string_view key, int item = -1) {
    return Path{.group = "members", .index = static_cast<int>(member), .key = key, .item = item};
}

Path client_path(size_t client, std::string_view key, int item = -1) {
    return Path{.group = "clients", .index = static_cast<int>(client), .key = key, .item = item};
}

// Names, keys, and who refers to whom.
class NameRules {
public:
    NameRules(const YamlNode& root, const Network& network, Report& report)
        : network_{network}, complain_{root, report} {}

    void run() {
        if (network_.members.empty() && complain_.sound(Path{.group = "members"}))
            complain_
                .error("no-members", Path{.group = "members"}, "a network without a single box")
                .fix = "list the boxes, each with its name and public_key";
        const size_t nb_members = network_.members.size();
        for (size_t i = 0; i < nb_members && !complain_.full(); ++i) {
            check_name(member_path(i, "name"), network_.members[i].name);
            check_key(member_path(i, "public_key"), network_.members[i].public_key);
            if (!network_.members[i].name.empty())
                member_names_.emplace(network_.members[i].name, i);
        }
        for (size_t i = 0; i < network_.clients.size() && !complain_.full(); ++i) {
            check_name(client_path(i, "name"), network_.clients[i].name);
            check_key(client_path(i, "public_key"), network_.clients[i].public_key);
            check_boxes(i);
        }
        for (size_t i = 0; i < nb_members && !complain_.full(); ++i)
            check_published(i);
        check_reachable();
    }

private:
    void check_name(const Path& path, const std::string& name) {
        if (name.empty())
            return;
        const auto [first, fresh] = names_.emplace(name, path);
        if (fresh)
            return;
        Diagnostic& diagnostic = complain_.error(
            "name-twice", path, "another member or client is called '" + name + "'");
        diagnostic.fix = "choose another name";
        diagnostic.related.push_back(complain_.related(first->second, "the other"));
    }

    void check_key(const Path& path, const PublicKey& key) {
        if (key == PublicKey{})
            return;
        const auto [first, fresh] = keys_.emplace(key, path);
        if (fresh)
            return;
        Diagnostic& diagnostic =
            complain_.error("key-twice", path, "another member or client has this key");
        diagnostic.fix = "each box and each device needs a key pair of its own";
        diagnostic.related.push_back(complain_.related(first->second, "the other"));
    }

    // The position of a member; complains when there is none of that name.
    std::optional<size_t> member_called(const Path& path, const std::string& name) const {
        if (name.empty())
            return std::nullopt;
        const auto found = member_names_.find(name);
        if (found != member_names_.end())
            return found->second;
        Diagnostic& diagnostic =
            complain_.error("no-such-member", path, "there is no member '" + name + "'");
        diagnostic.fix = "write the name of a member as it stands in this file";
        if (complain_.full())
            return std::nullopt;
        std::vector<std::string_view> names;
        for (const Member& member : network_.members)
            names.push_back(member.name);
        diagnostic.suggestion = closest_word(name, names);
        return std::nullopt;
    }

    void check_boxes(size_t i) const {
        const std::vector<std::string>& boxes = network_.clients[i].boxes;
        for (size_t b = 0; b < boxes.size() && !complain_.full(); ++b)
            member_called(client_path(i, "boxes", static_cast<int>(b)), boxes[b]);
    }

    void check_published(size_t i) const {
        const std::vector<std::string>& relays = network_.members[i].published;
        for (size_t r = 0; r < relays.size() && !complain_.full(); ++r) {
            const Path path = member_path(i, "published", static_cast<int>(r));
            const auto relay = member_called(path, relays[r]);
            if (!relay)
                continue;
            if (*relay == i) {
                complain_.error("not-a-relay", path, "this is the member itself").fix =
                    "leave it out: clients reach it at its own endpoints";
            } else if (!network_.members[*relay].relay) {
                Diagnostic& diagnostic =
                    complain_.error("not-a-relay", path, "member '" + relays[r] + "' is no relay");
                diagnostic.fix = "give it relay: true, or name a member that has it";
                diagnostic.related.push_back(
                    complain_.related(member_path(*relay, "name"), "the member"));
            }
        }
    }

    void check_reachable() const {
        bool any = network_.members.size() < 2 || complain_.any_error();
        for (const Member& member : network_.members)
            any = any || !member.endpoints.empty();
        if (!any)
            complain_
                .warning("no-endpoints", Path{.group = "members"},
                         "no member has an endpoint, so none can find another")
                .fix = "give endpoints to the members that have an address on the internet";
        for (size_t i = 0; any && i < network_.members.size() && !complain_.any_error(); ++i) {
            const Member& member = network_.members[i];
            if (member.relay && member.endpoints.empty())
                complain_
                    .warning("relay-without-endpoint", member_path(i, "relay"),
                             "nobody can call this relay, so it is of little use")
                    .fix = "add endpoints, or remove relay";
        }
    }

    const Network& network_;
    Complainer complain_;
    std::unordered_map<std::string_view, Path> names_;
    std::unordered_map<std::string_view, size_t> member_names_;
    std::map<PublicKey, Path> keys_;
};

// A prefix and who owns it.
struct Claim {
    enum class Kind : uint8_t { boxes, member, client };
    Prefix prefix;
    Kind kind;
    size_t owner;
    int item;
};

class OwnershipRules {
public:
    OwnershipRules(const YamlNode& root, const Network& network, Report& report)
        : network_{network}, complain_{root, report} {}

    void run(const std::optional<AuthorityKey>& authority) {
        if (authority)
            claims_.push_back({node_prefix(*authority), Claim::Kind::boxes, 0, -1});
        for (size_t i = 0; i < network_.members.size(); ++i)
            collect(network_.members[i].prefixes, Claim::Kind::member, i);
        for (size_t i = 0; i < network_.clients.size(); ++i)
            collect(network_.clients[i].addresses, Claim::Kind::client, i);
        find_overlaps(claims_, excludes, [this](const Claim& outer, const Claim& inner) {
            complain(outer, inner);
            return !complain_.full();
        });
    }

private:
    void collect(const std::vector<Prefix>& prefixes, Claim::Kind kind, size_t owner) {
        for (size_t i = 0; i < prefixes.size(); ++i) {
            const Claim claim{prefixes[i], kind, owner, static_cast<int>(i)};
            if (claim.prefix.address.family == Family::none)
                continue;
            if (kind == Claim::Kind::client && claim.prefix.len == 0)
                complain_.error("bad-prefix", path_of(claim), "a client cannot have all addresses")
                    .fix = "write the addresses of the device itself";
            else
                claims_.push_back(claim);
        }
    }

    // A default prefix is what nobody else has. Prefixes of one owner may nest. A client may be the
    // exception within a member's prefix, where the longer prefix wins; not the other way round.
    static bool excludes(const Claim& outer, const Claim& inner) {
        if (outer.prefix == inner.prefix)
            return true;
        if (outer.prefix.len == 0 || (outer.kind == inner.kind && outer.owner == inner.owner))
            return false;
        return outer.kind != Claim::Kind::member || inner.kind != Claim::Kind::client;
    }

    std::string owner_of(const Claim& claim) const {
        switch (claim.kind) {
            case Claim::Kind::boxes:
                return "of the boxes' own addresses";
            case Claim::Kind::member:
                return "of member " + network_.members[claim.owner].name;
            case Claim::Kind::client:
                break;
        }
        return "of client " + network_.clients[claim.owner].name;
    }

    static Path path_of(const Claim& claim) {
        return claim.kind == Claim::Kind::member ? member_path(claim.owner, "prefixes", claim.item)
                                                 : client_path(claim.owner, "address", claim.item);
    }

    // Blames the client rather than the member, and of two alike the later one.
    void complain(const Claim& outer, const Claim& inner) const {
        const auto rank = [](const Claim& claim) {
            return std::tuple{claim.kind, claim.owner, claim.item};
        };
        const Claim& blamed = rank(outer) > rank(inner) ? outer : inner;
        const Claim& other = rank(outer) > rank(inner) ? inner : outer;
        const bool same = outer.prefix == inner.prefix;
        Diagnostic& diagnostic =
            complain_.error("prefix-overlap", path_of(blamed),
                            to_string(blamed.prefix) + (same ? " is also " : " overlaps ") +
                                (same ? "" : to_string(other.prefix) + " ") + owner_of(other));
        diagnostic.fix = other.kind == Claim::Kind::boxes
                             ? "choose another prefix: this one follows from the authority's key"
                             : "narrow or remove one of the two";
        if (other.kind != Claim::Kind::boxes)
            diagnostic.related.push_back(
                complain_.related(path_of(other), to_string(other.prefix) + " " + owner_of(other)));
    }

    const Network& network_;
    Complainer complain_;
    std::vector<Claim> claims_;
};

}  // namespace

void validate_network(const YamlNode& root, const Network& network, Report& report,
                      const std::optional<AuthorityKey>& authority) {
    NameRules{root, network, report}.run();
    OwnershipRules{root, network, report}.run(authority);
}

}  // namespace meshgate::config
