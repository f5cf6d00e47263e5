// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/model.h"

namespace meshgate::config {

// What a change needs to take effect.
enum class Reload : uint8_t { live, restart };
enum class ChangeKind : uint8_t { added, removed, changed };

// One change in words, for people and for the answer to `reload`.
struct Change {
    ChangeKind kind = ChangeKind::changed;
    std::string path;           // "peers[alice-laptop].endpoint"
    std::string before, after;  // as in the box file; empty where there is none
    Reload reload = Reload::live;
};

// A peer is its public key: a new name for a key keeps its sessions, a new key under an old name is
// one peer removed and one added.
struct PeerChange {
    Peer before, after;
    bool name = false;
    bool preshared_key = false;  // the contents, not the file's name
    bool allowed_ips = false;    // as sets
    bool endpoint = false;
    bool persistent_keepalive = false;
};

struct Diff {
    std::vector<Change> changes;

    std::vector<Peer> added_peers;
    std::vector<Peer> removed_peers;
    std::vector<PeerChange> changed_peers;
    // Addresses or gateways of ports that are in both. `ports` of the new model keep their order
    // whenever needs_restart is false.
    bool ports_changed = false;
    bool routes_changed = false;
    bool babel_changed = false;
    bool listen_port_changed = false;
    bool log_changed = false;
    bool needs_restart = false;

    bool empty() const noexcept { return changes.empty(); }
};

// Pure. A change of class restart is listed with the others; whether to apply the live ones all the
// same is the caller's choice.
Diff diff(const Model& before, const Model& after);

// "~ peers[alice-laptop].endpoint  192.0.2.7:51820 -> 192.0.2.8:51820  (live)", with + and - for
// what comes and goes.
std::string to_string(const Change& change);
const char* to_string(ChangeKind kind) noexcept;
const char* to_string(Reload reload) noexcept;

}  // namespace meshgate::config
