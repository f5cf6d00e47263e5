// SPDX-License-Identifier: Apache-2.0
#include "tests/packet/packet_text.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "base/address.h"

namespace meshgate::packet_test {

namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kFragment = 44, kIcmp6 = 58;

void put16(Bytes& bytes, size_t offset, uint64_t value) {
    bytes.at(offset) = static_cast<uint8_t>(value >> 8);
    bytes.at(offset + 1) = static_cast<uint8_t>(value);
}

uint16_t get16(std::span<const uint8_t> bytes, size_t offset) {
    return static_cast<uint16_t>((bytes[offset] << 8) | bytes[offset + 1]);
}

uint32_t address_at(std::span<const uint8_t> bytes, size_t offset) {
    uint32_t address_be = 0;
    std::memcpy(&address_be, &bytes[offset], sizeof address_be);
    return address_be;
}

Bytes payload_of(const Fields& fields) {
    if (fields.has("hex"))
        return from_hex(fields.text("hex"));
    Bytes payload(fields.number("len"));
    for (size_t i = 0; i < payload.size(); ++i)
        payload[i] = static_cast<uint8_t>(i);
    return payload;
}

Bytes build_udp(const Fields& fields) {
    Bytes l4(8);
    put16(l4, 0, fields.number("sport", 1000));
    put16(l4, 2, fields.number("dport", 2000));
    const Bytes payload = payload_of(fields);
    put16(l4, 4, fields.number("udp_len", 8 + payload.size()));
    l4.insert(l4.end(), payload.begin(), payload.end());
    return l4;
}

Bytes build_tcp(const Fields& fields) {
    Bytes options;
    if (fields.has("mss_odd"))
        options = {1};
    if (fields.has("mss")) {
        const uint64_t mss = fields.number("mss");
        options.insert(options.end(),
                       {2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss)});
    }
    if (fields.has("tcp_options"))
        options = from_hex(fields.text("tcp_options"));
    options.resize((options.size() + 3) / 4 * 4);
    Bytes l4(20);
    put16(l4, 0, fields.number("sport", 1000));
    put16(l4, 2, fields.number("dport", 2000));
    l4[12] = static_cast<uint8_t>((5 + options.size() / 4) << 4);
    l4[13] = fields.text("flags") == "syn" ? 0x02 : 0x10;
    put16(l4, 14, 65535);
    l4.insert(l4.end(), options.begin(), options.end());
    const Bytes payload = payload_of(fields);
    l4.insert(l4.end(), payload.begin(), payload.end());
    return l4;
}

Bytes build_icmp(const Fields& fields) {
    Bytes l4(8);
    l4[0] = static_cast<uint8_t>(fields.number("type", 8));
    l4[1] = static_cast<uint8_t>(fields.number("code"));
    put16(l4, 4, fields.number("rest") >> 16);
    put16(l4, 6, fields.number("rest"));
    Bytes payload = payload_of(fields);
    if (fields.has("quotes")) {
        const bool v4 = l4[0] == 3;
        payload.at(0) = v4 ? 0x45 : 0x60;
        put16(payload, v4 ? 20 : 40, fields.number("quotes"));
    }
    l4.insert(l4.end(), payload.begin(), payload.end());
    return l4;
}

uint8_t proto_of(const Fields& fields, bool v4) {
    if (fields.has("proto"))
        return static_cast<uint8_t>(fields.number("proto"));
    if (fields.has("tcp"))
        return kTcp;
    if (fields.has("icmp"))
        return v4 ? kIcmp : kIcmp6;
    return kUdp;
}

size_t checksum_offset(uint8_t proto) {
    return proto == kTcp ? 16 : proto == kUdp ? 6 : 2;
}

uint32_t pseudo_sum(std::span<const uint8_t> source, std::span<const uint8_t> destination,
                    uint8_t proto, size_t len) {
    uint32_t sum = proto + static_cast<uint32_t>(len);
    for (const auto address : {source, destination}) {
        for (size_t i = 0; i < address.size(); i += 2)
            sum += get16(address, i);
    }
    return sum;
}

void fill_l4_checksum(Bytes& l4, uint8_t proto, uint32_t pseudo, bool partial) {
    const size_t offset = checksum_offset(proto);
    if (l4.size() < offset + 2)
        return;
    put16(l4, offset, 0);
    const uint16_t whole = internet_checksum(l4, pseudo);
    const auto only_pseudo = static_cast<uint16_t>(~internet_checksum({}, pseudo));
    put16(l4, offset, partial ? only_pseudo : (whole == 0 && proto == kUdp ? 0xffff : whole));
}

Bytes build_l4(const Fields& fields) {
    if (fields.has("tcp"))
        return build_tcp(fields);
    return fields.has("icmp") ? build_icmp(fields) : build_udp(fields);
}

void finish(Bytes& packet, const Fields& fields) {
    if (fields.has("set")) {
        const std::string text = fields.text("set");
        const size_t colon = text.find(':');
        const Bytes bytes = from_hex(text.substr(colon + 1));
        const size_t offset = std::stoul(text.substr(0, colon));
        std::copy(bytes.begin(), bytes.end(), packet.begin() + static_cast<ptrdiff_t>(offset));
    }
    packet.insert(packet.end(), fields.number("tail"), 0xee);
    if (fields.has("cut"))
        packet.resize(std::min<size_t>(packet.size(), fields.number("cut")));
}

Bytes build_ip4(const Fields& fields) {
    const IpAddress source = parse_address(fields.text("src")).value();
    const IpAddress destination = parse_address(fields.text("dst")).value();
    const size_t header_len = 20 + fields.number("options");
    const uint8_t proto = proto_of(fields, true);
    Bytes l4 = build_l4(fields);
    const uint32_t pseudo =
        proto == kIcmp ? 0
                       : pseudo_sum(std::span{source.bytes}.first(4),
                                    std::span{destination.bytes}.first(4), proto, l4.size());
    fill_l4_checksum(l4, proto, pseudo, fields.has("partial"));
    Bytes packet(header_len, 1);  // options are NOPs
    packet[0] = static_cast<uint8_t>(0x40 | (header_len / 4));
    packet[1] = static_cast<uint8_t>(fields.number("tos"));
    put16(packet, 2, fields.number("ip_len", header_len + l4.size()));
    put16(packet, 4, fields.number("id"));
    put16(packet, 6,
          (fields.has("df") ? 0x4000U : 0) | (fields.has("mf") ? 0x2000U : 0) |
              fields.number("off") / 8);
    packet[8] = static_cast<uint8_t>(fields.number("ttl", 64));
    packet[9] = proto;
    std::memcpy(&packet[12], source.bytes.data(), 4);
    std::memcpy(&packet[16], destination.bytes.data(), 4);
    put16(packet, 10, 0);
    put16(packet, 10, internet_checksum(packet));
    packet.insert(packet.end(), l4.begin(), l4.end());
    finish(packet, fields);
    return packet;
}

Bytes build_ip6(const Fields& fields) {
    const IpAddress source = parse_address(fields.text("src")).value();
    const IpAddress destination = parse_address(fields.text("dst")).value();
    const uint8_t proto = proto_of(fields, false);
    Bytes l4 = build_l4(fields);
    fill_l4_checksum(l4, proto, pseudo_sum(source.bytes, destination.bytes, proto, l4.size()),
                     fields.has("partial"));
    if (fields.has("no_checksum"))
        put16(l4, checksum_offset(proto), 0);
    Bytes packet(40);
    const uint64_t tos = fields.number("tos");
    packet[0] = static_cast<uint8_t>(0x60 | (tos >> 4));
    packet[1] = static_cast<uint8_t>(tos << 4);
    put16(packet, 4, fields.number("ip_len", l4.size()));
    packet[6] = proto;
    packet[7] = static_cast<uint8_t>(fields.number("ttl", 64));
    std::copy(source.bytes.begin(), source.bytes.end(), packet.begin() + 8);
    std::copy(destination.bytes.begin(), destination.bytes.end(), packet.begin() + 24);
    packet.insert(packet.end(), l4.begin(), l4.end());
    finish(packet, fields);
    return packet;
}

using Description = std::map<std::string, std::string>;

void describe_tcp_options(Description& out, std::span<const uint8_t> l4) {
    for (size_t i = 20; i + 1 < size_t{l4[12]} / 16 * 4;) {
        if (l4[i] == 0)
            return;
        if (l4[i] == 2)
            out["mss"] = std::to_string(get16(l4, i + 2));
        i += l4[i] == 1 ? 1 : std::max<size_t>(l4[i + 1], 2);
    }
}

void describe_payload(Description& out, std::span<const uint8_t> payload) {
    out["len"] = std::to_string(payload.size());
    for (size_t i = 0; i < payload.size(); ++i) {
        if (payload[i] != static_cast<uint8_t>(i)) {
            out["payload"] = "other";
            return;
        }
    }
}

void describe_l4(Description& out, uint8_t proto, std::span<const uint8_t> l4, uint32_t pseudo) {
    const size_t header_len = proto == kTcp ? 20 : 8;
    if (l4.size() < header_len) {
        out["wrong"] += " short-l4";
        return;
    }
    const bool unchecked = proto == kUdp && get16(l4, 6) == 0;
    if (!unchecked && internet_checksum(l4, pseudo) != 0)
        out["wrong"] += " l4-checksum";
    if (proto == kTcp || proto == kUdp) {
        out[proto == kTcp ? "tcp" : "udp"] = "";
        out["sport"] = std::to_string(get16(l4, 0));
        out["dport"] = std::to_string(get16(l4, 2));
    }
    if (unchecked)
        out["unsummed"] = "";
    if (proto == kTcp) {
        describe_tcp_options(out, l4);
        describe_payload(out, l4.subspan(size_t{l4[12]} / 16 * 4));
    } else if (proto == kUdp) {
        describe_payload(out, l4.subspan(8));
    } else {
        out["icmp"] = "";
        out["type"] = std::to_string(l4[0]);
        out["code"] = std::to_string(l4[1]);
        out["rest"] = std::to_string((uint32_t{get16(l4, 4)} << 16) | get16(l4, 6));
        out["len"] = std::to_string(l4.size() - 8);
    }
}

void describe_ip4(Description& out, std::span<const uint8_t> packet) {
    const size_t header_len = size_t{packet[0] & 15U} * 4;
    const size_t total_len = get16(packet, 2);
    out["ip4"] = "";
    out["src"] = to_string(IpAddress::v4(address_at(packet, 12)));
    out["dst"] = to_string(IpAddress::v4(address_at(packet, 16)));
    out["ttl"] = std::to_string(packet[8]);
    out["tos"] = std::to_string(packet[1]);
    out["id"] = std::to_string(get16(packet, 4));
    const uint16_t fragment = get16(packet, 6);
    if ((fragment & 0x4000) != 0)
        out["df"] = "";
    if ((fragment & 0x2000) != 0)
        out["mf"] = "";
    if ((fragment & 0x1fff) != 0)
        out["off"] = std::to_string((fragment & 0x1fff) * 8);
    if (internet_checksum(packet.first(header_len)) != 0)
        out["wrong"] += " ip-checksum";
    if (total_len != packet.size()) {
        out["wrong"] += " ip-length";
        return;
    }
    const auto l4 = packet.subspan(header_len);
    if ((fragment & 0x3fff) != 0) {
        out["len"] = std::to_string(l4.size());  // of a fragment: what follows the IP header
        return;
    }
    const uint32_t pseudo =
        packet[9] == kIcmp
            ? 0
            : pseudo_sum(packet.subspan(12, 4), packet.subspan(16, 4), packet[9], l4.size());
    describe_l4(out, packet[9], l4, pseudo);
}

void describe_ip6(Description& out, std::span<const uint8_t> packet) {
    out["ip6"] = "";
    out["src"] = to_string(IpAddress::v6(&packet[8]));
    out["dst"] = to_string(IpAddress::v6(&packet[24]));
    out["ttl"] = std::to_string(packet[7]);
    out["tos"] = std::to_string(((packet[0] & 15) << 4) | (packet[1] >> 4));
    if (packet.size() != 40U + get16(packet, 4)) {
        out["wrong"] += " ip-length";
        return;
    }
    const auto l4 = packet.subspan(40);
    if (packet[6] == kFragment) {
        const uint16_t fragment = get16(l4, 2);
        if ((fragment & 1) != 0)
            out["mf"] = "";
        if (fragment > 1)
            out["off"] = std::to_string(fragment & ~7);
        out["id"] = std::to_string(uint32_t{get16(l4, 4)} << 16 | get16(l4, 6));
        out["proto"] = std::to_string(l4[0]);
        out["len"] = std::to_string(l4.size() - 8);
        return;
    }
    describe_l4(out, packet[6], l4,
                pseudo_sum(packet.subspan(8, 16), packet.subspan(24, 16), packet[6], l4.size()));
}

}  // namespace

Fields Fields::parse(std::string_view text) {
    Fields fields;
    std::istringstream words{std::string{text}};
    for (std::string word; words >> word;) {
        const size_t equals = word.find('=');
        const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
        fields.values[word.substr(0, equals)] = value;
    }
    return fields;
}

std::string Fields::text(const std::string& name, const std::string& otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
}

uint64_t Fields::number(const std::string& name, uint64_t otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : std::stoull(found->second, nullptr, 0);
}

Bytes build_packet(const Fields& fields) {
    return fields.has("ip6") ? build_ip6(fields) : build_ip4(fields);
}

std::vector<Bytes> cut_packet(const Bytes& packet, const std::vector<size_t>& offsets, uint32_t id,
                              size_t overlap) {
    const bool v4 = packet[0] >> 4 == 4;
    const size_t header_len = v4 ? size_t{packet[0] & 15U} * 4 : 40;
    const size_t end = packet.size() - header_len;
    std::vector<Bytes> pieces;
    for (size_t i = 0; i <= offsets.size(); ++i) {
        const size_t from = i == 0 ? 0 : offsets[i - 1] - overlap;
        const size_t to = i == offsets.size() ? end : offsets[i];
        const bool more = to < end;
        Bytes piece(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header_len));
        if (v4) {
            put16(piece, 2, header_len + to - from);
            put16(piece, 4, id);
            put16(piece, 6, (more ? 0x2000U : 0U) | from / 8);
            put16(piece, 10, 0);
            put16(piece, 10, internet_checksum(piece));
        } else {
            piece.insert(piece.end(), {piece[6], 0, 0, 0, 0, 0, 0, 0});
            piece[6] = kFragment;
            put16(piece, 4, 8 + to - from);
            put16(piece, 42, from | (more ? 1U : 0U));
            put16(piece, 44, id >> 16);
            put16(piece, 46, id & 0xffff);
        }
        const auto payload = packet.begin() + static_cast<ptrdiff_t>(header_len);
        piece.insert(piece.end(), payload + static_cast<ptrdiff_t>(from),
                     payload + static_cast<ptrdiff_t>(to));
        pieces.push_back(piece);
    }
    return pieces;
}

std::map<std::string, std::string> describe_packet(std::span<const uint8_t> packet) {
    Description out;
    if (packet.size() >= 20 && packet[0] >> 4 == 4)
        describe_ip4(out, packet);
    else if (packet.size() >= 40 && packet[0] >> 4 == 6)
        describe_ip6(out, packet);
    else
        out["wrong"] = "not IP: " + to_hex(packet);
    return out;
}

Bytes from_hex(std::string_view text) {
    Bytes bytes;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(
            static_cast<uint8_t>(std::stoul(std::string{text.substr(i, 2)}, nullptr, 16)));
    return bytes;
}

std::string to_hex(std::span<const uint8_t> bytes) {
    std::string text;
    for (const uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

uint16_t internet_checksum(std::span<const uint8_t> bytes, uint32_t sum) {
    for (size_t i = 0; i < bytes.size(); ++i)
        sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

}  // namespace meshgate::packet_test
