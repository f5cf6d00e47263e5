// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "config/schema/values.h"

namespace meshgate::config {
namespace {

bool is_this_network(const IpAddress& address) {
    return address.is_v4() && address.bytes[0] == 0;
}

bool is_reserved(const IpAddress& address) {
    return address.is_v4() && address.bytes[0] >= 240;
}

// Why no host can have this address; empty when one can.
std::string_view not_a_host(const IpAddress& address) {
    if (address.is_unspecified() || is_this_network(address))
        return "the unspecified address";
    if (address.is_loopback())
        return "a loopback address";
    if (address.is_multicast())
        return "a multicast address";
    if (is_reserved(address))
        return "a reserved or broadcast address";
    return {};
}

IpAddress last_of(const Prefix& prefix) {
    IpAddress last = prefix.network().address;
    for (unsigned bit = prefix.len; bit < prefix.address.bits(); ++bit)
        last.bytes[bit / 8] = static_cast<uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
    return last;
}

// Why the host part makes no address of an interface; empty when it does.
std::string_view not_in_network(const Prefix& prefix) {
    if (prefix.len + 1 >= prefix.address.bits())
        return {};
    if (prefix.address == prefix.network().address)
        return "the address of the network itself";
    if (prefix.address.is_v4() && prefix.address == last_of(prefix))
        return "the broadcast address of its network";
    return {};
}

std::string first_host_of(const Prefix& prefix) {
    Prefix host = prefix.network();
    host.address.bytes[prefix.address.bits() / 8 - 1] |= 1;
    return to_string(host);
}

std::optional<Prefix> read_prefix(const Input& in) {
    const auto text = in.scalar();
    if (!text)
        return std::nullopt;
    const auto prefix = parse_prefix(*text);
    if (prefix)
        return prefix;
    const auto address = parse_address(text->substr(0, text->find('/')));
    Diagnostic& diagnostic = in.complain("bad-prefix", quoted(*text) + " is no IP prefix");
    if (address)
        diagnostic.fix = address->is_v4() ? "the length is a whole number from 0 to 32"
                                          : "the length is a whole number from 0 to 128";
    return std::nullopt;
}

Prefix read_interface_address(const Input& in) {
    const auto prefix = read_prefix(in);
    if (!prefix)
        return {};
    const std::string text = quoted(in.node.text);
    if (in.node.text.find('/') == std::string::npos) {
        in.complain("bad-address", text + " has no prefix length").suggestion =
            in.node.text + (prefix->address.is_v4() ? "/24" : "/64");
        return {};
    }
    if (const auto why = not_a_host(prefix->address); !why.empty()) {
        in.complain("bad-address", text + " is " + std::string{why});
        return {};
    }
    if (prefix->address.is_v6() && prefix->address.is_link_local()) {
        in.complain("bad-address", text + " is a link-local address").fix =
            "leave it out: each port makes its own";
        return {};
    }
    if (prefix->len == 0) {
        in.complain("bad-address", "a network of length 0 holds every address").suggestion =
            to_string(prefix->address) + (prefix->address.is_v4() ? "/24" : "/64");
        return {};
    }
    if (const auto why = not_in_network(*prefix); !why.empty()) {
        in.complain("bad-address", text + " is " + std::string{why}).suggestion =
            first_host_of(*prefix);
        return {};
    }
    return *prefix;
}

bool looks_like_host_name(std::string_view text) {
    const std::string_view host = text.substr(0, text.rfind(':'));
    return std::any_of(host.begin(), host.end(),
                       [](unsigned char c) { return std::isalpha(c) != 0; }) &&
           std::all_of(host.begin(), host.end(), is_name_char);
}

void explain_endpoint(const Input& in, std::string_view text) {
    const auto address = parse_address(text);
    Diagnostic& diagnostic = in.complain("bad-endpoint", quoted(text) + " is no address and port");
    if (address && address->is_v6())
        diagnostic.fix =
            "put the address in brackets and add the port: \"[" + std::string{text} + "]:51820\"";
    else if (address)
        diagnostic.suggestion = std::string{text} + ":51820";
    else if (looks_like_host_name(text)) {
        diagnostic.message = quoted(text) + " is a name, and this takes addresses only";
        diagnostic.fix = "write the address that the name stands for, with the port";
    }
}

// An endpoint that some host can have.
std::optional<Endpoint> read_socket_address(const Input& in) {
    const auto text = in.scalar();
    if (!text)
        return std::nullopt;
    const auto endpoint = parse_endpoint(*text);
    if (!endpoint)
        explain_endpoint(in, *text);
    return endpoint;
}

}  // namespace

void read_port_addresses(const Input& in, Port& out) {
    out.addresses.clear();
    out.addresses_from_host = in.node.kind == NodeKind::scalar && in.node.text == "host";
    if (out.addresses_from_host)
        return;
    for (const Input& item : in.items())
        out.addresses.push_back(read_interface_address(item));
}

std::string show_port_addresses(const Port& value) {
    return value.addresses_from_host ? "host" : show_prefixes(value.addresses);
}

void read_network(const Input& in, Prefix& out) {
    const auto prefix = read_prefix(in);
    if (!prefix)
        return;
    const Prefix network = prefix->network();
    if (*prefix != network) {
        in.complain("host-bits", quoted(in.node.text) + " has bits set behind its length")
            .suggestion = to_string(network) + " or " + to_string(prefix->address) +
                          (prefix->address.is_v4() ? "/32" : "/128");
        return;
    }
    const bool everything = network.len == 0;
    const auto why = not_a_host(network.address);
    if (!everything && !why.empty()) {
        in.complain("bad-prefix", quoted(in.node.text) + " begins with " + std::string{why});
        return;
    }
    out = network;
}

void read_networks(const Input& in, std::vector<Prefix>& out) {
    out.clear();
    for (const Input& item : in.items()) {
        out.emplace_back();
        read_network(item, out.back());
    }
}

void read_networks_or_none(const Input& in, std::vector<Prefix>& out) {
    out.clear();
    if (in.node.kind != NodeKind::list || !in.node.children.empty())
        read_networks(in, out);
}

void read_optional_networks(const Input& in, std::optional<std::vector<Prefix>>& out) {
    read_networks_or_none(in, out.emplace());
}

std::string show_networks_or_none(const std::vector<Prefix>& value) {
    return value.empty() ? "[]" : show_prefixes(value);
}

std::string show_optional_networks(const std::optional<std::vector<Prefix>>& value) {
    return value ? show_networks_or_none(*value) : "";
}

void read_via(const Input& in, std::optional<IpAddress>& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto address = parse_address(*text);
    if (!address)
        in.complain("bad-address", quoted(*text) + " is no IP address");
    else if (const auto why = not_a_host(*address); !why.empty())
        in.complain("bad-address", quoted(*text) + " is " + std::string{why});
    else
        out = *address;
}

void read_gateways(const Input& in, Port& out) {
    for (const Input& item : in.items()) {
        std::optional<IpAddress> address;
        read_via(item, address);
        if (!address)
            continue;
        auto& gateway = address->is_v4() ? out.gateway_v4 : out.gateway_v6;
        if (gateway)
            item.complain("gateway-twice", "a second gateway of the same family").fix =
                "keep one IPv4 and one IPv6 gateway at most";
        else
            gateway = address;
    }
}

void read_mac(const Input& in, std::optional<MacAddress>& out) {
    const auto text = in.scalar();
    if (!text)
        return;
    const auto mac = parse_mac(*text);
    if (!mac)
        in.complain("bad-mac", quoted(*text) + " is no MAC address");
    else if (mac->is_multicast() || mac->is_zero())
        in.complain("bad-mac", quoted(*text) + " is no address that a port can have");
    else
        out = *mac;
}

void read_endpoint(const Input& in, std::optional<Endpoint>& out) {
    const auto endpoint = read_socket_address(in);
    if (!endpoint)
        return;
    if (const auto why = not_a_host(endpoint->address); !why.empty())
        in.complain("bad-endpoint", quoted(in.node.text) + " is " + std::string{why});
    else if (endpoint->address.is_v6() && endpoint->address.is_link_local())
        in.complain("bad-endpoint", quoted(in.node.text) + " is a link-local address").fix =
            "write a global or a private address of the peer";
    else
        out = *endpoint;
}

void read_http(const Input& in, std::optional<Endpoint>& out) {
    if (in.node.kind == NodeKind::scalar && in.node.text == "off") {
        out.reset();
        return;
    }
    const auto endpoint = read_socket_address(in);
    if (!endpoint)
        return;
    if (endpoint->address.is_multicast()) {
        in.complain("bad-endpoint", quoted(in.node.text) + " is a multicast address");
        return;
    }
    if (endpoint->address.is_unspecified())
        in.report
            .warning("http-exposed", in.node.place, in.path.str(),
                     "whoever reaches any address of this box can read its state")
            .fix = "127.0.0.1:9586, or one address of the management network";
    out = *endpoint;
}

}  // namespace meshgate::config
