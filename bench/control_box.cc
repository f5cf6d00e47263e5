// SPDX-License-Identifier: Apache-2.0
#include "bench/control_box.h"

#include <malloc.h>

#include "control/daemon/dataplane_options.h"
#include "control/neighbor/messages.h"

namespace meshgate::bench {

using namespace control;

namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr MacAddress kNextHopMac{{2, 0, 0, 0, 9, 9}};

Prefix v6_host(uint32_t host) {
    Prefix prefix = *parse_prefix("fd00::/128");
    for (int i = 0; i < 4; ++i)
        prefix.address.bytes[15 - i] = static_cast<uint8_t>(host >> 8 * i);
    return prefix;
}

}  // namespace

IpAddress v4(uint32_t host) {
    return IpAddress::v4(__builtin_bswap32(host));
}

config::Model model_of_box() {
    config::Port wan;
    wan.name = "wan0";
    wan.role = config::Role::wan;
    wan.addresses = {*parse_prefix("192.0.2.1/24")};
    wan.gateway_v4 = parse_address("192.0.2.254");
    config::Port lan;
    lan.name = "lan0";
    lan.role = config::Role::lan;
    lan.addresses = {*parse_prefix("192.168.1.1/24")};
    config::Model model;
    model.ports = {wan, lan};
    return model;
}

config::Model model_with_clients(std::span<const SecretKey> keys) {
    config::Model model = model_of_box();
    for (size_t i = 0; i < keys.size(); ++i) {
        config::Peer peer;
        peer.name = "client-" + std::to_string(i);
        peer.public_key = public_key_of(keys[i]);
        const auto host = static_cast<uint32_t>(i);
        peer.allowed_ips = {Prefix{v4(0x0a000000 + host), 32}, v6_host(host)};
        model.peers.push_back(std::move(peer));
    }
    return model;
}

std::vector<SecretKey> make_keys(size_t nb_keys) {
    std::vector<SecretKey> keys;
    for (size_t i = 0; i < nb_keys; ++i)
        keys.push_back(generate_private_key());
    return keys;
}

ControlBox::ControlBox(config::Model model, const SecretKey& key)
    : public_key_{public_key_of(key)},
      clock_ns_{3'600 * kSecondNs},
      log_{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}},
      dataplane_{dataplane_options(model)} {
    Secrets secrets;
    secrets.private_key = key.clone();
    gateway_ = *Gateway::create(
        {.dataplane = dataplane_, .log = log_, .clock = [this] { return now(); }, .timings = {}},
        std::move(model), std::move(secrets));
    gateway_->up();
    settle();
}

Now ControlBox::now() {
    dataplane_.now_ns = clock_ns_;
    return Now::at(clock_ns_, 1'700'000'000 * kSecondNs + clock_ns_);
}

wireguard::Message ControlBox::initiation_of(const SecretKey& key) {
    wireguard::Device client{{}};
    client.set_private_key(key.clone(), now());
    client.add_peer(0, {.public_key = public_key_, .endpoint = parse_endpoint("192.0.2.1:51820")},
                    now());
    client.up(now());
    client.on_no_session(0, now());
    std::vector<wireguard::Action> actions;
    client.drain(actions);
    for (const auto& action : actions) {
        if (const auto* send = std::get_if<wireguard::SendMessage>(&action))
            return send->message;
    }
    return {};
}

void ControlBox::arrive(const wireguard::Message& message, uint32_t number) {
    dataplane_.punt(Punt::handshake, message.view(),
                    {.port = 0,
                     .remote = {v4(0x64400000 + number), 51820},
                     .local = {*parse_address("192.0.2.1"), 51820}});
}

void ControlBox::poll() {
    while (gateway_->poll()) {
    }
}

void ControlBox::confirm() {
    for (const auto& [index, keypair] : dataplane_.keypairs) {
        if (!keypair->confirmed.exchange(true))
            dataplane_.notes.push_back({.kind = Note::Kind::confirmed, .local_index = index});
    }
    poll();
}

void ControlBox::settle() {
    poll();
    for (const FakeDataplane::Sent& sent : dataplane_.take_sent()) {
        const auto asked =
            sent.info.inject == Inject::frame ? parse_neighbor_frame(sent.bytes, 0) : std::nullopt;
        if (asked && asked->kind == NeighborMessage::Kind::question)
            dataplane_.punt(Punt::arp, build_answer({kNextHopMac, 0}, *asked),
                            {.port = sent.info.port});
    }
    poll();
    dataplane_.take_sent();
}

void ControlBox::rest() {
    for (size_t i = 0; i < gateway_->model().peers.size(); ++i)
        gateway_->sample();
    std::vector<FakeDataplane::Sent>{}.swap(dataplane_.sent);
    malloc_trim(0);
}

}  // namespace meshgate::bench
