// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/port.h"

#include <dlfcn.h>
#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/ports/device.h"
#include "dataplane/ports/eal.h"
#include "dataplane/ports/packet_socket.h"
#include "dataplane/ports/xdp_pass.h"

namespace meshgate {

namespace {

constexpr uint16_t kNbDescriptors = 1024;
// net_af_xdp gives the kernel so many frames, whatever the ring; with all of them in the ring a
// worker may be away for twice as long.
constexpr uint16_t kNbAfXdpRxDescriptors = 2048;
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

// Interfaces of these drivers refuse single frames, and have no queue that would hide it.
bool has_no_queue(std::string_view driver) noexcept {
    return driver == "veth" || driver == "macvlan";
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

// A server that was killed leaves its socket in the file system, and could not bind it again. A
// server that lives is heard out: DPDK's memif takes the process down when a client leaves before
// its greeting (it closes a descriptor that its interrupt thread still watches).
void remove_stale_socket(const std::string& path) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        const timeval patience{.tv_sec = 1, .tv_usec = 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        char greeting = 0;
        [[maybe_unused]] const ssize_t len = recv(fd, &greeting, sizeof greeting, 0);
    } else if (errno == ECONNREFUSED) {
        unlink(path.c_str());
    }
    close(fd);
}

std::vector<int> difference(const std::vector<int>& after, const std::vector<int>& before) {
    std::vector<int> fds;
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                        std::back_inserter(fds));
    return fds;
}

std::string in_brackets(const std::string& text) {
    return text.empty() ? "" : " (" + text + ")";
}

}  // namespace

// The steps of Port::open, in the order in which DPDK wants them.
class PortOpener {
public:
    PortOpener(const PortOptions& options, PortId id, unsigned nb_workers, const Mempool& mempool)
        : options_{options},
          traits_{traits_of(options.device)},
          mempool_{mempool},
          nb_workers_{nb_workers} {
        port_.id_ = id;
    }

    Result<Port> open() {
        fds_before_ = open_fds();
        if (const Result<void> done = open_device(); !done)
            return tl::unexpected{done.error()};
        find_doorbells();
        port_.poll_link();
        port_.nb_link_changes_ = 0;
        return std::move(port_);
    }

private:
    Result<void> open_device() {
        using Step = Result<void> (PortOpener::*)();
        for (const Step step :
             {&PortOpener::prepare_interface, &PortOpener::probe, &PortOpener::replace_sockets,
              &PortOpener::check_mtu, &PortOpener::configure, &PortOpener::set_mac,
              &PortOpener::set_mtu, &PortOpener::set_up_queues, &PortOpener::start}) {
            if (Result<void> done = (this->*step)(); !done)
                return done;
        }
        return {};
    }

    Result<void> prepare_interface();
    Result<void> probe();
    Result<void> replace_sockets();
    Result<void> check_mtu();
    Result<void> configure();
    void configure_rss(rte_eth_conf& conf);
    Result<void> set_mac();
    Result<void> set_mtu();
    Result<void> set_up_queues();
    Result<void> start();
    void find_doorbells();
    // What the driver logged tells more than its error code; often neither names the true cause.
    tl::unexpected<Error> driver_failed(int errno_value, const std::string& what) const {
        // Many drivers return a plain -1.
        const std::string cause =
            errno_value == 1 ? "the driver fails" : std::strerror(errno_value);
        return fail("DPDK " + what + ": " + cause + in_brackets(take_eal_errors()) + "; it needs " +
                    std::string{traits_.needs});
    }
    std::vector<int> fds_of_driver() const { return difference(open_fds(), fds_before_); }

    const PortOptions& options_;
    const DeviceKindTraits& traits_;
    const Mempool& mempool_;
    const unsigned nb_workers_;
    std::vector<int> fds_before_;
    rte_eth_dev_info info_{};
    Port port_;
};

Result<void> PortOpener::prepare_interface() {
    if (options_.device == DeviceKind::memif) {
        const std::string& argument = options_.device_argument;
        if (argument.find(",role=client") == std::string::npos)
            remove_stale_socket(argument.substr(0, argument.find(',')));
        return {};
    }
    if (!traits_.has_interface && !traits_.creates_interface)
        return {};
    Result<KernelInterface> opened = KernelInterface::open(options_.device_argument);
    if (!opened)
        return tl::unexpected{opened.error()};
    KernelInterface& interface = port_.interface_.emplace(*std::move(opened));
    const auto state = interface.read();
    if (traits_.creates_interface) {
        if (state)
            return fail(
                "there is an interface of this name already, and tap: makes a new one; "
                "choose another name or `ip link delete " +
                interface.name() + "`");
        return {};
    }
    if (!state)
        return fail("there is no such interface in this network namespace (see `ip link`)");
    if (!state->enabled)
        return fail("the interface is down: `ip link set " + interface.name() + " up`");
    interface.stop_joining_packets();
    port_.makes_cut_frames_ =
        options_.device == DeviceKind::af_packet && interface.driver() == "veth";
    if (options_.mac) {
        if (const Result<void> done = interface.set_mac(*options_.mac); !done)
            return done;
    }
    // A larger MTU of the kernel does no harm; a smaller one makes it refuse our frames.
    if (state->mtu_bytes < options_.mtu_bytes)
        return interface.set_mtu(options_.mtu_bytes);
    return {};
}

Result<void> PortOpener::probe() {
    const unsigned nb_queues = std::min(nb_workers_, traits_.max_queues);
    const Result<Device> device = make_device(options_, port_.id_, nb_queues);
    if (!device)
        return tl::unexpected{device.error()};
    if (options_.device == DeviceKind::af_xdp)
        silence_bpf_libraries();
    take_eal_errors();
    if (options_.device != DeviceKind::pci) {
        const int status = rte_vdev_init(device->name.c_str(), device->arguments.c_str());
        if (status < 0) {
            return driver_failed(-status, "cannot make it");
        }
        port_.vdev_name_ = device->name;
    }
    if (rte_eth_dev_get_port_by_name(device->name.c_str(), &port_.ethdev_) != 0)
        return fail(options_.device == DeviceKind::pci
                        ? "DPDK found no network device there; is it bound to vfio-pci? (see "
                          "`dpdk-devbind.py --status`)"
                        : "the driver made no port" + in_brackets(take_eal_errors()));
    if (const int status = rte_eth_dev_info_get(port_.ethdev_, &info_); status != 0)
        return fail(-status, "cannot read what the port can do");
    port_.driver_ = info_.driver_name;
    return {};
}

Result<void> PortOpener::replace_sockets() {
    if (options_.device != DeviceKind::af_packet)
        return {};
    const unsigned index = port_.interface_->index();
    Transmit transmit = Transmit::direct;
    if (has_no_queue(port_.interface_->driver())) {
        // Where the kernel has none, or does not let us, frames go as they did without.
        if (Result<QueueDiscipline> added = QueueDiscipline::add(index)) {
            port_.queue_discipline_.emplace(*std::move(added));
            transmit = Transmit::queued;
        }
    }
    const std::vector<int> sockets = sockets_of_family(fds_of_driver(), AF_PACKET);
    return replace_packet_sockets(sockets, index, transmit);
}

// All workers get their share: by the hash of the NIC, or by that of the kernel.
void PortOpener::configure_rss(rte_eth_conf& conf) {
    static std::array<uint16_t, 32> key;  // 64 bytes; drivers take 40 or 52
    key.fill(rte_cpu_to_be_16(kSymmetricRssWord));
    const uint64_t types = info_.flow_type_rss_offloads & kWantedRss;
    // tap lists hash types, but would need rte_flow, which needs a qdisc most kernels lack.
    if (port_.nb_queues_ == 1 || types == 0 || options_.device == DeviceKind::tap)
        return;
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = types;
    if (info_.hash_key_size != 0 && info_.hash_key_size <= sizeof key) {
        conf.rx_adv_conf.rss_conf.rss_key = reinterpret_cast<uint8_t*>(key.data());
        conf.rx_adv_conf.rss_conf.rss_key_len = info_.hash_key_size;
    }
    conf.rxmode.offloads |= info_.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
    port_.traits_.rss = true;
}

Result<void> PortOpener::check_mtu() {
    // AF_XDP writes frames straight into mbufs, and takes none that is larger than a page. The pool
    // has one size, that of the port with the largest MTU.
    const uint32_t excess = mempool_.excess_over_page();
    if (options_.device == DeviceKind::af_xdp && excess > 0)
        return fail("beside an af_xdp port no port may have an MTU of more than " +
                    std::to_string(mempool_.frame_room_bytes() - excess - kFrameHeaderBytes));
    if (options_.device == DeviceKind::af_xdp && !mempool_.for_af_xdp())
        return fail("the pool was not made for af_xdp");
    const uint32_t largest = largest_mtu(info_, mempool_);
    if (options_.mtu_bytes > largest)
        return fail("an MTU of " + std::to_string(options_.mtu_bytes) +
                    " is more than this port can do: at most " + std::to_string(largest));
    return {};
}

Result<void> PortOpener::configure() {
    const unsigned most = std::min<unsigned>(info_.max_rx_queues, info_.max_tx_queues);
    port_.nb_queues_ = std::max(1U, std::min({nb_workers_, traits_.max_queues, most}));
    rte_eth_conf conf{};
    conf.rxmode.mtu = std::max<uint16_t>(options_.mtu_bytes, info_.min_mtu);
    conf.txmode.offloads = info_.tx_offload_capa & kWantedTxOffloads;
    conf.rxmode.offloads = 0;
    if (options_.vlan != kNoVlan)
        conf.rxmode.offloads |= info_.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
    // What tap offers is software, and its frames come from our own machine.
    if (options_.device == DeviceKind::pci)
        conf.rxmode.offloads |= info_.rx_offload_capa & kRxChecksums;
    conf.intr_conf.rxq = options_.device == DeviceKind::tap ? 1 : 0;
    configure_rss(conf);
    const auto nb_queues = static_cast<uint16_t>(port_.nb_queues_);
    const int status = rte_eth_dev_configure(port_.ethdev_, nb_queues, nb_queues, &conf);
    if (status != 0)
        return fail(-status, "cannot configure " + std::to_string(nb_queues) + " queues" +
                                 in_brackets(take_eal_errors()));
    PortTraits& traits = port_.traits_;
    traits.finish_partial_checksums = traits_.finish_partial_checksums;
    traits.vlan_strip = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0;
    traits.rx_checksum = (conf.rxmode.offloads & kRxChecksums) == kRxChecksums;
    traits.tx_ipv4_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
    traits.tx_udp_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
    traits.max_frame_bytes = static_cast<uint16_t>(std::min<uint32_t>(
        mempool_.frame_room_bytes(), largest_mtu(info_, mempool_) + kFrameHeaderBytes));
    return {};
}

// Ours: the one asked for; else the device's own; for tap, whose own is that of the host at the
// other end, and for devices without one, an address derived from the name.
Result<void> PortOpener::set_mac() {
    rte_ether_addr address{};
    rte_eth_macaddr_get(port_.ethdev_, &address);
    std::copy_n(address.addr_bytes, RTE_ETHER_ADDR_LEN, port_.mac_.bytes.begin());
    if (options_.mac || traits_.creates_interface || port_.mac_.is_zero())
        port_.mac_ = derive_mac(options_, WireEnd::ours);
    if (port_.mac_.is_multicast() || port_.mac_.is_zero())
        return fail(to_string(port_.mac_) + " is not the address of a single station");
    // The kernel's interface has it already; virtual wires do not look at addresses.
    if (!options_.mac || options_.device != DeviceKind::pci)
        return {};
    std::copy_n(port_.mac_.bytes.begin(), RTE_ETHER_ADDR_LEN, address.addr_bytes);
    if (const int status = rte_eth_dev_default_mac_addr_set(port_.ethdev_, &address); status != 0)
        return fail(-status, "the NIC does not take the MAC address " + to_string(port_.mac_));
    return {};
}

Result<void> PortOpener::set_mtu() {
    if (options_.device != DeviceKind::pci && options_.device != DeviceKind::tap)
        return {};
    const int status = rte_eth_dev_set_mtu(port_.ethdev_, options_.mtu_bytes);
    if (status != 0 && status != -ENOTSUP)
        return fail(-status, "the port does not take an MTU of " +
                                 std::to_string(options_.mtu_bytes) + ", at most " +
                                 std::to_string(largest_mtu(info_, mempool_)));
    return {};
}

Result<void> PortOpener::set_up_queues() {
    uint16_t nb_rx_descriptors =
        options_.device == DeviceKind::af_xdp ? kNbAfXdpRxDescriptors : kNbDescriptors;
    uint16_t nb_tx_descriptors = kNbDescriptors;
    int status =
        rte_eth_dev_adjust_nb_rx_tx_desc(port_.ethdev_, &nb_rx_descriptors, &nb_tx_descriptors);
    const int socket = rte_eth_dev_socket_id(port_.ethdev_);
    const auto numa_node = static_cast<unsigned>(socket < 0 ? SOCKET_ID_ANY : socket);
    for (uint16_t queue = 0; status == 0 && queue < port_.nb_queues_; ++queue) {
        status = rte_eth_rx_queue_setup(port_.ethdev_, queue, nb_rx_descriptors, numa_node, nullptr,
                                        mempool_.get());
        if (status == 0)
            status =
                rte_eth_tx_queue_setup(port_.ethdev_, queue, nb_tx_descriptors, numa_node, nullptr);
    }
    if (status != 0)
        return driver_failed(-status, "cannot set up the queues");
    return {};
}

Result<void> PortOpener::start() {
    if (const int status = rte_eth_dev_start(port_.ethdev_); status != 0)
        return driver_failed(-status, "cannot start it");
    // Not supported by all; classify drops what is not for us in any case.
    rte_eth_promiscuous_disable(port_.ethdev_);
    rte_eth_allmulticast_enable(port_.ethdev_);  // IPv6 neighbour discovery is multicast
    take_eal_errors();
    return {};
}

// A worker may sleep on the socket that its queue reads, although the drivers offer no interrupt.
void PortOpener::find_doorbells() {
    std::vector<int>& fds = port_.doorbell_fds_;
    if (options_.device == DeviceKind::af_packet)
        fds = sockets_of_family(fds_of_driver(), AF_PACKET);
    if (options_.device == DeviceKind::af_xdp)
        fds = sockets_of_family(fds_of_driver(), AF_XDP);
    if (options_.device == DeviceKind::tap) {
        for (uint16_t queue = 0; queue < port_.nb_queues_; ++queue)
            fds.push_back(rte_eth_dev_rx_intr_ctl_q_get_fd(port_.ethdev_, queue));
        port_.tap_fd_ = fds.front();
    }
    // Which socket is whose queue would be a guess.
    if (fds.size() != port_.nb_queues_)
        fds.clear();
}

Result<Port> Port::open(const PortOptions& options, PortId id, unsigned nb_workers,
                        const Mempool& mempool) {
    Result<Port> port = PortOpener{options, id, nb_workers, mempool}.open();
    if (!port)
        return within("port " + options.name + " (" + device_text(options) + ")", port.error());
    return port;
}

Port::Port(Port&& other) noexcept
    : ethdev_{std::exchange(other.ethdev_, static_cast<uint16_t>(RTE_MAX_ETHPORTS))},
      id_{other.id_},
      nb_queues_{other.nb_queues_},
      mac_{other.mac_},
      traits_{other.traits_},
      doorbell_fds_{std::move(other.doorbell_fds_)},
      driver_{std::move(other.driver_)},
      vdev_name_{std::exchange(other.vdev_name_, {})},
      interface_{std::move(other.interface_)},
      makes_cut_frames_{other.makes_cut_frames_},
      xdp_pass_{std::move(other.xdp_pass_)},
      queue_discipline_{std::move(other.queue_discipline_)},
      tap_fd_{other.tap_fd_},
      link_{other.link_},
      nb_link_changes_{other.nb_link_changes_} {}

Port::~Port() {
    if (ethdev_ != RTE_MAX_ETHPORTS) {
        rte_eth_dev_stop(ethdev_);
        rte_eth_dev_close(ethdev_);
    }
    if (!vdev_name_.empty())
        rte_vdev_uninit(vdev_name_.c_str());
    take_eal_errors();
}

int Port::doorbell_fd(unsigned queue) const noexcept {
    return queue < doorbell_fds_.size() ? doorbell_fds_[queue] : -1;
}

LinkState Port::poll_link() {
    const LinkState now = read_link() ? LinkState::up : LinkState::down;
    if (now != std::exchange(link_, now))
        ++nb_link_changes_;
    return now;
}

bool Port::read_link() {
    if (!interface_) {
        rte_eth_link link{};
        return rte_eth_link_get_nowait(ethdev_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    }
    std::optional<KernelInterface::State> state = interface_->read();
    if (!state && tap_fd_ >= 0) {
        // It went to the host's network namespace. Where we may not follow, no news is good news.
        if (!interface_->follow(tap_fd_))
            return true;
        state = interface_->read();
    }
    return state && state->enabled && state->carrier;
}

void Port::refuse_super_packets() {
    if (!std::exchange(makes_cut_frames_, false))
        return;
    Result<UniqueFd> attached = attach_xdp_pass(interface_->index());
    if (!attached)
        return;  // it stays as it was: cut frames are dropped and counted
    xdp_pass_ = *std::move(attached);
    interface_->stop_joining_packets();  // XDP has switched GRO on
}

PortDriverStats Port::stats() const {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(ethdev_, &stats) != 0)
        return {};
    return {.rx_missed = stats.imissed,
            .rx_errors = stats.ierrors,
            .rx_nombuf = stats.rx_nombuf,
            .tx_errors = stats.oerrors};
}

}  // namespace meshgate
