// SPDX-License-Identifier: Apache-2.0
// Any text as a network file, and as the signature file beside one.

#include <cstdint>

#include "base/assert.h"
#include "base/text.h"
#include "config/network.h"
#include "config/network_file.h"

namespace {

using namespace meshgate;
using namespace meshgate::config;

void check_printable(std::string text) {
    std::erase(text, '\n');
    MG_ASSERT(find_unprintable(text) == std::string::npos);
}

void check_diagnostics(const std::vector<Diagnostic>& diagnostics) {
    for (const Diagnostic& diagnostic : diagnostics) {
        MG_ASSERT(!diagnostic.code.empty() && !diagnostic.message.empty());
        MG_ASSERT(!diagnostic.allowed.empty() || !diagnostic.suggestion.empty() ||
                  !diagnostic.fix.empty());
    }
    check_printable(format_text(diagnostics));
    check_printable(format_gcc(diagnostics));
    check_printable(format_json(diagnostics));
}

bool same_place(const Prefix& a, const Prefix& b) {
    return a.len > 0 && b.len > 0 && a.overlaps(b);
}

// What every user of a network relies on.
void check_network(const Network& network, const AuthorityKey& authority) {
    MG_ASSERT(network.version > 0 && network.version <= uint64_t{1} << 53);
    MG_ASSERT(!network.members.empty());
    for (const Member& member : network.members) {
        MG_ASSERT(!member.name.empty() && member.public_key != PublicKey{});
        MG_ASSERT(member.endpoints.size() <= kMaxMemberEndpoints);
        for (const MemberEndpoint& endpoint : member.endpoints)
            MG_ASSERT(endpoint.port > 0 && endpoint.literal.has_value() == endpoint.host.empty());
        for (const Prefix& prefix : member.prefixes) {
            MG_ASSERT(prefix == prefix.network());
            MG_ASSERT(!same_place(prefix, node_prefix(authority)));
            for (const Member& other : network.members)
                for (const Prefix& others : other.prefixes)
                    MG_ASSERT(&member == &other || !same_place(prefix, others));
        }
    }
    for (const Client& client : network.clients)
        MG_ASSERT(!client.addresses.empty() && client.public_key != PublicKey{});
    MG_ASSERT(diff(network, network).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t len) {
    static const AuthorityKey kAuthority =
        *parse_authority_key("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    const std::string text(data, data + len);
    const NetworkResult result = parse_network(text, "network.yaml", kAuthority);
    MG_ASSERT(result.network.has_value() != has_errors(result.diagnostics));
    check_diagnostics(result.diagnostics);
    if (result.network && result.network->members.size() < 100)
        check_network(*result.network, kAuthority);

    const auto file = parse_signature_file(text);
    if (file) {
        const auto again = parse_signature_file(to_string(*file));
        MG_ASSERT(again && again->signature == file->signature && again->version == file->version);
        MG_ASSERT(!open_network({text, file->signature}, kAuthority, "network.yaml"));
    } else {
        check_printable(file.error().message);
    }
    return 0;
}
