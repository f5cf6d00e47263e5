// SPDX-License-Identifier: Apache-2.0
// How large a packet gets through where the way goes by relays (RFC 8899, in small). Links behind a
// relay are not ours: what is too large for one of them is lost there, and nobody tells us. So we
// try sizes ourselves, end to end, and users are told what fits as they are about any other MTU.
//
//   a sounding: up to three rounds; it ends with the first in which the size in force is answered
//   a round: the largest size alone while nothing speaks against it, else all sizes at once
#include <algorithm>

#include "control/mesh/mesh.h"
#include "control/packets/udp.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Largest first. The first is what any link takes that is no narrower than Ethernet, relays that
// change from IPv4 to IPv6 included; the others are usual tunnels and the least MTUs.
constexpr std::array<uint16_t, 9> kSizes{1420, 1400, 1380, 1360, 1340, 1320, 1280, 1240, 1200};
constexpr unsigned kRounds = 3;  // probes of each size, since one may be lost
// PLPMTUD: between searches. A path that becomes narrower is a black hole until the next one.
constexpr auto kSoundAgain = 10s;
constexpr uint8_t kHopLimit = 64;
constexpr size_t kHeadersLen = 48;  // IPv6 and UDP
// Ids of path probes never have it, so that answers are told apart.
constexpr uint32_t kSoundingBit = uint32_t{1} << 31;

}  // namespace

void Mesh::forget_sounding(Member& member) {
    const bool direct = member.steering->hop == member.node;
    member.sounding = {.next_id = member.sounding.next_id};
    parts_.dataplane.set_path_mtu(member.peer, direct ? 0 : kSizes.front());
}

// With each path probe. `answered`: those get through, or a silence would say nothing of sizes.
void Mesh::sound_path(Member& member, bool answered, const Now& now) {
    Sounding& sounding = member.sounding;
    const Link* link = links_.find(member.steering->link);
    if (link == nullptr || now.mono < sounding.next)
        return;
    if (!answered) {
        sounding.nb_rounds = 0;
        sounding.best = 0;
        sounding.sent.clear();
        return;
    }
    const uint16_t most = std::min(kSizes.front(), link->mtu_bytes);
    const uint16_t present = std::min(most, sounding.mtu_bytes);
    if (sounding.nb_rounds > 0 && (sounding.best >= present || sounding.nb_rounds == kRounds))
        return conclude_sounding(member, most, now);
    const bool only_most = present == most && sounding.nb_rounds == 0;
    ++sounding.nb_rounds;
    send_sounding(member, most);
    for (const uint16_t size : kSizes) {
        if (!only_most && size < most)
            send_sounding(member, size);
    }
}

void Mesh::send_sounding(Member& member, uint16_t mtu_bytes) {
    const uint32_t id = kSoundingBit | ++member.sounding.next_id;
    Packet packet = control::make_udp(parts_.dataplane,
                                      {.source = {node_, kMeshPort},
                                       .destination = {member.node, kMeshPort},
                                       .hop_limit = kHopLimit},
                                      encode_padded(Probe{id}, mtu_bytes - kHeadersLen));
    if (!packet)
        return;
    member.sounding.sent[id] = mtu_bytes;
    packet.info().mtu_bytes =
        mtu_bytes;  // with the padding of WireGuard no larger than what is tried
    seal(member, std::move(packet), member.steering->link);  // by the path this would be too large
}

bool Mesh::on_sounded(Member& member, const ProbeReply& reply) {
    if ((reply.id & kSoundingBit) == 0)
        return false;
    Sounding& sounding = member.sounding;
    if (const auto sent = sounding.sent.find(reply.id); sent != sounding.sent.end())
        sounding.best = std::max(sounding.best, sent->second);
    return true;
}

void Mesh::conclude_sounding(Member& member, uint16_t most, const Now& now) {
    Sounding& sounding = member.sounding;
    const uint16_t present = std::min(most, sounding.mtu_bytes);
    const uint16_t found = sounding.best != 0 ? sounding.best : std::min(most, kSizes.back());
    if (found != present)
        log(Log::Level::info, "path-mtu", member.info.name,
            "packets of up to " + std::to_string(found) + " bytes get through", now);
    // What our own link takes is its own affair, and may change.
    const uint16_t in_force = found == most ? kSizes.front() : found;
    sounding = {.mtu_bytes = in_force, .next_id = sounding.next_id, .next = now.mono + kSoundAgain};
    parts_.dataplane.set_path_mtu(member.peer, in_force);
}

}  // namespace meshgate::mesh
