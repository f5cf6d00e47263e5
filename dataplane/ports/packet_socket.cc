// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/packet_socket.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/unique_fd.h"

namespace meshgate {

namespace {

// Receive ring, then transmit ring.
constexpr size_t kRingsBytes = size_t{2} * kPacketFrames * kPacketFrameBytes;

struct Mapping {
    void* address = nullptr;
    size_t len = 0;
};

// Where this process has the socket mapped; the socket's inode tells, no driver does.
Mapping mapping_of(int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0)
        return {};
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        uintptr_t begin = 0;
        uintptr_t end = 0;
        uint64_t inode = 0;
        const int nb_fields = std::sscanf(
            line.c_str(), "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &begin, &end, &inode);
        const bool is_socket = line.find("socket:[") != std::string::npos;
        if (nb_fields == 3 && is_socket && inode == status.st_ino)
            return {reinterpret_cast<void*>(begin), end - begin};  // NOLINT: out of a text
    }
    return {};
}

template <typename Value>
bool set_option(int fd, int option, const Value& value) noexcept {
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0;
}

bool set_options(int fd, Transmit transmit) noexcept {
    constexpr int kOn = 1;
    const tpacket_req rings{.tp_block_size = kPacketBlockBytes,
                            .tp_block_nr = kPacketFrames * kPacketFrameBytes / kPacketBlockBytes,
                            .tp_frame_size = kPacketFrameBytes,
                            .tp_frame_nr = kPacketFrames};
    // PACKET_LOSS: a frame that is no frame is skipped, and does not block those behind it.
    return set_option(fd, PACKET_VERSION, int{TPACKET_V2}) && set_option(fd, PACKET_LOSS, kOn) &&
           set_option(fd, PACKET_QDISC_BYPASS, int{transmit == Transmit::direct}) &&
           set_option(fd, PACKET_IGNORE_OUTGOING, kOn) && set_option(fd, PACKET_RX_RING, rings) &&
           set_option(fd, PACKET_TX_RING, rings);
}

Result<void> replace(int fd, unsigned interface_index, Transmit transmit) {
    const Mapping mapping = mapping_of(fd);
    if (mapping.len != kRingsBytes)
        return fail("net_af_packet has mapped " + std::to_string(mapping.len) +
                    " bytes of rings per socket, not " + std::to_string(kRingsBytes) +
                    ": this is not the driver of DPDK 22.11 that the box was built for");
    const UniqueFd ours{socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
    if (!ours || !set_options(ours.get(), transmit))
        return fail(errno, "packet socket");
    if (mmap(mapping.address, kRingsBytes, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_LOCKED | MAP_FIXED, ours.get(), 0) == MAP_FAILED)
        return fail(errno,
                    "cannot map the rings of a packet socket (16 MiB; does LimitMEMLOCK=, or "
                    "ulimit -l, allow that?)");
    sockaddr_ll address_ll{};
    address_ll.sll_family = AF_PACKET;
    address_ll.sll_protocol = htons(ETH_P_ALL);
    address_ll.sll_ifindex = static_cast<int>(interface_index);
    if (bind(ours.get(), reinterpret_cast<const sockaddr*>(&address_ll), sizeof address_ll) != 0 ||
        dup3(ours.get(), fd, O_CLOEXEC) < 0)
        return fail(errno, "cannot bind a packet socket");
    return {};
}

// Members of a group share the traffic by flow; one whose ring is full lets the next one have it.
// The group number is one that no other group in this network namespace has.
Result<void> join_fanout(std::span<const int> fds) {
    constexpr int kMode = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_ROLLOVER;
    int argument = (kMode | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
    for (const int fd : fds) {
        if (!set_option(fd, PACKET_FANOUT, argument))
            return fail(errno, "cannot spread packets over several sockets");
        socklen_t len = sizeof argument;
        getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &argument, &len);
        argument = (argument & 0xffff) | (kMode << 16);
    }
    return {};
}

}  // namespace

std::vector<int> open_fds() {
    std::vector<int> fds;
    DIR* const directory = opendir("/proc/self/fd");
    if (directory == nullptr)
        return fds;
    while (const dirent* entry = readdir(directory)) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(directory))
            fds.push_back(fd);
    }
    closedir(directory);
    std::sort(fds.begin(), fds.end());
    return fds;
}

std::vector<int> sockets_of_family(std::span<const int> fds, int family) {
    std::vector<int> sockets;
    for (const int fd : fds) {
        int domain = -1;
        socklen_t len = sizeof domain;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == family)
            sockets.push_back(fd);
    }
    return sockets;
}

std::string packet_ring_arguments() {
    return ",framesz=" + std::to_string(kPacketFrameBytes) +
           ",framecnt=" + std::to_string(kPacketFrames) +
           ",blocksz=" + std::to_string(kPacketBlockBytes);
}

Result<void> replace_packet_sockets(std::span<const int> fds, unsigned interface_index,
                                    Transmit transmit) {
    for (const int fd : fds) {
        if (const Result<void> replaced = replace(fd, interface_index, transmit); !replaced)
            return replaced;
    }
    if (fds.size() > 1)
        return join_fanout(fds);
    return {};
}

bool is_bound_to(int packet_socket, unsigned interface_index) noexcept {
    sockaddr_ll address{};
    socklen_t len = sizeof address;
    return getsockname(packet_socket, reinterpret_cast<sockaddr*>(&address), &len) != 0 ||
           address.sll_ifindex == static_cast<int>(interface_index);
}

// A read takes nothing from the rings; of a socket without interface it says so.
bool is_xdp_socket_bound(int xdp_socket) noexcept {
    return recv(xdp_socket, nullptr, 0, MSG_DONTWAIT) >= 0 || errno != ENXIO;
}

}  // namespace meshgate
