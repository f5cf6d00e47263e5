// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace meshgate::web {

// What a request's head says, as far as it matters here. Repeated headers are joined by the caller
// with ", ", which no rule below accepts.
struct RequestHead {
    std::string_view method;
    std::string_view target;
    std::optional<std::string_view> host;
    std::optional<std::string_view> origin;
    std::optional<std::string_view> sec_fetch_site;
    bool has_body = false;
};

enum class Resource : uint8_t { none, page, metrics, healthz, readyz, api };

struct Decision {
    unsigned status = 404;  // 200: serve `resource`
    Resource resource = Resource::none;
    std::string verb;     // what to ask the daemon, where there is something to ask
    std::string name;     // whom the verb is about, where it is about one
    std::string message;  // status other than 200: why
};

// What may be served to whom, without any socket. `listen_host` is the address we listen on.
//
// A browser is the attacker here: a page from elsewhere that talks to our address (Origin,
// Sec-Fetch-Site), or that had its own name pointed at our address (Host: names are refused, since
// rebinding needs one). Only GET and HEAD exist, so that nothing can be changed.
Decision decide(const RequestHead& head, std::string_view listen_host);

}  // namespace meshgate::web
