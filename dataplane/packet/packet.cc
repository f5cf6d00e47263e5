// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/packet.h"

#include <rte_mbuf.h>

#include "dataplane/packet/packet_meta.h"

namespace meshgate {

std::span<uint8_t> Packet::bytes() noexcept {
    return {rte_pktmbuf_mtod(mbuf_.get(), uint8_t*), rte_pktmbuf_data_len(mbuf_.get())};
}

std::span<const uint8_t> Packet::bytes() const noexcept {
    return {rte_pktmbuf_mtod(mbuf_.get(), const uint8_t*), rte_pktmbuf_data_len(mbuf_.get())};
}

PacketInfo& Packet::info() noexcept {
    return meta_of(mbuf_.get()).info;
}

const PacketInfo& Packet::info() const noexcept {
    return meta_of(mbuf_.get()).info;
}

uint8_t* Packet::prepend(uint16_t len) noexcept {
    return reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(mbuf_.get(), len));
}

void Packet::Free::operator()(rte_mbuf* mbuf) const noexcept {
    rte_pktmbuf_free(mbuf);
}

}  // namespace meshgate
