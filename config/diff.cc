// SPDX-License-Identifier: Apache-2.0
#include "config/diff.h"

#include <algorithm>
#include <map>
#include <optional>

#include "config/schema/keys.h"

namespace meshgate::config {
namespace {

// Which element of the old list an element of the new one continues, and what it is called.
struct Identity {
    std::string id;
    std::string label;
};

std::vector<Identity> identities(const Model& model, std::string_view group) {
    std::vector<Identity> all;
    if (group == "ports")
        for (const Port& port : model.ports)
            all.push_back({port.name, port.name});
    if (group == "routes")
        for (const Route& route : model.routes)
            all.push_back({to_string(route.prefix), to_string(route.prefix)});
    if (group == "peers")
        for (const Peer& peer : model.peers)
            all.push_back({to_string(peer.public_key), peer.name});
    if (group == "babel")
        for (const Babel& babel : model.babel) {
            const std::string place =
                babel.peer.empty() ? "port " + babel.port : "peer " + babel.peer;
            all.push_back({place, place});
        }
    return all;
}

std::vector<Prefix> sorted(std::vector<Prefix> prefixes) {
    std::sort(prefixes.begin(), prefixes.end());
    return prefixes;
}

class Differ {
public:
    Differ(const Model& before, const Model& after) : before_{before}, after_{after} {}

    Diff run() {
        for (const GroupRule& group : groups())
            if (group.shape == Shape::list)
                compare_lists(group.name);
            else
                compare_keys(std::string{group.name}, group.name, 0, 0);
        compare_private_key();
        collect_peers();
        summarise();
        return std::move(diff_);
    }

private:
    void add(ChangeKind kind, std::string path, std::string before, std::string after,
             Reload reload) {
        diff_.changes.push_back(
            Change{kind, std::move(path), std::move(before), std::move(after), reload});
    }

    void compare_keys(const std::string& label, std::string_view group, size_t old_index,
                      size_t new_index) {
        for (const KeyRule& rule : keys_of(group)) {
            std::string old_text = rule.show(before_, old_index);
            std::string new_text = rule.show(after_, new_index);
            if (old_text == new_text || is_other_order(rule, old_index, new_index))
                continue;
            const ChangeKind kind = old_text.empty()   ? ChangeKind::added
                                    : new_text.empty() ? ChangeKind::removed
                                                       : ChangeKind::changed;
            // Another file name by itself is nothing; compare_private_key() sees the key.
            const bool key_file = rule.name == "private_key_file";
            add(kind, label + "." + std::string{rule.name}, std::move(old_text),
                std::move(new_text), key_file ? Reload::live : reload_of(rule, new_index));
        }
    }

    Reload reload_of(const KeyRule& rule, size_t new_index) const {
        const bool opens =
            rule.group == "ports" && rule.name == "enabled" && !opens_live(after_.ports[new_index]);
        return opens ? Reload::restart : rule.reload;
    }

    // Allowed IPs are a set; the order of a port's addresses matters, since the first is preferred.
    bool is_other_order(const KeyRule& rule, size_t old_index, size_t new_index) const {
        return rule.group == "peers" && rule.name == "allowed_ips" &&
               sorted(before_.peers[old_index].allowed_ips) ==
                   sorted(after_.peers[new_index].allowed_ips);
    }

    void compare_lists(std::string_view group) {
        const std::vector<Identity> old_list = identities(before_, group);
        const std::vector<Identity> new_list = identities(after_, group);
        const Reload coming = group == "ports" ? Reload::restart : Reload::live;
        std::map<std::string, size_t> old_index;
        for (size_t i = 0; i < old_list.size(); ++i)
            old_index.emplace(old_list[i].id, i);
        for (size_t i = 0; i < new_list.size(); ++i) {
            const std::string label = label_of(group, new_list[i]);
            const auto same = old_index.find(new_list[i].id);
            if (same == old_index.end()) {
                add(ChangeKind::added, label, "", "", coming);
                continue;
            }
            compare_keys(label, group, same->second, i);
            if (group == "peers")
                compare_peer(label, before_.peers[same->second], after_.peers[i]);
            if (group == "babel")
                compare_mac_key(label, before_.babel[same->second], after_.babel[i]);
            old_index.erase(same);
        }
        for (const auto& [id, index] : old_index)
            add(ChangeKind::removed, label_of(group, old_list[index]), "", "", coming);
        compare_order(group, old_list, new_list);
    }

    // The dataplane counts ports by their place in the list.
    void compare_order(std::string_view group, const std::vector<Identity>& old_list,
                       const std::vector<Identity>& new_list) {
        const auto same_id = [](const Identity& a, const Identity& b) { return a.id == b.id; };
        if (group != "ports" || old_list.size() != new_list.size() ||
            std::equal(old_list.begin(), old_list.end(), new_list.begin(), same_id))
            return;
        if (std::is_permutation(old_list.begin(), old_list.end(), new_list.begin(), same_id))
            add(ChangeKind::changed, "ports", "", "another order", Reload::restart);
    }

    static std::string label_of(std::string_view group, const Identity& identity) {
        return std::string{group} + "[" + identity.label + "]";
    }

    // One that comes or goes by `enabled` is added or removed.
    void compare_peer(const std::string& label, const Peer& old_peer, const Peer& new_peer) {
        PeerChange change{.before = old_peer, .after = new_peer};
        change.name = old_peer.name != new_peer.name;
        change.preshared_key = old_peer.preshared_key_tag != new_peer.preshared_key_tag;
        change.allowed_ips = sorted(old_peer.allowed_ips) != sorted(new_peer.allowed_ips);
        change.endpoint = old_peer.endpoint != new_peer.endpoint ||
                          old_peer.endpoint_name != new_peer.endpoint_name;
        change.persistent_keepalive =
            old_peer.persistent_keepalive_s != new_peer.persistent_keepalive_s;
        if (change.preshared_key && old_peer.preshared_key_file == new_peer.preshared_key_file)
            add(ChangeKind::changed, label + ".preshared_key_file", "", "other contents",
                Reload::live);
        if (!old_peer.enabled || !new_peer.enabled)
            return;
        if (change.name || change.preshared_key || change.allowed_ips || change.endpoint ||
            change.persistent_keepalive)
            diff_.changed_peers.push_back(std::move(change));
    }

    void compare_mac_key(const std::string& label, const Babel& old_entry, const Babel& new_entry) {
        if (old_entry.key_file == new_entry.key_file && old_entry.key_tag != new_entry.key_tag)
            add(ChangeKind::changed, label + ".key_file", "", "other contents", Reload::live);
    }

    void compare_private_key() {
        if (before_.node.public_key != after_.node.public_key)
            add(ChangeKind::changed, "node.public_key", to_string(before_.node.public_key),
                to_string(after_.node.public_key), Reload::restart);
    }

    void collect_peers() {
        std::map<PublicKey, const Peer*> old_peers;
        for (const Peer& peer : before_.peers)
            if (peer.enabled)
                old_peers.emplace(peer.public_key, &peer);
        for (const Peer& peer : after_.peers)
            if (peer.enabled && old_peers.erase(peer.public_key) == 0)
                diff_.added_peers.push_back(peer);
        for (const auto& [key, peer] : old_peers)
            diff_.removed_peers.push_back(*peer);
    }

    void summarise() {
        for (const Change& change : diff_.changes) {
            diff_.needs_restart = diff_.needs_restart || change.reload == Reload::restart;
            diff_.ports_changed = diff_.ports_changed || change.path.starts_with("ports");
            diff_.babel_changed = diff_.babel_changed || change.path.starts_with("babel");
            diff_.routes_changed = diff_.routes_changed || change.path.starts_with("routes");
        }
        diff_.listen_port_changed = before_.wireguard.listen_port != after_.wireguard.listen_port;
        diff_.log_changed = before_.log != after_.log;
    }

    const Model& before_;
    const Model& after_;
    Diff diff_;
};

}  // namespace

Diff diff(const Model& before, const Model& after) {
    return Differ{before, after}.run();
}

std::string to_string(const Change& change) {
    const char* sign = change.kind == ChangeKind::added     ? "+ "
                       : change.kind == ChangeKind::removed ? "- "
                                                            : "~ ";
    std::string out = sign + change.path;
    if (!change.before.empty() && !change.after.empty())
        out += "  " + change.before + " -> " + change.after;
    else if (!change.before.empty() || !change.after.empty())
        out += "  " + change.before + change.after;
    return out + "  (" + to_string(change.reload) + ")";
}

const char* to_string(ChangeKind kind) noexcept {
    switch (kind) {
        case ChangeKind::added:
            return "added";
        case ChangeKind::removed:
            return "removed";
        case ChangeKind::changed:
            break;
    }
    return "changed";
}

const char* to_string(Reload reload) noexcept {
    return reload == Reload::live ? "live" : "restart";
}

}  // namespace meshgate::config
