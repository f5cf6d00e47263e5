// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>

#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Handshakes that wait for control; the device is under load from 512 on (W22).
constexpr size_t kMaxQueuedHandshakes = 4096;

// Handshake messages that wait for the device. Each costs a Diffie-Hellman, so they are answered
// within a budget, after all else that came.
class HandshakeQueue {
public:
    struct Queued {
        std::array<uint8_t, wireguard::Message::kMaxLen> bytes;
        size_t len;
        wireguard::Addressing from;

        std::span<const uint8_t> view() const noexcept { return std::span{bytes}.first(len); }
    };

    explicit HandshakeQueue(Dataplane& dataplane) : dataplane_{dataplane} {}

    // What is no handshake message by its length, or too much, is dropped and counted.
    void push(const Packet& packet);
    bool empty() const noexcept { return messages_.empty(); }
    size_t size() const noexcept { return messages_.size(); }
    Queued pop();
    // Begins a turn: for all of it the device is told of so many more messages that wait.
    void begin_turn();
    // How many wait, for the device.
    size_t load() const noexcept;

private:
    Dataplane& dataplane_;
    std::deque<Queued> messages_;
    uint64_t nb_refused_ = 0;  // by workers, until the last turn
    bool workers_refuse_ = false;
};

}  // namespace meshgate::control
