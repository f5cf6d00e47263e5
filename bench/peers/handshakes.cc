// SPDX-License-Identifier: Apache-2.0

// Handshake initiations towards a box, genuine and false.
//
//   handshakes keys --count N
//       N key pairs, one a line: private key, public key
//   handshakes accept --to ADDR --port N --server KEY --keys FILE [--window N] [--gap-ms N]
//       each private key of FILE begins a session; at most N unanswered at a time, and N ms between
//       two messages. Who got no answer, or a cookie, asks again, at most five times in all
//   handshakes flood --to ADDR --port N --server KEY --kind noise|mac1 --seconds S [--spoof 1]
//       initiations that mean nothing, as fast as they go: `noise` is random behind the type,
//       `mac1` has a valid mac1, which anybody can make who knows the box's public key. With
//       --spoof each comes from another address of 10.66.0.0/16
//
// `accept` and `flood` print one JSON object. IPv4.

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/keys.h"
#include "control/wireguard/cookie.h"
#include "control/wireguard/noise.h"
#include "control/wireguard/timestamp.h"

namespace {

using namespace meshgate;
using namespace meshgate::wireguard;

constexpr uint64_t kPatienceNs = 300'000'000;  // for one answer
constexpr unsigned kMaxTries = 5;
constexpr size_t kBatch = 64;
constexpr size_t kFalseMessages = 4096;  // different ones, sent in turn

using Options = std::map<std::string, std::string>;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

uint64_t now_ns() {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<uint64_t>(ts.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(ts.tv_nsec);
}

double number(const Options& options, const std::string& key, double fallback) {
    const auto found = options.find(key);
    return found == options.end() ? fallback : std::strtod(found->second.c_str(), nullptr);
}

PublicKey server_key(const Options& options) {
    const auto key = parse_public_key(options.at("server"));
    if (!key) {
        std::fputs("--server is not a public key\n", stderr);
        std::exit(2);
    }
    return *key;
}

sockaddr_in server_address(const Options& options) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(number(options, "port", 51820)));
    if (inet_pton(AF_INET, options.at("to").c_str(), &address.sin_addr) != 1) {
        std::fputs("--to is not an IPv4 address\n", stderr);
        std::exit(2);
    }
    return address;
}

int connected_socket(const sockaddr_in& address) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const int buffer_bytes = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        die("connect");
    return fd;
}

int print_keys(const Options& options) {
    for (int i = 0; i < static_cast<int>(number(options, "count", 1)); ++i) {
        const SecretKey key = generate_private_key();
        std::printf("%s %s\n", to_base64(key).c_str(), to_string(public_key_of(key)).c_str());
    }
    return 0;
}

// ---- genuine ones ----

// One peer of the box, and its initiation.
struct Client {
    Identity identity;
    RemoteIdentity server;
    CookieJar cookies;
    InitiationMessage message{};
    SentInitiation sent;
    uint64_t sent_ns = 0;  // 0: not yet
    unsigned nb_tries = 0;
    bool done = false;
};

class Clients {
public:
    Clients(const PublicKey& server, const std::string& file) {
        std::ifstream lines{file};
        for (std::string key, rest; lines >> key && std::getline(lines, rest);) {
            auto private_key = parse_secret_key(key);
            if (!private_key)
                continue;
            Client client{.cookies = CookieJar{server}};
            client.identity.public_key = public_key_of(*private_key);
            client.identity.private_key = std::move(*private_key);
            client.server.public_key = server;
            if (precompute(client.server, client.identity) &&
                renew(client, static_cast<uint32_t>(clients_.size())))
                clients_.push_back(std::move(client));
        }
    }

    // An initiation with the time of now.
    static bool renew(Client& client, uint32_t index) {
        return create_initiation(client.message, client.sent, client.identity, client.server,
                                 generate_private_key(), Timestamp::from_wall(wall_ns()), index);
    }

    size_t size() const { return clients_.size(); }
    Client& operator[](size_t index) { return clients_[index]; }

    // Who was answered; `done` tells how. Null: nobody.
    Client* receive(std::span<const uint8_t> datagram) {
        if (datagram.size() == sizeof(ResponseMessage)) {
            const auto response = message_from<ResponseMessage>(datagram);
            Client* const client = find(from_le32(response.receiver_index));
            TransportKeys keys;
            if (client == nullptr || client->done ||
                !consume_response(keys, response, client->sent, client->identity, client->server))
                return nullptr;
            client->done = true;
            ++nb_accepted;
            return client;
        }
        if (datagram.size() != sizeof(CookieReplyMessage))
            return nullptr;
        const auto reply = message_from<CookieReplyMessage>(datagram);
        Client* const client = find(from_le32(reply.receiver_index));
        if (client == nullptr || !client->cookies.consume(reply, now_ns()))
            return nullptr;
        ++nb_cookies;
        return client;
    }

    size_t nb_accepted = 0, nb_cookies = 0;

private:
    static uint64_t wall_ns() {
        timespec ts{};
        clock_gettime(CLOCK_REALTIME, &ts);
        return static_cast<uint64_t>(ts.tv_sec) * kNsPerSecond + static_cast<uint64_t>(ts.tv_nsec);
    }
    Client* find(uint32_t index) { return index < clients_.size() ? &clients_[index] : nullptr; }

    std::vector<Client> clients_;
};

class Acceptance {
public:
    Acceptance(const Options& options, Clients& clients)
        : fd_{connected_socket(server_address(options))},
          window_{static_cast<size_t>(number(options, "window", 64))},
          gap_ns_{static_cast<uint64_t>(number(options, "gap-ms", 0) * 1e6)},
          clients_{clients} {
        const timeval timeout{0, 10'000};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    }

    // Until everybody was answered or gave up; milliseconds from the first message to the answer.
    std::vector<double> run() {
        while (nb_done_ < clients_.size()) {
            speak();
            std::array<uint8_t, 2048> datagram{};
            const ssize_t len = recv(fd_, datagram.data(), datagram.size(), 0);
            if (len < 0)
                continue;
            Client* const client =
                clients_.receive(std::span{datagram}.first(static_cast<size_t>(len)));
            if (client == nullptr)
                continue;
            if (!client->done) {
                client->sent_ns = 1;  // a cookie: at once again
                continue;
            }
            ++nb_done_;
            answers_ms_.push_back(
                static_cast<double>(now_ns() - began_ns_[client->sent.local_index]) / 1e6);
        }
        return answers_ms_;
    }

private:
    void speak() {
        began_ns_.resize(clients_.size());
        // Those from first_ on may be waiting for an answer.
        while (first_ < next_ && clients_[first_].done)
            ++first_;
        for (size_t i = first_; i < next_; ++i) {
            Client& client = clients_[i];
            if (client.done || now_ns() - client.sent_ns < kPatienceNs)
                continue;
            if (client.nb_tries < kMaxTries) {
                send_from(i);
                continue;
            }
            client.done = true;
            ++nb_done_;
        }
        while (next_ < clients_.size() && next_ - nb_done_ < window_ && may_send()) {
            began_ns_[next_] = now_ns();
            send_from(next_++);
        }
    }

    bool may_send() const { return now_ns() - last_sent_ns_ >= gap_ns_; }

    void send_from(size_t index) {
        Client& client = clients_[index];
        if (!may_send())
            return;
        if (client.nb_tries++ > 0)
            Clients::renew(client, static_cast<uint32_t>(index));
        client.cookies.stamp(bytes_of(client.message), now_ns());
        client.sent_ns = last_sent_ns_ = now_ns();
        if (send(fd_, &client.message, sizeof client.message, 0) < 0)
            std::perror("send");
    }

    int fd_;
    size_t window_;
    uint64_t gap_ns_;
    Clients& clients_;
    size_t first_ = 0, next_ = 0, nb_done_ = 0;
    uint64_t last_sent_ns_ = 0;
    std::vector<uint64_t> began_ns_;
    std::vector<double> answers_ms_;
};

int accept_all(const Options& options) {
    Clients clients{server_key(options), options.at("keys")};
    const uint64_t start_ns = now_ns();
    std::vector<double> answers_ms = Acceptance{options, clients}.run();
    const uint64_t last_ns = now_ns();
    std::sort(answers_ms.begin(), answers_ms.end());
    const auto quantile = [&](double q) {
        return answers_ms.empty() ? -1
                                  : answers_ms[static_cast<size_t>(
                                        q * static_cast<double>(answers_ms.size() - 1))];
    };
    std::printf(
        "{\"clients\": %zu, \"accepted\": %zu, \"cookies\": %zu, \"seconds\": %.6f, "
        "\"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
        clients.size(), clients.nb_accepted, clients.nb_cookies,
        static_cast<double>(last_ns - start_ns) / 1e9, quantile(0.5), quantile(0.99));
    return 0;
}

// ---- false ones ----

struct [[gnu::packed]] Datagram {
    iphdr ip;
    udphdr udp;
    InitiationMessage message;
};

std::vector<Datagram> false_initiations(const Options& options, const sockaddr_in& to) {
    std::vector<Datagram> datagrams(kFalseMessages);
    CookieJar macs{server_key(options)};
    for (size_t i = 0; i < datagrams.size(); ++i) {
        Datagram& datagram = datagrams[i];
        randombytes_buf(&datagram, sizeof datagram);
        datagram.message.type = to_le32(static_cast<uint32_t>(MessageType::initiation));
        if (options.at("kind") == "mac1")
            macs.stamp(bytes_of(datagram.message), now_ns());
        datagram.ip = iphdr{};
        datagram.ip.version = 4;
        datagram.ip.ihl = 5;
        datagram.ip.tot_len = htons(sizeof datagram);
        datagram.ip.ttl = 64;
        datagram.ip.protocol = IPPROTO_UDP;
        datagram.ip.saddr = htonl(0x0a420000U | static_cast<uint32_t>(randombytes_uniform(65536)));
        datagram.ip.daddr = to.sin_addr.s_addr;
        datagram.udp.source = htons(static_cast<uint16_t>(1024 + i));
        datagram.udp.dest = to.sin_port;
        datagram.udp.len = htons(sizeof datagram.udp + sizeof datagram.message);
        datagram.udp.check = 0;
    }
    return datagrams;
}

int flood(const Options& options) {
    const std::string& kind = options.at("kind");
    if (kind != "noise" && kind != "mac1")
        return 2;
    sockaddr_in to = server_address(options);
    const bool spoof = number(options, "spoof", 0) != 0;
    std::vector<Datagram> datagrams = false_initiations(options, to);
    const int fd = spoof ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : connected_socket(to);
    if (fd < 0)
        die("socket");
    std::array<iovec, kBatch> vectors{};
    std::array<mmsghdr, kBatch> messages{};
    for (size_t i = 0; i < kBatch; ++i) {
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        if (spoof) {
            messages[i].msg_hdr.msg_name = &to;
            messages[i].msg_hdr.msg_namelen = sizeof to;
        }
    }
    const uint64_t start_ns = now_ns();
    const auto duration_ns = static_cast<uint64_t>(number(options, "seconds", 1) * 1e9);
    uint64_t nb_sent = 0;
    for (size_t next = 0; now_ns() - start_ns < duration_ns; next += kBatch) {
        for (size_t i = 0; i < kBatch; ++i) {
            Datagram& datagram = datagrams[(next + i) % datagrams.size()];
            vectors[i] = spoof ? iovec{&datagram, sizeof datagram}
                               : iovec{&datagram.message, sizeof datagram.message};
        }
        const int nb = sendmmsg(fd, messages.data(), kBatch, 0);
        nb_sent += nb > 0 ? static_cast<uint64_t>(nb) : 0;
    }
    std::printf("{\"sent\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(nb_sent),
                static_cast<double>(now_ns() - start_ns) / 1e9);
    return 0;
}

int usage() {
    std::fputs("usage: handshakes keys|accept|flood [--OPTION VALUE]...\n", stderr);
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 2; i + 1 < argc; i += 2)
        options[argv[i] + (std::strncmp(argv[i], "--", 2) == 0 ? 2 : 0)] = argv[i + 1];
    const std::string mode = argc > 1 ? argv[1] : "";
    const bool speaks = options.contains("to") && options.contains("server");
    if (argc % 2 != 0 || sodium_init() < 0)
        return usage();
    if (mode == "keys")
        return print_keys(options);
    if (mode == "accept" && speaks && options.contains("keys"))
        return accept_all(options);
    return mode == "flood" && speaks && options.contains("kind") ? flood(options) : usage();
}
