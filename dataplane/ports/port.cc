// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/port.h"

#include <fcntl.h>
#include <net/if_arp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "dataplane/ports/memif_socket.h"

namespace meshgate {

namespace {

using namespace std::chrono_literals;

constexpr uint32_t kFrameHeaderBytes = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
// What fails once fails for a while.
constexpr auto kBindInterval = 1s;
// Offloads and queues, of whose changes nobody tells.
constexpr auto kCheckInterval = 1s;

// Interfaces of these drivers refuse single frames, and have no queue that would hide it.
bool has_no_queue(std::string_view driver) noexcept {
    return driver == "veth" || driver == "macvlan";
}

std::string no_ethernet(const std::string& interface, unsigned type) {
    switch (type) {
        case ARPHRD_PPP:
            return interface +
                   " is a PPP line, without Ethernet: let a router in front of the box hold the "
                   "line, and give the box the Ethernet interface to it";
        case ARPHRD_NONE:
            return interface +
                   " is a tun device or a tunnel, without Ethernet: make it a tap (`ip tuntap add "
                   "mode tap`), or give the box the interface below the tunnel";
        case ARPHRD_LOOPBACK:
            return interface + " is a loopback: use a veth pair, or tap:NAME";
        default:
            return interface + " is no Ethernet interface (hardware type " + std::to_string(type) +
                   "); the box speaks Ethernet only";
    }
}

std::string too_many_queues(const KernelInterface& interface) {
    return interface.name() + " has " + std::to_string(interface.nb_rx_queues()) +
           " receive queues, of which an af_xdp port reads one: `" + interface.one_queue_command() +
           "`, or use af_packet:" + interface.name();
}

}  // namespace

Port::Port(const PortOptions& options, PortId id, unsigned nb_workers, const Mempool& mempool)
    : options_{options},
      kind_{traits_of(options_.device)},
      id_{id},
      mempool_{mempool},
      enabled_{options_.enabled},
      nb_queues_{std::max(1U, std::min(nb_workers, kind_.max_queues))},
      traits_{.finish_partial_checksums = kind_.finish_partial_checksums},
      driver_{kind_.driver},
      mac_{options_.mac.value_or(MacAddress{})},
      mtu_bytes_{options_.mtu_bytes} {}

// Doorbells are duplicates, and would keep a closed device alive.
Port::~Port() {
    doorbells_.clear();
}

Result<std::unique_ptr<Port>> Port::open(const PortOptions& options, PortId id, unsigned nb_workers,
                                         const Mempool& mempool) {
    std::unique_ptr<Port> port{new Port{options, id, nb_workers, mempool}};
    Result<void> done = port->make_doorbells();
    if (done && port->has_to_wait())
        port->problem_ = port->what_it_waits_for();
    else if (done)
        done = port->bind();
    if (!done)
        return within("port " + options.name + " (" + device_text(options) + ")", done.error());
    port->link_ = port->read_link() ? LinkState::up : LinkState::down;
    return port;
}

Result<void> Port::make_doorbells() {
    if (kind_.has_interface || kind_.creates_interface) {
        Result<KernelInterface> interface = KernelInterface::open(options_.device_argument);
        if (!interface)
            return propagate(interface);
        interface_.emplace(*std::move(interface));
    }
    silence_ = UniqueFd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    for (unsigned queue = 0; queue < nb_queues_; ++queue)
        doorbells_.emplace_back(fcntl(silence_.get(), F_DUPFD_CLOEXEC, 0));
    const bool all = std::ranges::all_of(doorbells_, [](const UniqueFd& fd) { return bool{fd}; });
    if (!silence_ || !all)
        return fail(errno, "cannot make a doorbell");
    return {};
}

bool Port::has_to_wait() const {
    return !enabled_ || (kind_.has_interface && interface_->index() == 0);
}

std::string Port::what_it_waits_for() const {
    if (!enabled_)
        return "disabled in the box file";
    return "waits for interface " + options_.device_argument +
           ", which is not in this network namespace (see `ip link`)";
}

// ---- bound and unbound ----

Result<void> Port::bind() {
    if (const Result<void> ready = prepare_interface(); !ready)
        return ready;
    Transmit transmit = Transmit::direct;
    if (options_.device == DeviceKind::af_packet && has_no_queue(interface_->driver())) {
        // Where the kernel has none, or does not let us, frames go as they did without.
        if (Result<QueueDiscipline> added = QueueDiscipline::add(interface_index_)) {
            queue_discipline_.emplace(*std::move(added));
            transmit = Transmit::queued;
        }
    }
    const Result<void> bound = bind_ethdev(transmit);
    if (!bound) {
        queue_discipline_.reset();
        return bound;
    }
    if (options_.device == DeviceKind::af_packet && interface_->driver() == "veth")
        super_packets_.emplace(interface_index_, nb_cut_frames_);
    const auto state = interface_ ? interface_->read() : std::nullopt;
    follow_mtu(state ? state->mtu_bytes : 0);
    ethdev_id_.store(ethdev_->id(), std::memory_order_release);
    return {};
}

Result<void> Port::bind_ethdev(Transmit transmit) {
    Result<std::unique_ptr<Ethdev>> opened = Ethdev::open({.options = options_,
                                                           .id = id_,
                                                           .nb_queues = nb_queues_,
                                                           .mempool = mempool_,
                                                           .interface_index = interface_index_,
                                                           .transmit = transmit});
    if (!opened)
        return propagate(opened);
    const Ethdev& ethdev = **opened;
    // A port that may be bound anew has the queues and doorbells of which workers were told.
    if (interface_ && (ethdev.nb_queues() != nb_queues_ || ethdev.queue_fds().size() != nb_queues_))
        return fail("the driver has " + std::to_string(ethdev.nb_queues()) + " queues and " +
                    std::to_string(ethdev.queue_fds().size()) + " descriptors of them, not " +
                    std::to_string(nb_queues_));
    nb_queues_ = ethdev.nb_queues();
    traits_.tx_ipv4_checksum = ethdev.makes_ipv4_checksums();
    traits_.tx_udp_checksum = ethdev.makes_udp_checksums();
    driver_ = ethdev.driver();
    mac_ = ethdev.mac();
    ethdev_ = *std::move(opened);
    point_doorbells();
    return {};
}

Result<void> Port::check_interface() {
    if (interface_->hardware_type() != ARPHRD_ETHER)
        return fail(no_ethernet(interface_->name(), interface_->hardware_type()));
    // A queue without a socket of ours would leave its frames to the kernel.
    if (options_.device == DeviceKind::af_xdp && interface_->nb_rx_queues() > 1)
        return fail(too_many_queues(*interface_));
    return {};
}

Result<void> Port::prepare_interface() {
    if (options_.device == DeviceKind::memif)
        remove_stale_memif_socket(options_.device_argument);
    if (!interface_)
        return {};
    if (kind_.creates_interface) {
        if (interface_->index() != 0)
            return fail(
                "there is an interface of this name already, and tap: makes a new one; "
                "choose another name or `ip link delete " +
                interface_->name() + "`");
        return {};
    }
    if (const Result<void> fit = check_interface(); !fit)
        return fit;
    if (options_.mac) {
        if (const Result<void> done = interface_->set_mac(*options_.mac); !done)
            return done;
    }
    interface_->stop_joining_packets();
    const auto state = interface_->read();
    interface_index_ = interface_->index();
    if (!state || interface_index_ == 0)
        return fail("interface " + interface_->name() + " went away");
    // A larger MTU of the kernel does no harm; a smaller one makes it refuse our frames.
    if (state->mtu_bytes < options_.mtu_bytes) {
        if (const Result<void> done = interface_->set_mtu(options_.mtu_bytes); !done)
            return done;
    }
    return state->enabled ? Result<void>{} : interface_->set_up();
}

// The descriptors that workers sleep on stay the same, whatever is behind them.
void Port::point_doorbells() {
    const std::vector<int>& fds = ethdev_->queue_fds();
    if (fds.empty())
        doorbells_.clear();
    for (unsigned queue = 0; queue < fds.size(); ++queue)
        dup3(fds[queue], doorbells_[queue].get(), O_CLOEXEC);
}

std::shared_ptr<const void> Port::unbind() {
    ethdev_id_.store(kUnbound, std::memory_order_release);
    for (const UniqueFd& doorbell : doorbells_)
        dup3(silence_.get(), doorbell.get(), O_CLOEXEC);
    super_packets_.reset();
    queue_discipline_.reset();  // before the interface may be bound anew
    last_ethdev_ = ethdev_;
    return std::exchange(ethdev_, nullptr);
}

// Of what has the name now, an index that differs tells; of one that was in another network
// namespace in between, which keeps the index, the socket does.
bool Port::is_lost() {
    if (!interface_)
        return false;
    if (kind_.has_interface)
        return interface_->index() != interface_index_ ||
               ethdev_->lost(options_.device, interface_index_);
    return interface_->index() == 0 &&
           interface_->follow(ethdev_->queue_fds().empty() ? -1 : ethdev_->queue_fds().front()) ==
               KernelInterface::Followed::gone;
}

void Port::bind_again(Time now) {
    if (has_to_wait()) {
        problem_ = what_it_waits_for();
        return;
    }
    // Both would have one name, and the end of the old one takes away what belongs to the
    // interface: of one that was in another namespace in between, the XDP program of the new one.
    if (now < next_attempt_ || !last_ethdev_.expired())
        return;
    next_attempt_ = now + kBindInterval;
    if (kind_.creates_interface) {  // its name and namespace are those of the box again
        Result<KernelInterface> interface = KernelInterface::open(options_.device_argument);
        if (interface)
            interface_.emplace(*std::move(interface));
    }
    const Result<void> bound = bind();
    problem_ = bound ? "" : bound.error().message;
    if (bound)
        ++nb_rebinds_;
}

// ---- what it stands on changes ----

std::shared_ptr<const void> Port::tick(Time now, uint64_t nb_cut_frames) {
    nb_cut_frames_ = nb_cut_frames;
    std::shared_ptr<const void> gone;
    if (ethdev_ && (!enabled_ || is_lost()))
        gone = unbind();
    if (!ethdev_)
        bind_again(now);
    else if (interface_)
        follow_interface(now);
    const LinkState link = read_link() ? LinkState::up : LinkState::down;
    if (link != std::exchange(link_, link))
        ++nb_link_changes_;
    return gone;
}

void Port::follow_interface(Time now) {
    const auto state = interface_->read();
    if (!state)
        return;  // a tap in a namespace that we may not enter
    if (kind_.has_interface && state->mac != mac_) {
        if (!options_.mac || !interface_->set_mac(*options_.mac))
            mac_ = state->mac;
    }
    follow_mtu(state->mtu_bytes);
    if (super_packets_) {
        if (!state->carrier)
            super_packets_->start_over();
        if (super_packets_->tick(now, nb_cut_frames_) == SuperPacketGuard::Change::attached)
            interface_->stop_joining_packets();  // XDP has switched GRO on
    }
    if (!kind_.has_interface || now - checked_ < kCheckInterval)
        return;
    checked_ = now;
    if (interface_->stop_joining_packets())
        ++nb_offload_repairs_;
    problem_ = problem_of(*state);
}

void Port::follow_mtu(unsigned interface_mtu_bytes) {
    if (interface_mtu_bytes == 0) {
        longest_rx_bytes_.store(UINT32_MAX, std::memory_order_relaxed);
        return;
    }
    mtu_bytes_ = static_cast<uint16_t>(std::min<unsigned>(options_.mtu_bytes, interface_mtu_bytes));
    longest_rx_bytes_.store(
        std::max<unsigned>(options_.mtu_bytes, interface_mtu_bytes) + kFrameHeaderBytes,
        std::memory_order_relaxed);
}

std::string Port::problem_of(const KernelInterface::State& state) const {
    const std::string& name = interface_->name();
    if (!state.enabled)
        return "interface " + name + " is down: `ip link set " + name + " up`";
    if (state.mtu_bytes < options_.mtu_bytes)
        return "the MTU of " + name + " is " + std::to_string(state.mtu_bytes) +
               ", less than the port's " + std::to_string(options_.mtu_bytes) + ": `ip link set " +
               name + " mtu " + std::to_string(options_.mtu_bytes) + "`";
    if (options_.device == DeviceKind::af_xdp && interface_->nb_rx_queues() > 1)
        return too_many_queues(*interface_);
    const uint64_t nb_lost = nb_rebinds_ * nb_queues_ * Ethdev::kNbXdpRxDescriptors;
    if (options_.device == DeviceKind::af_xdp && nb_lost > mempool_.get()->size / 2)
        return "was bound again " + std::to_string(nb_rebinds_) +
               " times, and af_xdp loses packet buffers each time (" + std::to_string(nb_lost) +
               " of " + std::to_string(mempool_.get()->size) +
               "): `systemctl restart meshgated`, and use af_packet:" + name;
    return {};
}

bool Port::read_link() {
    if (!ethdev_)
        return false;
    if (!interface_)
        return ethdev_->has_link();
    const auto state = interface_->read();
    // A tap may be in a namespace where we may not follow: no news is good news.
    if (!state)
        return kind_.creates_interface;
    return state->enabled && state->carrier;
}

PortDriverStats Port::stats() const noexcept {
    return ethdev_ ? ethdev_->stats() : PortDriverStats{};
}

}  // namespace meshgate
