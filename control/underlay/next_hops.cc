// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/next_hops.h"

#include <algorithm>
#include <random>

#include "base/source_address.h"
#include "control/packets/icmp.h"
#include "control/packets/ip.h"

namespace meshgate::control {

namespace {

using Kind = Neighbors::Event::Kind;

constexpr size_t kPacketsPerNeighbor = 8;   // packets that wait for a MAC address
constexpr size_t kNeighborsPerPort = 4096;  // neighbours that are remembered

}  // namespace

NextHops::NextHops(Dataplane& dataplane, WaitingBudget& budget, Log& log)
    : dataplane_{dataplane},
      log_{log},
      table_{kNeighborsPerPort, std::random_device{}()},
      waiting_{kPacketsPerNeighbor, budget} {}

void NextHops::set_ports(std::vector<Neighbors::Port> ports, std::vector<Groups::Port> groups,
                         Time now) {
    table_.set_ports(std::move(ports), now);
    groups_.set_ports(std::move(groups), now);
}

void NextHops::link_up(PortId port, Time now) {
    table_.link_up(port, now);
    groups_.link_up(port, now);
}

void NextHops::receive(PortId port, std::span<const uint8_t> frame, Time now) {
    table_.receive(port, frame, now);
    groups_.receive(port, frame, now);
}

void NextHops::tick(Time now) {
    table_.tick(now);
    groups_.tick(now);
}

void NextHops::hold(Packet packet, Time now) {
    const Key key{packet.info().port, packet.info().next_hop};
    if (const auto mac = table_.resolve(key.port, key.address, now, source_of(packet.bytes()))) {
        release(std::move(packet), key.port, *mac);
        return;
    }
    if (table_.state(key.port, key.address) != Neighbors::State::incomplete) {
        drop(packet, Drop::unresolved_neighbor, now);
        return;
    }
    if (const auto displaced = waiting_.push(key, std::move(packet)))
        dataplane_.count_drop(Drop::unresolved_neighbor);
}

std::vector<Neighbors::Event> NextHops::settle(Time now) {
    for (const auto& outgoing : table_.take_frames())
        send_frame(outgoing);
    for (const auto& outgoing : groups_.take_frames())
        send_frame(outgoing);
    auto events = table_.take_events();
    for (const Neighbors::Event& event : events) {
        log_event(event, now);
        if (event.kind == Kind::conflict)
            continue;
        changed_ = true;
        for (Packet& packet : waiting_.take({event.port, event.address})) {
            if (event.kind == Kind::failed)
                drop(packet, Drop::unresolved_neighbor, now);
            else
                release(std::move(packet), event.port, event.mac);
        }
    }
    return events;
}

void NextHops::send_frame(const Neighbors::Outgoing& outgoing) {
    Packet packet = dataplane_.allocate(static_cast<uint16_t>(outgoing.frame.size()));
    if (!packet)
        return;
    std::ranges::copy(outgoing.frame, packet.bytes().begin());
    packet.info().inject = Inject::frame;
    packet.info().port = outgoing.port;
    dataplane_.send(std::move(packet), outgoing.port);
}

void NextHops::release(Packet packet, PortId port, const MacAddress& mac) {
    const PortView& view = dataplane_.snapshot().ports.at(port);
    const Frame header = ethernet_header_for({view.mac, view.vlan}, mac, packet.bytes());
    uint8_t* front = packet.prepend(static_cast<uint16_t>(header.size()));
    if (front == nullptr) {
        dataplane_.count_drop(Drop::no_headroom);
        return;
    }
    std::ranges::copy(header, front);
    packet.info().inject = Inject::frame;
    packet.info().port = port;
    dataplane_.send(std::move(packet), port);
}

void NextHops::drop(const Packet& packet, Drop reason, Time now) {
    dataplane_.count_drop(reason);
    refuse(packet, now);
}

void NextHops::refuse(const Packet& packet, Time now) {
    const Snapshot& snapshot = dataplane_.snapshot();
    const IpAddress to = source_of(packet.bytes());
    const IpAddress source = choose_source(snapshot.icmp_sources, to)
                                 .value_or(destination_of(packet.bytes()));  // as workers do
    const auto error = build_host_unreachable(packet.bytes(), source);
    if (error.empty() || !errors_.take(now))
        return;
    Packet answer = dataplane_.allocate(static_cast<uint16_t>(error.size()));
    if (!answer)
        return;
    std::ranges::copy(error, answer.bytes().begin());
    answer.info().inject = Inject::route;
    dataplane_.send(std::move(answer));
}

void NextHops::log_event(const Neighbors::Event& event, Time now) {
    const auto& ports = dataplane_.options().ports;
    const std::string port = event.port < ports.size() ? ports[event.port].name : "?";
    const std::string address = to_string(event.address);
    switch (event.kind) {
        case Kind::conflict:
            return log_.write({Log::Level::warning, "address-conflict", port,
                               to_string(event.mac) + " also claims our address " + address},
                              now);
        case Kind::moved:
            return log_.write({Log::Level::info, "neighbor-moved", port,
                               address + " is now at " + to_string(event.mac)},
                              now);
        case Kind::failed:
            return log_.write(
                {Log::Level::debug, "neighbor-silent", port, address + " does not answer"}, now);
        case Kind::resolved:
            return log_.write({Log::Level::debug, "neighbor-found", port,
                               address + " is at " + to_string(event.mac)},
                              now);
    }
}

}  // namespace meshgate::control
