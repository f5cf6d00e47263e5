// SPDX-License-Identifier: Apache-2.0
#include "web/policy.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/address.h"
#include "base/api_nouns.h"

namespace meshgate::web {
namespace {

struct Entry {
    std::string_view path;
    Resource resource;
    std::string_view verb;
};

constexpr std::array<Entry, 6> kEntries = {{
    {"/", Resource::page, ""},
    {"/metrics", Resource::metrics, "metrics"},
    {"/healthz", Resource::healthz, "status"},
    {"/readyz", Resource::readyz, "status"},
    {"/api/v1/status", Resource::api, "status"},
    {"/api/v1/explain", Resource::api, "explain"},
}};
constexpr std::string_view kApiFolder = "/api/v1/";

constexpr std::string_view kExplain = "explain";
constexpr size_t kMaxNameLen = 63;  // of a peer that is asked about

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

bool is_port(std::string_view text) {
    return !text.empty() && text.size() <= 5 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "192.0.2.1:9586", "[2001:db8::1]:9586", "localhost", ... without the port; empty when malformed.
std::string_view host_name(std::string_view host) {
    if (!host.empty() && host.front() == '[') {
        const size_t end = host.find(']');
        if (end == std::string_view::npos)
            return {};
        const std::string_view rest = host.substr(end + 1);
        const bool ok = rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
        return ok ? host.substr(1, end - 1) : std::string_view{};
    }
    const size_t colon = host.find(':');
    if (colon == std::string_view::npos)
        return host;
    return is_port(host.substr(colon + 1)) ? host.substr(0, colon) : std::string_view{};
}

bool is_our_host(std::string_view host, std::string_view listen_host) {
    const std::string_view name = host_name(host);
    return !name.empty() && (equals_ignoring_case(name, "localhost") ||
                             equals_ignoring_case(name, listen_host) || parse_address(name));
}

bool is_same_origin(std::string_view origin, std::string_view host) {
    constexpr std::string_view kScheme = "http://";
    return origin.substr(0, kScheme.size()) == kScheme &&
           equals_ignoring_case(origin.substr(kScheme.size()), host);
}

// A link from elsewhere to our page is harmless; anything else that another site starts is not.
bool may_be_fetched(std::string_view sec_fetch_site, Resource resource) {
    return sec_fetch_site == "same-origin" || sec_fetch_site == "none" ||
           resource == Resource::page;
}

struct Found {
    Resource resource;
    std::string verb;
};

std::optional<Found> find(std::string_view target) {
    const std::string_view path = target.substr(0, target.find('?'));
    for (const Entry& entry : kEntries) {
        if (entry.path == path)
            return Found{entry.resource, std::string{entry.verb}};
    }
    if (!path.starts_with(kApiFolder))
        return std::nullopt;
    const std::string_view noun = path.substr(kApiFolder.size());
    if (std::find(kApiNouns.begin(), kApiNouns.end(), noun) == kApiNouns.end())
        return std::nullopt;
    return Found{Resource::api, "show " + std::string{noun}};
}

std::string what_there_is() {
    std::string text =
        "there is no such thing; try /, /metrics, /healthz, /readyz or /api/v1/status";
    for (const std::string_view noun : kApiNouns)
        text.append(", ").append(noun);
    return text + ", explain?name=NAME";
}

// The value of `?name=`; empty when it is not the name of any peer. Names need no escapes.
std::string_view name_in(std::string_view target) {
    constexpr std::string_view kKey = "?name=";
    constexpr std::string_view kAllowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t key = target.find('?');
    if (key == std::string_view::npos || target.substr(key, kKey.size()) != kKey)
        return {};
    const std::string_view name = target.substr(key + kKey.size());
    const bool ok =
        name.size() <= kMaxNameLen && name.find_first_not_of(kAllowed) == std::string_view::npos;
    return ok ? name : std::string_view{};
}

Decision refuse(unsigned status, std::string message) {
    return {.status = status, .message = std::move(message)};
}

}  // namespace

Decision decide(const RequestHead& head, std::string_view listen_host) {
    if (!head.host)
        return refuse(400, "a request needs a Host header");
    if (!is_our_host(*head.host, listen_host))
        return refuse(403, "the Host header must be an address or localhost, not a name");
    if (head.origin && !is_same_origin(*head.origin, *head.host))
        return refuse(403, "requests from pages of other origins are refused");
    if (head.method != "GET" && head.method != "HEAD")
        return refuse(405, "only GET and HEAD are possible: nothing can be changed here");
    if (head.has_body)
        return refuse(413, "a request has no body");
    const std::optional<Found> entry = find(head.target);
    if (!entry)
        return refuse(404, what_there_is());
    if (head.sec_fetch_site && !may_be_fetched(*head.sec_fetch_site, entry->resource))
        return refuse(403, "requests that other sites start are refused");
    const bool about_one = entry->verb == kExplain;
    const std::string_view name = about_one ? name_in(head.target) : std::string_view{};
    if (about_one && name.empty())
        return refuse(400, "explain needs ?name= and the name of a member");
    return {
        .status = 200, .resource = entry->resource, .verb = entry->verb, .name = std::string{name}};
}

}  // namespace meshgate::web
