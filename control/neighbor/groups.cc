// SPDX-License-Identifier: Apache-2.0
#include "control/neighbor/groups.h"

#include <algorithm>
#include <array>

#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

constexpr uint8_t kHopByHop = 0;
constexpr size_t kHopByHopLen = 8;
constexpr uint8_t kRouterAlert = 5;  // RFC 2711
constexpr uint8_t kPad1 = 0;
constexpr uint8_t kMldHopLimit = 1;

constexpr uint8_t kQuery = 130;
constexpr uint8_t kReportV1 = 131;
constexpr uint8_t kDoneV1 = 132;
constexpr uint8_t kReportV2 = 143;
constexpr size_t kMldV1Len = 24;  // type, code, checksum, delay, reserved, group
constexpr size_t kQueryV2Len = 28;
constexpr size_t kReportV2Len = 8;
constexpr size_t kRecordLen = 20;
constexpr size_t kRecordsPerReport = 48;  // stays below the least MTU

constexpr auto kRepeat = 1s;  // RFC 3810, section 9.11; once, as the robustness is 2
// RFC 3810, section 9.12: robustness times query interval, and one response interval.
constexpr auto kMldV1Timeout = 260s;

IpAddress well_known(uint8_t last) noexcept {
    std::array<uint8_t, 16> bytes{0xff, 2};
    bytes[15] = last;
    return IpAddress::v6(bytes.data());
}
const IpAddress kAllRouters = well_known(2);
const IpAddress kAllMldV2Routers = well_known(0x16);

// The hop-by-hop header, when it is whole and carries the router alert; 0: not.
size_t router_alert_len(std::span<const uint8_t> header) noexcept {
    if (header.size() < kHopByHopLen || header[0] != kProtocolIcmpv6)
        return 0;
    const size_t len = (size_t{header[1]} + 1) * 8;
    if (len > header.size())
        return 0;
    for (size_t at = 2; at < len;) {
        if (header[at] == kPad1) {
            ++at;
            continue;
        }
        if (at + 2 > len)
            return 0;
        if (header[at] == kRouterAlert)
            return len;
        at += size_t{2} + header[at + 1];
    }
    return 0;
}

struct Query {
    IpAddress group;  // unspecified: all
    Time::duration max_delay;
    bool v1;
};

// RFC 3810, section 5.1.3.
Time::duration max_delay_of(uint16_t code) noexcept {
    if (code < 0x8000)
        return std::chrono::milliseconds{code};
    const int64_t mantissa = (code & 0xfff) | 0x1000;
    return std::chrono::milliseconds{mantissa << (((code >> 12) & 7) + 3)};
}

std::optional<Query> parse_query(std::span<const uint8_t> frame, uint16_t vlan) {
    const auto ethernet = parse_ethernet(frame, vlan);
    if (!ethernet || ethernet->ethertype != kEthertypeIpv6)
        return std::nullopt;
    auto ip = ethernet->payload;
    if (ip.size() < kIpv6HeaderLen || ip[0] >> 4 != 6 || ip[6] != kHopByHop ||
        ip[7] != kMldHopLimit)
        return std::nullopt;
    const size_t ip_len = kIpv6HeaderLen + read_u16(ip, 4);
    if (ip_len > ip.size() || !IpAddress::v6(ip.data() + 8).is_link_local())
        return std::nullopt;
    ip = ip.first(ip_len);
    const size_t options_len = router_alert_len(ip.subspan(kIpv6HeaderLen));
    const auto icmp = ip.subspan(std::min(kIpv6HeaderLen + options_len, ip_len));
    if (options_len == 0 || icmp.size() < kMldV1Len || icmp[0] != kQuery)
        return std::nullopt;
    if (upper_checksum_of(ip, kProtocolIcmpv6, options_len) != 0)
        return std::nullopt;
    const bool v1 = icmp.size() == kMldV1Len;
    if (!v1 && icmp.size() < kQueryV2Len)
        return std::nullopt;
    const uint16_t code = read_u16(icmp, 4);
    return Query{.group = IpAddress::v6(icmp.data() + 8),
                 .max_delay = v1 ? std::chrono::milliseconds{code} : max_delay_of(code),
                 .v1 = v1};
}

// A frame around an MLD message, whose checksum is still 0.
Frame build_mld(const Groups::Port& port, const IpAddress& destination,
                std::span<const uint8_t> message) {
    Frame frame = ethernet_header(port.identity, group_mac(destination), kEthertypeIpv6);
    const size_t ip_at = frame.size();
    frame.resize(ip_at + kIpv6HeaderLen);
    // Router alert "MLD", and two bytes of padding.
    frame.insert(frame.end(), {kProtocolIcmpv6, 0, kRouterAlert, 2, 0, 0, 1, 0});
    frame.insert(frame.end(), message.begin(), message.end());
    const auto ip = std::span{frame}.subspan(ip_at);
    write_ip_header(ip, {.protocol = kHopByHop,
                         .source = port.source,
                         .destination = destination,
                         .hop_limit = kMldHopLimit});
    write_u16(ip, kIpv6HeaderLen + kHopByHopLen + 2,
              upper_checksum_of(ip, kProtocolIcmpv6, kHopByHopLen));
    return frame;
}

std::vector<IpAddress> without(const std::vector<IpAddress>& groups,
                               const std::vector<IpAddress>& others) {
    std::vector<IpAddress> result;
    std::ranges::copy_if(groups, std::back_inserter(result), [&](const IpAddress& group) {
        return std::ranges::count(others, group) == 0;
    });
    return result;
}

}  // namespace

std::vector<IpAddress> solicited_node_groups(std::span<const IpAddress> addresses) {
    std::vector<IpAddress> groups;
    for (const IpAddress& address : addresses) {
        if (!address.is_v6())
            continue;
        const IpAddress group = solicited_node_group(address);
        if (std::ranges::count(groups, group) == 0)
            groups.push_back(group);
    }
    return groups;
}

void Groups::set_ports(std::vector<Port> ports, Time now) {
    const std::vector<Port> before = std::exchange(ports_, std::move(ports));
    states_.resize(ports_.size());
    for (PortId port = 0; port < ports_.size(); ++port) {
        const bool known =
            port < before.size() && before[port].identity.mac == ports_[port].identity.mac;
        const std::vector<IpAddress> old = known ? before[port].groups : std::vector<IpAddress>{};
        change(port, Record::to_exclude, without(ports_[port].groups, old), now);
        change(port, Record::to_include, without(old, ports_[port].groups), now);
    }
}

void Groups::link_up(PortId port, Time now) {
    if (port < ports_.size())
        change(port, Record::to_exclude, ports_[port].groups, now);
}

void Groups::receive(PortId port, std::span<const uint8_t> frame, Time now) {
    if (port >= ports_.size())
        return;
    const auto query = parse_query(frame, ports_[port].identity.vlan);
    if (!query)
        return;
    State& state = states_[port];
    if (query->v1)
        state.mldv1_until = now + kMldV1Timeout;
    const auto& groups = ports_[port].groups;
    const bool concerns_us = query->group.is_unspecified()
                                 ? !groups.empty()
                                 : std::ranges::count(groups, query->group) != 0;
    if (!concerns_us)
        return;
    std::uniform_int_distribution<int64_t> delay{0, query->max_delay.count()};
    state.answer_due = std::min(state.answer_due, now + Time::duration{delay(random_)});
}

void Groups::tick(Time now) {
    for (PortId port = 0; port < states_.size(); ++port) {
        if (states_[port].answer_due > now)
            continue;
        states_[port].answer_due = kNever;
        report(port, Record::is_exclude, ports_[port].groups, now);
    }
    while (!repeats_.empty() && repeats_.begin()->first <= now) {
        const Repeat repeat = std::move(repeats_.begin()->second);
        repeats_.erase(repeats_.begin());
        if (repeat.port < ports_.size())
            report(repeat.port, repeat.record, repeat.groups, now);
    }
}

Time Groups::next_deadline() const noexcept {
    Time deadline = repeats_.empty() ? kNever : repeats_.begin()->first;
    for (const State& state : states_)
        deadline = std::min(deadline, state.answer_due);
    return deadline;
}

void Groups::change(PortId port, Record record, const std::vector<IpAddress>& groups, Time now) {
    if (groups.empty())
        return;
    report(port, record, groups, now);
    repeats_.insert({now + kRepeat, {port, record, groups}});
}

bool Groups::speaks_v1(PortId port, Time now) const {
    const auto& until = states_[port].mldv1_until;
    return until && now < *until;
}

void Groups::report(PortId port, Record record, std::span<const IpAddress> groups, Time now) {
    if (speaks_v1(port, now))
        return report_v1(port, record, groups);
    while (!groups.empty()) {
        const auto part = groups.first(std::min(groups.size(), kRecordsPerReport));
        groups = groups.subspan(part.size());
        std::vector<uint8_t> message(kReportV2Len + part.size() * kRecordLen);
        message[0] = kReportV2;
        write_u16(message, 6, part.size());
        for (size_t i = 0; i < part.size(); ++i) {
            const size_t at = kReportV2Len + i * kRecordLen;
            message[at] = static_cast<uint8_t>(record);
            std::ranges::copy(part[i].bytes, message.begin() + static_cast<std::ptrdiff_t>(at + 4));
        }
        frames_.push_back({port, build_mld(ports_[port], kAllMldV2Routers, message)});
    }
}

void Groups::report_v1(PortId port, Record record, std::span<const IpAddress> groups) {
    const bool leaves = record == Record::to_include;
    for (const IpAddress& group : groups) {
        std::vector<uint8_t> message(kMldV1Len);
        message[0] = leaves ? kDoneV1 : kReportV1;
        std::ranges::copy(group.bytes, message.begin() + 8);
        frames_.push_back({port, build_mld(ports_[port], leaves ? kAllRouters : group, message)});
    }
}

}  // namespace meshgate::control
