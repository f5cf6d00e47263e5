// SPDX-License-Identifier: Apache-2.0
// Handshakes as the control core does them: a hub of 1000 peers accepts, asks and refuses. Beside
// the four multiplications on Curve25519 that either role has to do.
#include <openssl/evp.h>
#include <sodium.h>
#include <time.h>

#include <array>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "bench/control_box.h"
#include "bench/figures.h"
#include "control/wireguard/device.h"
#include "control/wireguard/messages.h"

namespace meshgate::bench {
namespace {

using namespace wireguard;

constexpr size_t kNbPeers = 1000;                // of the hub
constexpr size_t kNbClients = 64;                // those of them that speak, once in an iteration
constexpr size_t kQueued = 100'000;              // any number at which a device is under load
constexpr uint64_t kRoundNs = 6 * kNsPerSecond;  // later than any retransmission
// Cookies are older than their secret then.
constexpr uint64_t kCookiesExpireNs = 130 * kNsPerSecond;
constexpr unsigned kRoundsPerCookie = 15;

// Sums up the thread's processor time: rounds are long enough for others to take the core
// meanwhile.
class Stopwatch {
public:
    template <typename Action>
    void run(Action action) {
        const double begin_s = now_s();
        action();
        seconds_ += now_s() - begin_s;
    }
    double seconds() const { return seconds_; }

private:
    static double now_s() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
    }

    double seconds_ = 0;
};

Addressing address_of(size_t client) {
    Addressing addressing;
    addressing.remote.address.family = Family::ipv4;
    addressing.remote.address.bytes = {192, 0, 2, static_cast<uint8_t>(client)};
    addressing.remote.port = 51820;
    return addressing;
}

std::vector<Action> actions_of(Device& device) {
    std::vector<Action> actions;
    device.drain(actions);
    return actions;
}

std::optional<Message> message_in(const std::vector<Action>& actions) {
    for (const Action& action : actions) {
        if (const auto* send = std::get_if<SendMessage>(&action))
            return send->message;
    }
    return std::nullopt;
}

// Who demands cookies.
enum class Load : uint8_t { quiet, hub, clients };

// A hub and the devices of the clients that speak to it. Time stands still but for next_round().
class Mesh {
public:
    explicit Mesh(Load load) : load_{load}, hub_{{}} {
        SecretKey hub_key = generate_private_key();
        const PublicKey hub_public = public_key_of(hub_key);
        hub_.set_private_key(std::move(hub_key), now_);
        for (PeerId id = 0; id < kNbPeers; ++id) {
            SecretKey key = generate_private_key();
            PeerOptions options;
            options.public_key = public_key_of(key);
            options.endpoint = address_of(id % kNbClients).remote;
            hub_.add_peer(id, std::move(options), now_);
            if (id < kNbClients)
                add_client(std::move(key), hub_public);
        }
        hub_.up(now_);
    }

    Load load() const { return load_; }
    uint64_t count(HandshakeEvent event) const {
        return hub_.counters()[static_cast<size_t>(event)];
    }

    void next_round(uint64_t later_ns = kRoundNs) {
        now_.mono += std::chrono::nanoseconds{later_ns};
        now_.wall_ns += later_ns;
    }

    // The hub does not know them any more.
    void forget_clients() {
        for (PeerId id = 0; id < kNbClients; ++id)
            hub_.remove_peer(id, now_);
        actions_of(hub_);
    }

    // An initiation of each client, with a cookie where the hub demands it.
    std::vector<Message> initiations() {
        if (load_ == Load::hub && nb_rounds_++ % kRoundsPerCookie == 0)
            fetch_cookies();
        return initiations_without_cookie();
    }
    std::vector<Message> initiations_without_cookie() {
        next_round();
        std::vector<Message> messages;
        for (const auto& client : clients_) {
            client->tick(now_);  // sends again what was not answered
            client->on_no_session(0, now_);
            if (auto message = message_in(actions_of(*client)))
                messages.push_back(*message);
        }
        return messages;
    }

    // The hub handles what came from each client; its answer to each.
    std::vector<Message> hub_receives(const std::vector<Message>& messages, Stopwatch& watch) {
        std::vector<Action> actions;
        watch.run([&] {
            for (size_t i = 0; i < messages.size(); ++i)
                hub_.receive(messages[i].view(), address_of(i), load_ == Load::hub ? kQueued : 0,
                             now_);
            hub_.drain(actions);
        });
        std::vector<Message> answers;
        for (Action& action : actions) {
            if (auto* send = std::get_if<SendMessage>(&action))
                answers.push_back(send->message);
            if (auto* install = std::get_if<InstallKeypair>(&action))
                installed_.push_back(install->local_index);
        }
        return answers;
    }

    // The clients' answers to what the hub sent them.
    std::vector<Message> clients_receive(const std::vector<Message>& messages) {
        std::vector<Message> answers;
        for (size_t i = 0; i < messages.size(); ++i) {
            clients_[i]->receive(messages[i].view(), address_of(0),
                                 load_ == Load::clients ? kQueued : 0, now_);
            if (auto message = message_in(actions_of(*clients_[i])))
                answers.push_back(*message);
        }
        return answers;
    }

    // The first packets of the sessions that the hub has entered as responder.
    void confirm(Stopwatch& watch) {
        std::vector<Action> actions;
        watch.run([&] {
            for (const uint32_t index : installed_)
                hub_.on_confirmed(index, now_);
            hub_.drain(actions);
        });
        installed_.clear();
    }

    // Initiations of the hub to all clients.
    std::vector<Message> hub_initiates(Stopwatch& watch) {
        std::vector<Action> actions;
        watch.run([&] {
            hub_.tick(now_);  // sends again what was not answered
            for (PeerId id = 0; id < kNbClients; ++id)
                hub_.on_no_session(id, now_);
            hub_.drain(actions);
        });
        // Those that were sent again come in the order of their timers.
        std::vector<Message> messages(kNbClients);
        for (const Action& action : actions) {
            if (const auto* send = std::get_if<SendMessage>(&action))
                messages[send->peer] = send->message;
        }
        return messages;
    }

private:
    void add_client(SecretKey key, const PublicKey& hub_public) {
        Device& client = *clients_.emplace_back(std::make_unique<Device>(DeviceOptions{}));
        client.set_private_key(std::move(key), now_);
        PeerOptions options;
        options.public_key = hub_public;
        options.endpoint = address_of(0).remote;
        client.add_peer(0, std::move(options), now_);
        client.up(now_);
        actions_of(client);
    }

    void fetch_cookies() {
        next_round(kCookiesExpireNs);
        Stopwatch unused;
        clients_receive(hub_receives(initiations_without_cookie(), unused));
    }

    Load load_;
    Now now_ = Now::at(1000 * kNsPerSecond, 1'700'000'000 * kNsPerSecond);
    Device hub_;
    std::vector<std::unique_ptr<Device>> clients_;
    std::vector<uint32_t> installed_;
    unsigned nb_rounds_ = 0;
};

// Ends a run in which each client should have made the hub count one `event` per iteration.
template <typename Hub>
void finish(benchmark::State& state, const Hub& hub, HandshakeEvent event, uint64_t before) {
    const auto nb_expected = state.iterations() * static_cast<int64_t>(kNbClients);
    if (hub.count(event) - before != static_cast<uint64_t>(nb_expected))
        return state.SkipWithError(
            (std::string{"not every message was "} + to_string(event)).c_str());
    state.SetItemsProcessed(nb_expected);
}

void respond(benchmark::State& state, Mesh& mesh) {
    const uint64_t before = mesh.count(HandshakeEvent::response_sent);
    for (auto _ : state) {
        const auto initiations = mesh.initiations();
        Stopwatch watch;
        mesh.clients_receive(mesh.hub_receives(initiations, watch));
        mesh.confirm(watch);
        state.SetIterationTime(watch.seconds());
    }
    finish(state, mesh, HandshakeEvent::response_sent, before);
}

// Clients under load answer the first initiation by a cookie, and a second one that carries it.
void initiate(benchmark::State& state, Mesh& mesh) {
    const uint64_t before = mesh.count(HandshakeEvent::completed);
    for (auto _ : state) {
        mesh.next_round(kCookiesExpireNs);
        Stopwatch watch;
        auto answers = mesh.clients_receive(mesh.hub_initiates(watch));
        if (mesh.load() == Load::clients) {
            mesh.hub_receives(answers, watch);
            mesh.next_round();
            answers = mesh.clients_receive(mesh.hub_initiates(watch));
        }
        mesh.hub_receives(answers, watch);
        state.SetIterationTime(watch.seconds());
    }
    finish(state, mesh, HandshakeEvent::completed, before);
}

struct Gateway {
    std::vector<SecretKey> keys = make_keys(kNbPeers);
    ControlBox box{model_with_clients(keys), generate_private_key()};
};

// The same by a whole gateway: keypairs entered, endpoints followed, responses sent on a port.
void respond_as_gateway(benchmark::State& state, Gateway& gateway) {
    ControlBox& box = gateway.box;
    const uint64_t before = box.count(HandshakeEvent::response_sent);
    for (auto _ : state) {
        box.pass(kRoundNs);
        for (uint32_t client = 0; client < kNbClients; ++client)
            box.arrive(box.initiation_of(gateway.keys[client]), client);
        Stopwatch watch;
        watch.run([&] {
            box.poll();
            box.confirm();
        });
        box.settle();
        state.SetIterationTime(watch.seconds());
    }
    finish(state, box, HandshakeEvent::response_sent, before);
}

// The hub meets the same refused messages again and again.
void refuse(benchmark::State& state, Mesh& mesh, HandshakeEvent event) {
    auto messages = mesh.initiations_without_cookie();
    if (event == HandshakeEvent::bad_mac1) {
        for (Message& message : messages)
            message.bytes[message.len - kMacsLen] ^= 1;
    }
    if (event == HandshakeEvent::unknown_peer)
        mesh.forget_clients();
    const uint64_t before = mesh.count(event);
    for (auto _ : state) {
        Stopwatch watch;
        mesh.hub_receives(messages, watch);
        state.SetIterationTime(watch.seconds());
    }
    finish(state, mesh, event, before);
}

// What the curve alone costs either role: a key pair, and three products with the other's keys.
void curve_of_libsodium(benchmark::State& state) {
    std::array<uint8_t, 32> key;
    randombytes_buf(key.data(), key.size());
    std::array<uint8_t, 32> point;
    for (auto _ : state) {
        bool good = crypto_scalarmult_base(point.data(), key.data()) == 0;
        for (int i = 0; i < 3; ++i)
            good &= crypto_scalarmult(point.data(), key.data(), point.data()) == 0;
        if (!good)
            return state.SkipWithError("no product");
    }
    state.SetItemsProcessed(state.iterations());
}

struct FreeEvp {
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
    void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
};
using EvpKey = std::unique_ptr<EVP_PKEY, FreeEvp>;
using EvpContext = std::unique_ptr<EVP_PKEY_CTX, FreeEvp>;

bool evp_product(std::array<uint8_t, 32>& point, EVP_PKEY* key) {
    const EvpKey other{
        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, point.data(), point.size())};
    const EvpContext context{EVP_PKEY_CTX_new(key, nullptr)};
    size_t len = point.size();
    return EVP_PKEY_derive_init(context.get()) == 1 &&
           EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1 &&
           EVP_PKEY_derive(context.get(), point.data(), &len) == 1;
}

void curve_of_openssl(benchmark::State& state) {
    std::array<uint8_t, 32> seed;
    randombytes_buf(seed.data(), seed.size());
    for (auto _ : state) {
        const EvpKey key{
            EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, seed.data(), seed.size())};
        std::array<uint8_t, 32> point;
        size_t len = point.size();
        bool good = EVP_PKEY_get_raw_public_key(key.get(), point.data(), &len) == 1;
        for (int i = 0; i < 3; ++i)
            good = good && evp_product(point, key.get());
        if (!good)
            return state.SkipWithError("no product");
    }
    state.SetItemsProcessed(state.iterations());
}

using Body = std::function<void(benchmark::State&)>;

// `action(state, mesh)` on a mesh of its own.
template <typename Action>
Body with_mesh(Load load, Action action) {
    const Lazy<Mesh> mesh{[load] { return std::make_unique<Mesh>(load); }};
    return [=](benchmark::State& state) { action(state, *mesh.get()); };
}

Body refusing(Load load, HandshakeEvent event) {
    return with_mesh(load, [=](auto& state, Mesh& mesh) { refuse(state, mesh, event); });
}

Group group() {
    const Quantity handshakes = per_second("handshakes");
    const Quantity messages = per_second("messages");
    const std::string curve = "handshake/curve/libsodium";
    const std::string accepted = "handshake/respond";
    const Lazy<Gateway> gateway{[] { return std::make_unique<Gateway>(); }};
    return {
        {.figures = {{accepted, handshakes, curve}},
         .body = with_mesh(Load::quiet, respond),
         .clock = Clock::manual},
        {.figures = {{"handshake/respond/cookie", handshakes, accepted}},
         .body = with_mesh(Load::hub, respond),
         .clock = Clock::manual},
        {.figures = {{"handshake/respond/gateway", handshakes, accepted}},
         .body = [=](benchmark::State& state) { respond_as_gateway(state, *gateway.get()); },
         .clock = Clock::manual},
        {.figures = {{"handshake/initiate", handshakes, curve}},
         .body = with_mesh(Load::quiet, initiate),
         .clock = Clock::manual},
        {.figures = {{"handshake/initiate/cookie", handshakes, "handshake/initiate"}},
         .body = with_mesh(Load::clients, initiate),
         .clock = Clock::manual},
        {.figures = {{"handshake/refuse/bad-mac1", messages, accepted}},
         .body = refusing(Load::quiet, HandshakeEvent::bad_mac1),
         .clock = Clock::manual},
        {.figures = {{"handshake/refuse/no-cookie", messages, accepted}},
         .body = refusing(Load::hub, HandshakeEvent::bad_mac2),
         .clock = Clock::manual},
        {.figures = {{"handshake/refuse/unknown-peer", messages, accepted}},
         .body = refusing(Load::quiet, HandshakeEvent::unknown_peer),
         .clock = Clock::manual},
        {.figures = {{curve, handshakes, "handshake/curve/openssl"}}, .body = curve_of_libsodium},
        {.figures = {{"handshake/curve/openssl", handshakes, ""}}, .body = curve_of_openssl},
    };
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    if (sodium_init() < 0)
        return 1;
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}
