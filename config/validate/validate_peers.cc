// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <unordered_map>

#include "config/validate/complain.h"
#include "config/validate/overlaps.h"
#include "config/validate/validate.h"

namespace meshgate::config {
namespace {

Path peer_path(size_t peer, std::string_view key, int item = -1) {
    return Path{.group = "peers", .index = static_cast<int>(peer), .key = key, .item = item};
}

class PeerRules {
public:
    PeerRules(const YamlNode& root, const Model& model, Report& report)
        : model_{model}, complain_{root, report} {}

    void run() {
        check_count();
        for (size_t i = 0; i < model_.peers.size() && !complain_.full(); ++i) {
            check_name(i);
            check_key(i);
            check_endpoint(i);
        }
    }

private:
    void check_count() const {
        const uint32_t room = model_.dataplane.max_peers;
        if (model_.peers.size() > room)
            complain_
                .error("too-many-peers", peer_path(room, ""),
                       std::to_string(model_.peers.size()) + " peers, and room for " +
                           std::to_string(room))
                .fix = "raise dataplane.max_peers";
    }

    void check_name(size_t i) {
        const std::string& name = model_.peers[i].name;
        if (name.empty())
            return;
        const auto [first, fresh] = names_.emplace(name, i);
        if (fresh)
            return;
        Diagnostic& diagnostic = complain_.error("name-twice", peer_path(i, "name"),
                                                 "another peer is called '" + name + "'");
        diagnostic.fix = "choose another name";
        diagnostic.related.push_back(
            complain_.related(peer_path(first->second, "name"), "the other"));
    }

    void check_key(size_t i) {
        const PublicKey& key = model_.peers[i].public_key;
        if (key == PublicKey{})
            return;
        if (key == model_.node.public_key) {
            complain_
                .error("own-key", peer_path(i, "public_key"), "this is the key of this box itself")
                .fix = "write the public key of the other side";
            return;
        }
        const auto [first, fresh] = peer_keys_.emplace(key, i);
        if (fresh)
            return;
        Diagnostic& diagnostic =
            complain_.error("key-twice", peer_path(i, "public_key"), "another peer has this key");
        diagnostic.fix = "each peer needs a key pair of its own; or join the two entries";
        diagnostic.related.push_back(
            complain_.related(peer_path(first->second, "public_key"), "the other"));
    }

    void check_endpoint(size_t i) const {
        const Peer& peer = model_.peers[i];
        if (!peer.endpoint) {
            if (peer.persistent_keepalive_s > 0 && !complain_.given(peer_path(i, "endpoint")))
                complain_
                    .warning("keepalive-without-endpoint", peer_path(i, "persistent_keepalive"),
                             "nothing can be sent before the peer has shown itself")
                    .fix = "add endpoint, or remove persistent_keepalive here and set it there";
            return;
        }
        const IpAddress& remote = peer.endpoint->address;
        bool reachable = false;
        for (const Port& port : model_.ports) {
            const auto& gateway = remote.is_v4() ? port.gateway_v4 : port.gateway_v6;
            reachable = reachable ||
                        (is_wan(port.role) && (gateway.has_value() || port.addresses_from_host));
            for (const Prefix& address : port.addresses) {
                reachable = reachable || (is_wan(port.role) && address.contains(remote));
                if (address.address == remote) {
                    complain_
                        .error("bad-endpoint", peer_path(i, "endpoint"),
                               "this is an address of this box itself")
                        .fix = "write the address of the other side";
                    return;
                }
            }
        }
        if (!reachable && !complain_.any_error())
            complain_
                .warning("endpoint-unreachable", peer_path(i, "endpoint"),
                         "no wan port is on its network or has a gateway of its family")
                .fix = "add gateway to a wan port";
    }

    const Model& model_;
    Complainer complain_;
    std::unordered_map<std::string, size_t> names_;
    std::map<PublicKey, size_t> peer_keys_;
};

// A prefix and who wants packets to it.
struct Claim {
    enum class Kind : uint8_t { lan, route, peer };
    Prefix prefix;
    Kind kind;
    size_t owner;  // position of the port, route or peer
    int item;
};

class PrefixRules {
public:
    PrefixRules(const YamlNode& root, const Model& model, Report& report)
        : model_{model}, complain_{root, report} {}

    void run() {
        collect();
        find_overlaps(claims_, excludes, [this](const Claim& outer, const Claim& inner) {
            complain(outer, inner);
            return !complain_.full();
        });
    }

private:
    void collect() {
        const auto add = [this](const Prefix& prefix, Claim::Kind kind, size_t owner, int item) {
            if (prefix.address.family != Family::none)
                claims_.push_back(Claim{prefix.network(), kind, owner, item});
        };
        for (size_t i = 0; i < model_.ports.size(); ++i)
            for (size_t a = 0; a < model_.ports[i].addresses.size(); ++a)
                if (is_lan(model_.ports[i].role))
                    add(model_.ports[i].addresses[a], Claim::Kind::lan, i, static_cast<int>(a));
        for (size_t i = 0; i < model_.routes.size(); ++i)
            if (model_.routes[i].via)
                add(model_.routes[i].prefix, Claim::Kind::route, i, -1);
        for (size_t i = 0; i < model_.peers.size(); ++i)
            for (size_t a = 0; a < model_.peers[i].allowed_ips.size(); ++a)
                add(model_.peers[i].allowed_ips[a], Claim::Kind::peer, i, static_cast<int>(a));
    }

    // Routes and LAN networks may nest among themselves, and so may the prefixes of one peer. A
    // default prefix is what is left over, so only another one is in its way.
    static bool excludes(const Claim& outer, const Claim& inner) {
        const bool any_peer = outer.kind == Claim::Kind::peer || inner.kind == Claim::Kind::peer;
        const bool same_owner = outer.kind == inner.kind && outer.owner == inner.owner;
        const bool left_over = outer.prefix.len == 0 && inner.prefix.len != 0;
        return any_peer && !same_owner && !left_over;
    }

    std::string owner_of(const Claim& claim) const {
        switch (claim.kind) {
            case Claim::Kind::lan:
                return "on lan port " + model_.ports[claim.owner].name;
            case Claim::Kind::route:
                return "in routes[" + std::to_string(claim.owner) + "]";
            case Claim::Kind::peer:
                break;
        }
        return "of peer " + model_.peers[claim.owner].name;
    }

    static Path path_of(const Claim& claim) {
        switch (claim.kind) {
            case Claim::Kind::lan:
                return Path{"ports", static_cast<int>(claim.owner), "addresses", claim.item};
            case Claim::Kind::route:
                return Path{"routes", static_cast<int>(claim.owner), "prefix"};
            case Claim::Kind::peer:
                break;
        }
        return peer_path(claim.owner, "allowed_ips", claim.item);
    }

    // Blames the peer; of two, the later one.
    void complain(const Claim& outer, const Claim& inner) const {
        const bool blame_outer = inner.kind != Claim::Kind::peer ||
                                 (outer.kind == Claim::Kind::peer && outer.owner > inner.owner);
        const Claim& blamed = blame_outer ? outer : inner;
        const Claim& other = blame_outer ? inner : outer;
        const std::string relation = outer.prefix == inner.prefix ? " is also " : " overlaps ";
        const std::string what = outer.prefix == inner.prefix ? "" : to_string(other.prefix) + " ";
        Diagnostic& diagnostic =
            complain_.error("prefix-overlap", path_of(blamed),
                            to_string(blamed.prefix) + relation + what + owner_of(other));
        diagnostic.fix = "narrow or remove one of the two";
        diagnostic.related.push_back(
            complain_.related(path_of(other), to_string(other.prefix) + " " + owner_of(other)));
    }

    const Model& model_;
    Complainer complain_;
    std::vector<Claim> claims_;
};

}  // namespace

void validate_peers(const YamlNode& root, const Model& model, Report& report) {
    PeerRules{root, model, report}.run();
}

void validate_prefixes(const YamlNode& root, const Model& model, Report& report) {
    PrefixRules{root, model, report}.run();
}

}  // namespace meshgate::config
