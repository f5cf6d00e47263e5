// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "config/key_file.h"
#include "config/validate/complain.h"
#include "config/validate/validate.h"

namespace meshgate::config {
namespace {

constexpr uint16_t kMinIpv6Mtu = 1280;    // RFC 8200, section 5
constexpr size_t kMaxBlake2sKeyLen = 32;  // RFC 7693, section 2.1

class BabelRules {
public:
    BabelRules(const YamlNode& root, Model& model, Report& report)
        : model_{model}, complain_{root, report} {}

    void run() {
        for (size_t i = 0; i < model_.babel.size() && !complain_.full(); ++i) {
            if (check_kind(i)) {
                check_unique(i);
                check_port(i);
                check_peer(i);
            }
            check_key(i);
        }
    }

private:
    static Path path(size_t entry, std::string_view key) {
        return Path{.group = "babel", .index = static_cast<int>(entry), .key = key};
    }

    bool check_kind(size_t i) const {
        const bool port = complain_.given(path(i, "port"));
        const bool peer = complain_.given(path(i, "peer"));
        if (port && peer)
            complain_.error("bad-babel", path(i, "peer"), "port and peer exclude each other").fix =
                "make two entries of it";
        else if (!port && !peer)
            complain_.error("bad-babel", path(i, ""), "this entry is nowhere").fix =
                "add port: NAME of a lan port, or peer: NAME of a peer";
        return port != peer;
    }

    void check_unique(size_t i) {
        const Babel& entry = model_.babel[i];
        const std::string_view key = entry.peer.empty() ? "port" : "peer";
        const std::string& name = entry.peer.empty() ? entry.port : entry.peer;
        const auto [first, fresh] = seen_.emplace(std::string{key} + " " + name, i);
        if (fresh || name.empty())
            return;
        Diagnostic& diagnostic = complain_.error("babel-twice", path(i, key),
                                                 "another entry is for this " + std::string{key});
        diagnostic.fix = "join the two entries";
        diagnostic.related.push_back(complain_.related(path(first->second, key), "the other"));
    }

    void check_port(size_t i) {
        const std::string& name = model_.babel[i].port;
        if (name.empty())
            return;
        std::string lan_ports;
        for (Port& port : model_.ports) {
            if (is_lan(port.role))
                lan_ports += (lan_ports.empty() ? "" : ", ") + port.name;
            if (port.name != name)
                continue;
            if (!is_lan(port.role))
                complain_.error("bad-babel", path(i, "port"), "port " + name + " is no lan port")
                    .fix = "on the wan side Babel runs inside tunnels only: write peer: NAME";
            else if (port.mtu_bytes < kMinIpv6Mtu)
                complain_
                    .error("bad-babel", path(i, "port"),
                           "Babel runs over IPv6, which port " + name + " is too narrow for")
                    .fix = "raise the port's mtu to 1280 at least";
            else
                port.babel = true;
            return;
        }
        Diagnostic& diagnostic =
            complain_.error("unknown-port", path(i, "port"), "there is no port " + quoted(name));
        if (!lan_ports.empty())
            diagnostic.allowed.push_back(lan_ports);
    }

    void check_peer(size_t i) const {
        const std::string& name = model_.babel[i].peer;
        if (name.empty())
            return;
        for (const Peer& peer : model_.peers) {
            if (peer.name == name)
                return;
        }
        complain_.error("unknown-peer", path(i, "peer"), "there is no peer " + quoted(name)).fix =
            "write the name of one of peers; boxes of the network speak Babel by themselves";
    }

    void check_key(size_t i) {
        Babel& entry = model_.babel[i];
        if (entry.key_file.empty()) {
            if (complain_.given(path(i, "key_algorithm")) && !complain_.given(path(i, "key_file")))
                complain_.error("bad-babel", path(i, "key_algorithm"), "an algorithm without a key")
                    .fix = "add key_file, or remove key_algorithm";
            return;
        }
        const auto key = read_mac_key_file(entry.key_file);
        if (!key) {
            complain_.error("key-file", path(i, "key_file"), key.error().message).fix =
                key.error().fix;
            return;
        }
        entry.key_tag = tag_of(key->bytes());
        if (entry.key_algorithm == MacAlgorithm::blake2s && key->bytes().size() > kMaxBlake2sKeyLen)
            complain_.error("key-file", path(i, "key_file"), "this key is too long for blake2s")
                .fix = "take one of 32 bytes, or hmac-sha256";
    }

    Model& model_;
    Complainer complain_;
    std::map<std::string, size_t> seen_;
};

}  // namespace

void validate_babel(const YamlNode& root, Model& model, Report& report) {
    BabelRules{root, model, report}.run();
}

}  // namespace meshgate::config
