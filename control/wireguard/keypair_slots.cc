// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/keypair_slots.h"

#include <algorithm>
#include <utility>

namespace meshgate::wireguard {

namespace {

void displace(KeypairSlots::Displaced& displaced, std::optional<KeypairSlot>& slot) {
    if (slot)
        displaced.push_back(slot->local_index);
    slot.reset();
}

}  // namespace

KeypairSlots::Displaced KeypairSlots::install_current(const KeypairSlot& keypair) {
    Displaced displaced;
    displace(displaced, previous_);
    previous_ = std::exchange(current_, keypair);
    return displaced;
}

KeypairSlots::Displaced KeypairSlots::install_next(const KeypairSlot& keypair) {
    Displaced displaced;
    displace(displaced, next_);
    next_ = keypair;
    return displaced;
}

// Ours is current; theirs was just used for the first time. Theirs stays behind when it was
// answered before we initiated ours, or is the loser of a collision. A peer that has restarted has
// but the later one: it knows nothing of the session before.
bool KeypairSlots::next_loses(Collision collision, uint64_t window_ns) const noexcept {
    if (!current_ || current_->initiator == Initiator::them)
        return false;
    if (current_->initiated_ns > next_->created_ns + window_ns)
        return true;
    return next_->created_ns <= current_->created_ns + window_ns &&
           collision == Collision::ours_wins;
}

KeypairSlots::Confirmed KeypairSlots::confirm(uint32_t local_index, Collision collision,
                                              uint64_t window_ns) {
    Confirmed result;
    if (!next_ || next_->local_index != local_index)
        return result;
    result.was_next = true;
    displace(result.displaced, previous_);
    if (next_loses(collision, window_ns)) {
        result.doubtful = next_->created_ns > current_->created_ns;
        previous_ = std::exchange(next_, std::nullopt);
        return result;
    }
    previous_ = std::exchange(current_, std::exchange(next_, std::nullopt));
    result.sends = true;
    return result;
}

template <typename Predicate>
KeypairSlots::Displaced KeypairSlots::remove_if(Predicate predicate) {
    Displaced displaced;
    for (std::optional<KeypairSlot>* slot : {&previous_, &current_, &next_}) {
        if (*slot && predicate(**slot))
            displace(displaced, *slot);
    }
    return displaced;
}

KeypairSlots::Displaced KeypairSlots::remove(uint32_t local_index) {
    return remove_if(
        [local_index](const KeypairSlot& slot) { return slot.local_index == local_index; });
}

KeypairSlots::Displaced KeypairSlots::remove_all() {
    return remove_if([](const KeypairSlot&) { return true; });
}

KeypairSlots::Displaced KeypairSlots::remove_older(uint64_t created_ns) {
    return remove_if(
        [created_ns](const KeypairSlot& slot) { return slot.created_ns <= created_ns; });
}

KeypairSlots::Displaced KeypairSlots::remove_next() {
    Displaced displaced;
    displace(displaced, next_);
    return displaced;
}

uint64_t KeypairSlots::oldest_created_ns() const noexcept {
    uint64_t oldest = kNeverNs;
    for (const std::optional<KeypairSlot>* slot : {&previous_, &current_, &next_}) {
        if (*slot)
            oldest = std::min(oldest, (*slot)->created_ns);
    }
    return oldest;
}

}  // namespace meshgate::wireguard
