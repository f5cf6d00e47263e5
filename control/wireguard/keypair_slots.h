// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/wireguard/timings.h"
#include "dataplane/api/keypair.h"

namespace meshgate::wireguard {

// What control keeps of a keypair: everything but the keys.
struct KeypairSlot {
    uint32_t local_index = 0;
    Initiator initiator = Initiator::us;
    uint64_t initiated_ns = 0;  // when our initiation left; theirs: as created_ns
    uint64_t created_ns = 0;    // when we had the keys
};

// Which of two sessions both sides send with after both initiated at once (W12). They agree, since
// each knows both public keys.
enum class Collision : uint8_t { ours_wins, theirs_wins };

// Three generations of keypairs (W27): `current` sends, all three receive. `next` is a session we
// answered and the initiator has not used yet. Functions return what they displace.
class KeypairSlots {
public:
    using Displaced = std::vector<uint32_t>;  // local indices

    // As the initiator: usable at once.
    Displaced install_current(const KeypairSlot& keypair);
    // As the responder: receives, and waits for confirm().
    Displaced install_next(const KeypairSlot& keypair);

    struct Confirmed {
        bool was_next = false;
        bool sends = false;  // it became `current`
        // It did not, and its initiation came after the session that we prefer was complete: out of
        // order, or from a peer that has restarted and has only this one.
        bool doubtful = false;
        Displaced displaced;
    };
    // The initiator used `local_index`. Of two sessions the one that was initiated when the other
    // was there is the later, and both sides see it so; it is the one used. They collide when
    // neither is later by more than `window_ns`, the time by which datagrams overtake each other.
    Confirmed confirm(uint32_t local_index, Collision collision, uint64_t window_ns);

    Displaced remove(uint32_t local_index);
    Displaced remove_all();
    // Removes those created at or before `created_ns`.
    Displaced remove_older(uint64_t created_ns);
    Displaced remove_next();

    const std::optional<KeypairSlot>& current() const noexcept { return current_; }
    const std::optional<KeypairSlot>& previous() const noexcept { return previous_; }
    const std::optional<KeypairSlot>& next() const noexcept { return next_; }
    // When the oldest was created, or kNeverNs.
    uint64_t oldest_created_ns() const noexcept;

private:
    template <typename Predicate>
    Displaced remove_if(Predicate predicate);
    bool next_loses(Collision collision, uint64_t window_ns) const noexcept;

    std::optional<KeypairSlot> previous_;
    std::optional<KeypairSlot> current_;
    std::optional<KeypairSlot> next_;
};

}  // namespace meshgate::wireguard
