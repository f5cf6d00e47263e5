// SPDX-License-Identifier: Apache-2.0
#include "control/api/wg_socket.h"

#include <cerrno>

namespace meshgate::control {
namespace {

std::string hex_of(const PublicKey& key) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const uint8_t byte : key.bytes) {
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

void append(std::string& out, const char* key, const std::string& value) {
    out += key;
    out += '=';
    out += value;
    out += '\n';
}

void append(std::string& out, const char* key, int64_t value) {
    append(out, key, std::to_string(value));
}

void append(std::string& out, const char* key, uint64_t value) {
    append(out, key, std::to_string(value));
}

void append_peer(std::string& out, const PeerView& peer) {
    append(out, "public_key", hex_of(peer.public_key));
    append(out, "protocol_version", uint64_t{1});
    if (peer.endpoint)
        append(out, "endpoint", to_string(*peer.endpoint));
    append(out, "last_handshake_time_sec", peer.latest_handshake_unix_s);
    append(out, "last_handshake_time_nsec", uint64_t{peer.latest_handshake_ns});
    append(out, "tx_bytes", peer.tx_bytes);
    append(out, "rx_bytes", peer.rx_bytes);
    append(out, "persistent_keepalive_interval", uint64_t{peer.persistent_keepalive_s});
    for (const Prefix& prefix : peer.allowed_ips)
        append(out, "allowed_ip", to_string(prefix));
}

std::string failure(int errno_value) {
    return "errno=" + std::to_string(-errno_value) + "\n\n";
}

std::string device(StateProvider& state) {
    std::string out;
    append(out, "listen_port", uint64_t{state.status().listen_port});
    for (const PeerView& peer : state.peers()) {
        if (peer.enabled)
            append_peer(out, peer);
    }
    return out + failure(0);
}

class WgHandler final : public RequestHandler {
public:
    explicit WgHandler(StateProvider& state) : state_{state} {}
    Reply answer(std::string_view request) override {
        return {wg_answer(request, state_), AfterReply::keep_open};
    }

private:
    StateProvider& state_;
};

}  // namespace

std::string wg_answer(std::string_view request, StateProvider& state) {
    if (request == "get=1")
        return device(state);
    const bool set = request == "set=1" || request.substr(0, 6) == "set=1\n";
    return failure(set ? EPERM : EPROTO);
}

Result<std::unique_ptr<UnixServer>> serve_wg(boost::asio::io_context& io, const std::string& path,
                                             StateProvider& state) {
    UnixServerOptions options;
    options.path = path;
    options.mode = 0600;
    options.terminator = "\n\n";
    options.max_request_bytes = kMaxWgRequestBytes;
    options.busy_answer = failure(EBUSY);
    options.too_long_answer = failure(EMSGSIZE);
    return UnixServer::create(io, std::move(options), [&state](const Caller&) {
        return std::make_unique<WgHandler>(state);
    });
}

}  // namespace meshgate::control
