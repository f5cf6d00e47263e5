// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/ethdev.h"

#include <dlfcn.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/ports/eal.h"
#include "dataplane/ports/xdp_redirect.h"

namespace meshgate {

namespace {

constexpr uint16_t kNbDescriptors = 1024;
// Both directions of a flow to one queue (Woo and Park, "Scalable TCP session monitoring with
// symmetric receive-side scaling").
constexpr uint16_t kSymmetricRssWord = 0x6d5a;
constexpr uint64_t kWantedRss = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;
constexpr uint64_t kWantedTxOffloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
constexpr uint64_t kRxChecksums =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

constexpr uint32_t kFrameHeaderBytes = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
// What DPDK counts beyond the MTU when a driver does not say otherwise.
constexpr uint32_t kDefaultOverheadBytes = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

uint32_t largest_mtu(const rte_eth_dev_info& info, const Mempool& mempool) noexcept {
    const uint32_t room = mempool.frame_room_bytes() - kFrameHeaderBytes;
    const bool says_mtu = info.max_mtu != UINT16_MAX && info.max_mtu != 0;
    const uint32_t of_driver = says_mtu ? info.max_mtu : info.max_rx_pktlen - kDefaultOverheadBytes;
    return std::min(room, of_driver);
}

// libbpf and libxdp, which the af_xdp driver loads, explain each step on stderr.
void silence_bpf_libraries() noexcept {
    using Print = void* (*)(void*);
    for (const auto& [library, function] : {std::pair{"libbpf.so.1", "libbpf_set_print"},
                                            std::pair{"libxdp.so.1", "libxdp_set_print"}}) {
        void* const handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
        if (handle == nullptr)
            continue;
        if (void* const symbol = dlsym(handle, function); symbol != nullptr)
            reinterpret_cast<Print>(symbol)(nullptr);
        dlclose(handle);
    }
}

std::vector<int> difference(const std::vector<int>& after, const std::vector<int>& before) {
    std::vector<int> fds;
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                        std::back_inserter(fds));
    return fds;
}

// 0 when it is not open.
ino_t inode_of(int fd) noexcept {
    struct stat status {};
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

std::string in_brackets(const std::string& text) {
    return text.empty() ? "" : " (" + text + ")";
}

}  // namespace

// The steps of Ethdev::open, in the order in which DPDK wants them.
class EthdevOpener {
public:
    explicit EthdevOpener(const Ethdev::Request& request)
        : request_{request}, traits_{traits_of(request.options.device)} {}

    Result<std::unique_ptr<Ethdev>> open() {
        fds_before_ = open_fds();
        Result<void> done = probe();
        if (done)
            done = replace_sockets();
        if (done)
            done = check_mtu();
        if (done)
            done = configure();
        if (done)
            done = set_mac();
        if (done)
            done = set_mtu();
        if (done)
            done = set_up_queues();
        if (done)
            done = hold_program();
        if (done)
            done = start();
        if (!done)
            return propagate(done);
        find_queue_fds();
        return std::move(ethdev_);
    }

private:
    Result<void> probe();
    Result<void> replace_sockets();
    Result<void> check_mtu();
    Result<void> configure();
    void configure_rss(rte_eth_conf& conf);
    Result<void> set_mac();
    Result<void> set_mtu();
    Result<void> set_up_queues();
    Result<void> hold_program();
    Result<void> start();
    void find_queue_fds();
    // What the driver logged tells more than its error code; often neither names the true cause.
    tl::unexpected<Error> driver_failed(int errno_value, const std::string& what) const {
        // Many drivers return a plain -1.
        const std::string cause =
            errno_value == 1 ? "the driver fails" : std::strerror(errno_value);
        return fail("DPDK " + what + ": " + cause + in_brackets(take_eal_errors()) + "; it needs " +
                    std::string{traits_.needs});
    }
    std::vector<int> fds_of_driver() const { return difference(open_fds(), fds_before_); }

    const Ethdev::Request& request_;
    const DeviceKindTraits& traits_;
    std::vector<int> fds_before_;
    rte_eth_dev_info info_{};
    std::unique_ptr<Ethdev> ethdev_{new Ethdev};
};

Result<void> EthdevOpener::probe() {
    const Result<Device> device = make_device(request_.options, request_.id, request_.nb_queues);
    if (!device)
        return propagate(device);
    if (request_.options.device == DeviceKind::af_xdp)
        silence_bpf_libraries();
    // Cards were probed when EAL started, and why one was left out is still to be read.
    if (request_.options.device != DeviceKind::pci) {
        take_eal_errors();
        const int status = rte_vdev_init(device->name.c_str(), device->arguments.c_str());
        if (status < 0)
            return driver_failed(-status, "cannot make it");
        ethdev_->vdev_name_ = device->name;
    }
    if (rte_eth_dev_get_port_by_name(device->name.c_str(), &ethdev_->id_) != 0)
        return fail((request_.options.device == DeviceKind::pci
                         ? "DPDK found no network device there; is it bound to vfio-pci? (see "
                           "`dpdk-devbind.py --status`)"
                         : "the driver made no port") +
                    in_brackets(take_eal_errors()));
    if (const int status = rte_eth_dev_info_get(ethdev_->id_, &info_); status != 0)
        return fail(-status, "cannot read what the port can do");
    ethdev_->driver_ = info_.driver_name;
    return {};
}

Result<void> EthdevOpener::replace_sockets() {
    if (request_.options.device != DeviceKind::af_packet)
        return {};
    const std::vector<int> sockets = sockets_of_family(fds_of_driver(), AF_PACKET);
    return replace_packet_sockets(sockets, request_.interface_index, request_.transmit);
}

// All workers get their share: by the hash of the NIC, or by that of the kernel.
void EthdevOpener::configure_rss(rte_eth_conf& conf) {
    static std::array<uint16_t, 32> key;  // 64 bytes; drivers take 40 or 52
    key.fill(rte_cpu_to_be_16(kSymmetricRssWord));
    const uint64_t types = info_.flow_type_rss_offloads & kWantedRss;
    // tap lists hash types, but would need rte_flow, which needs a qdisc most kernels lack.
    if (ethdev_->nb_queues_ == 1 || types == 0 || request_.options.device == DeviceKind::tap)
        return;
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = types;
    if (info_.hash_key_size != 0 && info_.hash_key_size <= sizeof key) {
        conf.rx_adv_conf.rss_conf.rss_key = reinterpret_cast<uint8_t*>(key.data());
        conf.rx_adv_conf.rss_conf.rss_key_len = info_.hash_key_size;
    }
    conf.rxmode.offloads |= info_.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
    ethdev_->rss_ = true;
}

Result<void> EthdevOpener::check_mtu() {
    // AF_XDP writes frames straight into mbufs, and takes none that is larger than a page. The pool
    // has one size, that of the port with the largest MTU.
    const uint32_t excess = request_.mempool.excess_over_page();
    if (request_.options.device == DeviceKind::af_xdp && excess > 0)
        return fail(
            "beside an af_xdp port no port may have an MTU of more than " +
            std::to_string(request_.mempool.frame_room_bytes() - excess - kFrameHeaderBytes));
    if (request_.options.device == DeviceKind::af_xdp && !request_.mempool.for_af_xdp())
        return fail("the pool was not made for af_xdp");
    const uint32_t largest = largest_mtu(info_, request_.mempool);
    if (request_.options.mtu_bytes > largest)
        return fail("an MTU of " + std::to_string(request_.options.mtu_bytes) +
                    " is more than this port can do: at most " + std::to_string(largest));
    return {};
}

Result<void> EthdevOpener::configure() {
    const unsigned most = std::min<unsigned>(info_.max_rx_queues, info_.max_tx_queues);
    ethdev_->nb_queues_ = std::max(1U, std::min({request_.nb_queues, traits_.max_queues, most}));
    rte_eth_conf conf{};
    conf.rxmode.mtu = std::max<uint16_t>(request_.options.mtu_bytes, info_.min_mtu);
    conf.txmode.offloads = info_.tx_offload_capa & kWantedTxOffloads;
    conf.rxmode.offloads = 0;
    if (request_.options.vlan != kNoVlan)
        conf.rxmode.offloads |= info_.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
    // What tap offers is software, and its frames come from our own machine.
    if (request_.options.device == DeviceKind::pci)
        conf.rxmode.offloads |= info_.rx_offload_capa & kRxChecksums;
    conf.intr_conf.rxq = request_.options.device == DeviceKind::tap ? 1 : 0;
    configure_rss(conf);
    const auto nb_queues = static_cast<uint16_t>(ethdev_->nb_queues_);
    const int status = rte_eth_dev_configure(ethdev_->id_, nb_queues, nb_queues, &conf);
    if (status != 0)
        return fail(-status, "cannot configure " + std::to_string(nb_queues) + " queues" +
                                 in_brackets(take_eal_errors()));
    ethdev_->offloads_ = {.rx = conf.rxmode.offloads, .tx = conf.txmode.offloads};
    return {};
}

// Ours: the one asked for; else the device's own; for tap, whose own is that of the host at the
// other end, and for devices without one, an address derived from the name.
Result<void> EthdevOpener::set_mac() {
    rte_ether_addr address{};
    rte_eth_macaddr_get(ethdev_->id_, &address);
    std::copy_n(address.addr_bytes, RTE_ETHER_ADDR_LEN, ethdev_->mac_.bytes.begin());
    if (request_.options.mac || traits_.creates_interface || ethdev_->mac_.is_zero())
        ethdev_->mac_ = derive_mac(request_.options, WireEnd::ours);
    if (ethdev_->mac_.is_multicast() || ethdev_->mac_.is_zero())
        return fail(to_string(ethdev_->mac_) + " is not the address of a single station");
    // The kernel's interface has it already; virtual wires do not look at addresses.
    if (!request_.options.mac || request_.options.device != DeviceKind::pci)
        return {};
    std::copy_n(ethdev_->mac_.bytes.begin(), RTE_ETHER_ADDR_LEN, address.addr_bytes);
    if (const int status = rte_eth_dev_default_mac_addr_set(ethdev_->id_, &address); status != 0)
        return fail(-status, "the NIC does not take the MAC address " + to_string(ethdev_->mac_));
    return {};
}

Result<void> EthdevOpener::set_mtu() {
    if (request_.options.device != DeviceKind::pci && request_.options.device != DeviceKind::tap)
        return {};
    const int status = rte_eth_dev_set_mtu(ethdev_->id_, request_.options.mtu_bytes);
    if (status != 0 && status != -ENOTSUP)
        return fail(-status, "the port does not take an MTU of " +
                                 std::to_string(request_.options.mtu_bytes) + ", at most " +
                                 std::to_string(largest_mtu(info_, request_.mempool)));
    return {};
}

Result<void> EthdevOpener::set_up_queues() {
    uint16_t nb_rx_descriptors = request_.options.device == DeviceKind::af_xdp
                                     ? Ethdev::kNbXdpRxDescriptors
                                     : kNbDescriptors;
    uint16_t nb_tx_descriptors = kNbDescriptors;
    int status =
        rte_eth_dev_adjust_nb_rx_tx_desc(ethdev_->id_, &nb_rx_descriptors, &nb_tx_descriptors);
    const int socket = rte_eth_dev_socket_id(ethdev_->id_);
    const auto numa_node = static_cast<unsigned>(socket < 0 ? SOCKET_ID_ANY : socket);
    for (uint16_t queue = 0; status == 0 && queue < ethdev_->nb_queues_; ++queue) {
        status = rte_eth_rx_queue_setup(ethdev_->id_, queue, nb_rx_descriptors, numa_node, nullptr,
                                        request_.mempool.get());
        if (status == 0)
            status =
                rte_eth_tx_queue_setup(ethdev_->id_, queue, nb_tx_descriptors, numa_node, nullptr);
    }
    if (status != 0)
        return driver_failed(-status, "cannot set up the queues");
    return {};
}

Result<void> EthdevOpener::hold_program() {
    if (request_.options.device != DeviceKind::af_xdp)
        return {};
    Result<UniqueFd> link = hold_xdp_program(fds_of_driver(), request_.interface_index);
    if (!link)
        return propagate(link);
    ethdev_->xdp_link_ = std::move(*link);
    return {};
}

Result<void> EthdevOpener::start() {
    if (const int status = rte_eth_dev_start(ethdev_->id_); status != 0)
        return driver_failed(-status, "cannot start it");
    // Not supported by all; classify drops what is not for us in any case.
    rte_eth_promiscuous_disable(ethdev_->id_);
    rte_eth_allmulticast_enable(ethdev_->id_);  // IPv6 neighbour discovery is multicast
    take_eal_errors();
    return {};
}

// A worker may sleep on the socket that its queue reads, although the drivers offer no interrupt.
void EthdevOpener::find_queue_fds() {
    std::vector<int>& fds = ethdev_->queue_fds_;
    if (request_.options.device == DeviceKind::af_packet)
        fds = sockets_of_family(fds_of_driver(), AF_PACKET);
    if (request_.options.device == DeviceKind::af_xdp) {
        fds = sockets_of_family(fds_of_driver(), AF_XDP);
        for (const int fd : fds)
            ethdev_->xdp_sockets_.push_back(inode_of(fd));
    }
    if (request_.options.device == DeviceKind::tap) {
        for (uint16_t queue = 0; queue < ethdev_->nb_queues_; ++queue)
            fds.push_back(rte_eth_dev_rx_intr_ctl_q_get_fd(ethdev_->id_, queue));
    }
    // Which socket is whose queue would be a guess.
    if (fds.size() != ethdev_->nb_queues_)
        fds.clear();
    if (fds.empty())
        ethdev_->xdp_sockets_.clear();
}

Result<std::unique_ptr<Ethdev>> Ethdev::open(const Request& request) {
    return EthdevOpener{request}.open();
}

Ethdev::~Ethdev() {
    if (id_ != RTE_MAX_ETHPORTS) {
        rte_eth_dev_stop(id_);
        xdp_link_ = UniqueFd{};  // the driver would try to take the program off
        rte_eth_dev_close(id_);
    }
    if (!vdev_name_.empty())
        rte_vdev_uninit(vdev_name_.c_str());
    // net_af_xdp 22.11 with Debian's libxdp leaves them open, and a queue takes no second socket.
    for (size_t i = 0; i < xdp_sockets_.size(); ++i) {
        if (inode_of(queue_fds_[i]) == xdp_sockets_[i])
            close(queue_fds_[i]);
    }
    take_eal_errors();
}

bool Ethdev::has_link() const noexcept {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

PortDriverStats Ethdev::stats() const noexcept {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(id_, &stats) != 0)
        return {};
    return {.rx_missed = stats.imissed,
            .rx_errors = stats.ierrors,
            .rx_nombuf = stats.rx_nombuf,
            .tx_errors = stats.oerrors};
}

bool Ethdev::lost(DeviceKind kind, unsigned interface_index) const noexcept {
    if (kind == DeviceKind::af_packet)
        return !std::ranges::all_of(queue_fds_,
                                    [&](int fd) { return is_bound_to(fd, interface_index); });
    if (kind == DeviceKind::af_xdp)
        return !std::ranges::all_of(queue_fds_, is_xdp_socket_bound);
    return false;
}

}  // namespace meshgate
