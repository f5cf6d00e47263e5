// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "control/gateway/gateway.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::bench {

// An IPv4 address by its number.
IpAddress v4(uint32_t host);

// A wan port, a lan port, nobody else.
config::Model model_of_box();
// And clients with these private keys, with an IPv4 and an IPv6 address each.
config::Model model_with_clients(std::span<const SecretKey> keys);
std::vector<SecretKey> make_keys(size_t nb_keys);

// A whole gateway but for its packets: those are the tests' dataplane's. Its next hop answers; its
// clock moves where somebody says so.
class ControlBox {
public:
    ControlBox(config::Model model, const SecretKey& key);

    void pass(uint64_t duration_ns) { clock_ns_ += duration_ns; }

    // What this client sends now to begin a session.
    wireguard::Message initiation_of(const SecretKey& key);
    // The message arrives from the client of this number; poll() answers it.
    void arrive(const wireguard::Message& message, uint32_t number);
    // Lets control do all it has to.
    void poll();
    // The first packets of all sessions that wait for one arrive.
    void confirm();
    // The next hop's answers to what was asked; what else was sent arrives nowhere.
    void settle();
    // What samples of traffic leave behind is there, and what only the tests remember is gone.
    void rest();

    size_t nb_keypairs() const { return dataplane_.keypairs.size(); }
    uint64_t count(wireguard::HandshakeEvent event) const {
        return gateway_->device().counters()[static_cast<size_t>(event)];
    }

private:
    Now now();

    PublicKey public_key_;
    uint64_t clock_ns_;
    control::Log log_;
    control::FakeDataplane dataplane_;
    std::unique_ptr<control::Gateway> gateway_;
};

}  // namespace meshgate::bench
