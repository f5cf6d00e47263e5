// SPDX-License-Identifier: Apache-2.0
#include "config/schema/network_values.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace meshgate::config {
namespace {

constexpr uint64_t kMaxVersion = uint64_t{1} << 53;  // what every JSON reader can hold
constexpr size_t kMaxNames = 256;                    // in one rule of the policy
constexpr size_t kMaxTags = 32;                      // of one member or client
constexpr size_t kMaxHostLen = 253;                  // RFC 1035, section 2.3.4
constexpr size_t kMaxLabelLen = 63;                  // the same section

bool is_label(std::string_view label) noexcept {
    return !label.empty() && label.size() <= kMaxLabelLen && label.front() != '-' &&
           label.back() != '-' && std::all_of(label.begin(), label.end(), [](unsigned char c) {
               return std::isalnum(c) != 0 || c == '-' || c == '_';
           });
}

std::optional<uint16_t> parse_port(std::string_view text) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && port > 0 && text[0] != '0' ? std::optional{port} : std::nullopt;
}

// "gw.example.net:51820".
bool read_named_endpoint(std::string_view text, MemberEndpoint& out) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return false;
    const auto port = parse_port(text.substr(colon + 1));
    if (!port || !is_host_name(text.substr(0, colon)))
        return false;
    out.host = text.substr(0, colon);
    out.port = *port;
    return true;
}

}  // namespace

void read_member_endpoint(const Input& in, MemberEndpoint& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    if (!read_named_endpoint(*text, out)) {
        const size_t colon = text->rfind(':');
        if (colon == std::string_view::npos && is_host_name(*text)) {
            in.complain("bad-endpoint", quoted(*text) + " has no port").suggestion =
                std::string{*text} + ":51820";
            return;
        }
        if (is_host_name(text->substr(0, colon))) {
            in.complain("bad-endpoint", quoted(*text) + " does not end in a port").fix =
                "a port is a whole number from 1 to 65535";
            return;
        }
        read_endpoint(in, out.literal);
        if (!out.literal)
            return;
        out.port = out.literal->port;
    }
    out.text = *text;
}

void read_peer_endpoint(const Input& in, Peer& out) {
    MemberEndpoint endpoint;
    read_member_endpoint(in, endpoint);
    out.endpoint = endpoint.literal;
    out.endpoint_name.reset();
    if (!endpoint.host.empty())
        out.endpoint_name = {endpoint.host, endpoint.port};
}

std::string show_peer_endpoint(const Peer& value) {
    return value.endpoint_name ? to_string(*value.endpoint_name) : show_endpoint(value.endpoint);
}

namespace {

// Each once; reads with `read`, which leaves empty what it refuses.
template <typename T, typename Read>
void read_list(const Input& in, std::vector<T>& out, std::string_view code, size_t max, Read read) {
    out.clear();
    for (const Input& item : in.items()) {
        T value;
        read(item, value);
        const bool twice = value != T{} && std::find(out.begin(), out.end(), value) != out.end();
        if (twice)
            item.complain(code, quoted(item.node.text) + " stands here twice").fix =
                "remove one of the two";
        out.push_back(twice ? T{} : std::move(value));
        if (out.size() > max) {
            item.complain("too-many", "more than " + std::to_string(max) + " in this list").fix =
                "remove entries from here on";
            return;
        }
    }
}

}  // namespace

bool is_host_name(std::string_view text) noexcept {
    if (text.ends_with('.'))
        text.remove_suffix(1);
    if (text.empty() || text.size() > kMaxHostLen)
        return false;
    // Names whose last part is a number are addresses that somebody mistyped.
    const std::string_view last = text.substr(text.rfind('.') + 1);
    if (std::all_of(last.begin(), last.end(), [](unsigned char c) { return std::isdigit(c) != 0; }))
        return false;
    while (true) {
        const size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot)))
            return false;
        if (dot == std::string_view::npos)
            return true;
        text.remove_prefix(dot + 1);
    }
}

void read_version(const Input& in, uint64_t& out) {
    if (const auto number = read_number(in, "bad-version", 1, kMaxVersion))
        out = *number;
}

void read_owned_networks(const Input& in, std::vector<Prefix>& out) {
    static const Prefix kLinkLocalV6 = *parse_prefix("fe80::/10");
    static const Prefix kLinkLocalV4 = *parse_prefix("169.254.0.0/16");
    static const Prefix kMulticastV6 = *parse_prefix("ff00::/8");
    out.clear();
    for (const Input& item : in.items()) {
        Prefix& prefix = out.emplace_back();
        read_network(item, prefix);
        const bool given = prefix.address.family != Family::none && prefix.len > 0;
        for (const Prefix* special : {&kLinkLocalV6, &kLinkLocalV4, &kMulticastV6}) {
            if (!given || !special->overlaps(prefix))
                continue;
            item.complain("bad-prefix", quoted(item.node.text) + " reaches into " +
                                            to_string(*special) + ", which is nobody's");
            prefix = Prefix{};
            break;
        }
    }
}

void read_member_endpoints(const Input& in, std::vector<MemberEndpoint>& out) {
    read_list(in, out, "endpoint-twice", kMaxMemberEndpoints, read_member_endpoint);
}

void read_names(const Input& in, std::vector<std::string>& out) {
    read_list(in, out, "name-twice", kMaxNames, read_name);
}

void read_tags(const Input& in, std::vector<std::string>& out) {
    read_list(in, out, "tag-twice", kMaxTags, read_name);
}

}  // namespace meshgate::config
