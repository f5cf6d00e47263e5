// SPDX-License-Identifier: Apache-2.0
// What can be seen of a world, and what is told of it when a test fails.
#include <cstdio>
#include <cstdlib>

#include "tests/unit/world/world.h"

namespace meshgate::control::world {

bool traces() {
    static const bool wanted = std::getenv("MESHGATE_WORLD_TRACE") != nullptr;
    return wanted;
}

std::optional<MeshPathView> World::path_view(BoxId from, BoxId to) {
    Box& box = boxes_[from];
    if (!box.gateway)
        return std::nullopt;
    const auto peer = box.gateway->device().find_peer(boxes_[to].model.node.public_key);
    return peer ? box.gateway->mesh()->views().path_of(*peer, now()) : std::nullopt;
}

std::string World::path(BoxId from, BoxId to) {
    const auto view = path_view(from, to);
    if (!view)
        return "none";
    return view->kind == control::PathKind::relay ? "relay " + view->relay : to_string(view->kind);
}

uint64_t World::nb_initiations(BoxId id) const {
    using wireguard::HandshakeEvent;
    return boxes_[id].gateway->device().counters()[static_cast<size_t>(
        HandshakeEvent::initiation_sent)];
}

uint64_t World::control_bytes(BoxId id) const {
    const Box& box = boxes_[id];
    return box.nb_control_bytes + (box.path ? box.path->statistics.control_bytes : 0);
}

void World::note(const std::string& what) {
    const double seconds = static_cast<double>(now_ns_ - 3'600'000'000'000) / 1e9;
    story_.push_back(text("%8.3f  ", seconds) + what);
    if (traces())
        std::fprintf(stderr, "%s\n", story_.back().c_str());
}

// Each change of a path, as a person would see it, ten times a second.
void World::trace_paths() {
    for (BoxId from = 0; from < nb_boxes(); ++from) {
        for (BoxId to = 0; to < nb_boxes(); ++to) {
            if (from == to)
                continue;
            const std::string now = path(from, to);
            if (now == std::exchange(told_paths_[{from, to}], now))
                continue;
            ++nb_path_changes_;
            note(boxes_[from].name + " > " + boxes_[to].name + ": " + now);
        }
    }
    after(100ms, [this] { trace_paths(); });
}

// Sessions, handshakes and ways, as far as they help to find a cause.
std::string World::what_is(const Box& box) {
    std::string result = box.name + ":";
    const auto& counters = box.gateway->device().counters();
    for (size_t i = 0; i < counters.size(); ++i) {
        if (counters[i] > 0)
            result += " " + std::string{to_string(static_cast<wireguard::HandshakeEvent>(i))} +
                      " " + std::to_string(counters[i]);
    }
    for (const auto& [reason, count] : box.path->statistics.drops)
        result += " " + std::string{to_string(reason)} + " " + std::to_string(count);
    result += "\n";
    for (const auto& [index, keypair] : box.path->keypairs) {
        const bool sends = box.path->sending_keypair(keypair->peer) == keypair.get();
        result += "  " + box.gateway->name_of(keypair->peer) +
                  text(" index %08x > %08x", index, keypair->remote_index_le) +
                  (sends ? ", sends" : "") + "\n";
    }
    for (const auto& view : box.gateway->mesh()->views().relays(now()))
        result += std::string{"  "} + to_string(view.role) + text(" %08x to ", view.index) +
                  view.to + " from " + view.from + " via " + view.via + ", " +
                  to_string(view.state) + "\n";
    for (const auto& view : box.gateway->mesh()->views().links(now()))
        result +=
            "  link to " + view.peer + " " + to_string(view.remote) +
            text(" %s, cost %u, loss %.2f", to_string(view.state), unsigned{view.cost}, view.loss) +
            "\n";
    return result;
}

std::string World::story() {
    std::string result = "seed " + std::to_string(seed_) + "\n";
    for (const std::string& line : story_)
        result += line + "\n";
    for (const Box& box : boxes_) {
        if (box.gateway)
            result += what_is(box);
    }
    return result;
}

}  // namespace meshgate::control::world
