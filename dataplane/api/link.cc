// SPDX-License-Identifier: Apache-2.0
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/checksum.h"
#include "dataplane/api/link.h"

namespace meshgate {

namespace {

constexpr uint8_t kOuterHopLimit = 64;
// Outer IP, UDP, transport header and tag: what an inner packet grows by.
constexpr uint16_t kGrowthIpv4 = 60;
constexpr uint16_t kGrowthIpv6 = 80;

// WireGuard pads to a multiple of this, but not above the MTU of its own interface, which usually
// is what leaves room for IPv6 in 1500 bytes.
constexpr uint16_t kPaddingBytes = 16;
constexpr uint16_t kUsualMtu = 1420;

class HeaderWriter {
public:
    explicit HeaderWriter(Link& link) noexcept : link_{link} {}

    template <typename Header>
    void append(const Header& header) noexcept {
        MG_ASSERT(link_.header_len + sizeof header <= link_.header.size());
        std::memcpy(link_.header.data() + link_.header_len, &header, sizeof header);
        link_.header_len = static_cast<uint8_t>(link_.header_len + sizeof header);
    }

private:
    Link& link_;
};

rte_ether_hdr ethernet_header(const LinkOptions& options, uint16_t ethertype) noexcept {
    rte_ether_hdr header{};
    std::copy_n(options.next_hop_mac.bytes.begin(), RTE_ETHER_ADDR_LEN, header.dst_addr.addr_bytes);
    std::copy_n(options.source_mac.bytes.begin(), RTE_ETHER_ADDR_LEN, header.src_addr.addr_bytes);
    header.ether_type = rte_cpu_to_be_16(options.vlan == kNoVlan ? ethertype : RTE_ETHER_TYPE_VLAN);
    return header;
}

// "Don't fragment": a narrower underlay says so by ICMP, which lowers the link's MTU (W43). Without
// it, large datagrams get through where routers are silent, in pieces.
rte_ipv4_hdr ipv4_header(const LinkOptions& options) noexcept {
    rte_ipv4_hdr header{};
    header.version_ihl = RTE_IPV4_VHL_DEF;
    if (options.fragments == OuterFragments::forbidden)
        header.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
    header.time_to_live = kOuterHopLimit;
    header.next_proto_id = IPPROTO_UDP;
    header.src_addr = options.local.address.v4_be();
    header.dst_addr = options.remote.address.v4_be();
    // Over a length, TOS and identification of 0; encap adds those of the packet.
    header.hdr_checksum = rte_ipv4_cksum(&header);
    return header;
}

rte_ipv6_hdr ipv6_header(const LinkOptions& options) noexcept {
    rte_ipv6_hdr header{};
    header.vtc_flow = rte_cpu_to_be_32(6U << 28);
    header.proto = IPPROTO_UDP;
    header.hop_limits = kOuterHopLimit;
    std::copy_n(options.local.address.bytes.begin(), 16, header.src_addr);
    std::copy_n(options.remote.address.bytes.begin(), 16, header.dst_addr);
    return header;
}

// RFC 768, RFC 8200 section 8.1: what all datagrams of the link have in common. Never 0, because
// the protocol is not.
uint16_t common_udp_sum(const LinkOptions& options) noexcept {
    if (options.local.address.is_v4() && options.udp_checksum == UdpChecksum::never)
        return 0;
    const size_t len = options.local.address.bits() / 8U;
    const uint64_t sum = internet_sum(std::span{options.local.address.bytes}.first(len)) +
                         internet_sum(std::span{options.remote.address.bytes}.first(len)) +
                         rte_cpu_to_be_16(IPPROTO_UDP) + rte_cpu_to_be_16(options.local.port) +
                         rte_cpu_to_be_16(options.remote.port);
    const auto folded = static_cast<uint16_t>(sum % kSumModulus);
    return folded == 0 ? uint16_t{0xffff} : folded;
}

}  // namespace

uint16_t inner_mtu(uint16_t outer_mtu_bytes, Family outer) noexcept {
    const uint16_t growth = outer == Family::ipv6 ? kGrowthIpv6 : kGrowthIpv4;
    MG_ASSERT(outer_mtu_bytes > growth + kPaddingBytes);
    const auto most = static_cast<uint16_t>(outer_mtu_bytes - growth);
    return most == kUsualMtu ? most : static_cast<uint16_t>(most / kPaddingBytes * kPaddingBytes);
}

uint16_t outer_mtu(uint16_t inner_mtu_bytes, Family outer) noexcept {
    const uint16_t growth = outer == Family::ipv6 ? kGrowthIpv6 : kGrowthIpv4;
    return static_cast<uint16_t>(inner_mtu_bytes + growth);
}

Link make_link(const LinkOptions& options) noexcept {
    MG_ASSERT(options.local.address.family == options.remote.address.family);
    Link link;
    link.port = options.port;
    link.local = options.local;
    link.remote = options.remote;
    link.outer_ipv6 = options.remote.address.is_v6();
    link.mtu_bytes = inner_mtu(options.port_mtu_bytes, options.remote.address.family);

    const uint16_t ethertype = link.outer_ipv6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4;
    HeaderWriter writer{link};
    writer.append(ethernet_header(options, ethertype));
    if (options.vlan != kNoVlan)
        writer.append(rte_vlan_hdr{.vlan_tci = rte_cpu_to_be_16(options.vlan),
                                   .eth_proto = rte_cpu_to_be_16(ethertype)});
    link.ip_offset = link.header_len;
    if (link.outer_ipv6)
        writer.append(ipv6_header(options));
    else
        writer.append(ipv4_header(options));
    writer.append(rte_udp_hdr{.src_port = rte_cpu_to_be_16(options.local.port),
                              .dst_port = rte_cpu_to_be_16(options.remote.port),
                              .dgram_len = 0,
                              .dgram_cksum = common_udp_sum(options)});
    return link;
}

}  // namespace meshgate
