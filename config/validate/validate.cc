// SPDX-License-Identifier: Apache-2.0
#include "config/validate/validate.h"

#include <sodium.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "config/key_file.h"
#include "config/validate/complain.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxInterfaceNameLen = 15;  // IFNAMSIZ, less its end

// The key in `file`, which `path` names; none, and a complaint, when it cannot be had.
std::optional<SecretKey> load_key(const Complainer& complain, const Path& path,
                                  const std::string& file, KeyKind kind) {
    if (file.empty())
        return std::nullopt;
    auto key = read_key_file(file, kind);
    if (key)
        return std::move(*key);
    complain.error("key-file", path, key.error().message).fix = key.error().fix;
    return std::nullopt;
}

void load_keys(const Complainer& complain, Model& model) {
    if (const auto key = load_key(complain, Path{.group = "node", .key = "private_key_file"},
                                  model.node.private_key_file, KeyKind::private_key))
        model.node.public_key = public_key_of(*key);
    for (size_t i = 0; i < model.peers.size() && !complain.full(); ++i) {
        Peer& peer = model.peers[i];
        const Path path{
            .group = "peers", .index = static_cast<int>(i), .key = "preshared_key_file"};
        if (!peer.preshared_key_file.empty() &&
            peer.preshared_key_file == model.node.private_key_file)
            complain.error("key-file", path, "this is the private key of this box").fix =
                "make one that the peer shares: umask 077; wg genpsk > FILE";
        else if (const auto key =
                     load_key(complain, path, peer.preshared_key_file, KeyKind::preshared_key))
            peer.preshared_key_tag = tag_of(key->bytes());
    }
}

void finish_dataplane(const Complainer& complain, Model& model) {
    const Path cores{.group = "dataplane", .key = "cores"};
    const Path workers{.group = "dataplane", .key = "workers"};
    if (complain.given(cores) && complain.given(workers)) {
        Diagnostic& diagnostic =
            complain.error("workers-and-cores", cores, "cores and workers exclude each other");
        diagnostic.fix = "keep cores to fix workers to them, or workers to let them float";
        diagnostic.related.push_back(complain.related(workers, "the other"));
    }
    if (!model.dataplane.cores.empty())
        model.dataplane.workers = static_cast<unsigned>(model.dataplane.cores.size());
}

void finish_control(const Complainer& complain, Model& model) {
    Control& control = model.control;
    if (control.wg_socket == "auto")
        control.wg_socket =
            "/var/run/wireguard/" + model.node.name.substr(0, kMaxInterfaceNameLen) + ".sock";
    else if (control.wg_socket == "off")
        control.wg_socket.clear();
    if (control.wg_socket == control.socket)
        complain
            .error("bad-path", Path{.group = "control", .key = "wg_socket"},
                   "this is the socket of the command meshgate")
            .fix = "write another path, or auto";
}

}  // namespace

std::array<uint8_t, 16> tag_of(std::span<const uint8_t> secret) {
    static const std::array<uint8_t, 32> kProcessKey = [] {
        std::array<uint8_t, 32> key{};
        randombytes_buf(key.data(), key.size());
        return key;
    }();
    std::array<uint8_t, 16> tag{};
    crypto_generichash(tag.data(), tag.size(), secret.data(), secret.size(), kProcessKey.data(),
                       kProcessKey.size());
    return tag;
}

void validate(const YamlNode& root, Model& model, Report& report) {
    const Complainer complain{root, report};
    load_keys(complain, model);
    finish_dataplane(complain, model);
    finish_control(complain, model);
    validate_ports(root, model, report);
    validate_routes(root, model, report);
    validate_peers(root, model, report);
    validate_babel(root, model, report);
    validate_prefixes(root, model, report);
}

}  // namespace meshgate::config
