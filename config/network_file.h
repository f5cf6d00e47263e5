// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "config/network.h"

namespace meshgate::config {

using Signature = std::array<uint8_t, 64>;

// The exact bytes that were signed, and the Ed25519 signature over them.
struct SignedNetwork {
    std::string text;
    Signature signature{};
    bool operator==(const SignedNetwork&) const = default;
};

// True when the holder of the authority's secret key signed these bytes.
bool verify(const SignedNetwork& network, const AuthorityKey& authority);

// A pair for `meshgate network keygen`. The secret is the seed of the key.
SecretKey generate_authority_secret();
AuthorityKey authority_key_of(const SecretKey& secret);
Signature sign(std::string_view text, const SecretKey& secret);
// The secret in a file of its own, mode 600: "ed25519:" and base64. Never replaces a file.
Result<void> write_authority_secret(const std::string& path, const SecretKey& secret);
// As load_secret_key().
Result<SecretKey> load_authority_secret(const std::string& path);

// What stands in FILE.sig: base64 of the signature in the first line. The lines "version N" and
// "authority KEY" may follow; they are nobody's promise, and serve the people who sign and look.
struct SignatureFile {
    Signature signature{};
    std::optional<uint64_t> version;
    std::optional<AuthorityKey> authority;
};
Result<SignatureFile> parse_signature_file(std::string_view text);
std::string to_string(const SignatureFile& file);
// Empty when there is no such file.
Result<std::optional<SignatureFile>> read_signature_file(const std::string& path);

// FILE, kMaxNetworkBytes at most.
Result<std::string> read_network_text(const std::string& path);
// FILE and FILE.sig.
Result<SignedNetwork> read_signed_network(const std::string& path);

// The last good one in one file of its own. It is replaced whole or not at all, and is on the disk
// when this returns.
Result<void> keep_network(const std::string& path, const SignedNetwork& network);
// Empty when nothing was kept. What is kept is checked like everything else: verify() it.
Result<std::optional<SignedNetwork>> load_kept_network(const std::string& path);

// Replaces the file, whole or not at all: written beside it, flushed, renamed, the folder flushed.
Result<void> replace_file(const std::string& path, std::string_view contents, unsigned mode);

// A network that may be used: signed by the authority of the box file, and without an error.
struct NetworkLoad {
    std::optional<SignedNetwork> signed_network;
    std::optional<Network> network;
    std::vector<Diagnostic> diagnostics;  // errors and warnings

    explicit operator bool() const noexcept { return network.has_value(); }
};

// Verifies, then parses: nothing of a stranger's text reaches the parser. `file_name` stands in the
// diagnostics.
NetworkLoad open_network(SignedNetwork candidate, const AuthorityKey& authority,
                         const std::string& file_name);
// The files that the box file names, and what check_against() has to say. `model.network` is set.
NetworkLoad load_network(const Model& model);

}  // namespace meshgate::config
