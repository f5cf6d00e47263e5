// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "control/daemon/vm_generation.h"
#include "control/gateway/gateway.h"
#include "control/host_interfaces/host_interfaces.h"

namespace meshgate::control {

// Hands on what the machine's kernel gave, and what it shall know.
void follow_host(Gateway& gateway, HostInterfaces& host);

// The control thread: sleeps until the workers hand something up, a timer is due, a client asks or
// a signal comes. The work per turn is bounded everywhere, so that none of these starves another.
class EventLoop {
public:
    struct Hooks {
        std::function<void()> reload;        // SIGHUP
        std::function<void()> every_second;  // status line, load of the workers
        std::function<void()> child_exited;  // SIGCHLD
    };

    // All outlive this.
    EventLoop(boost::asio::io_context& io, Gateway& gateway, HostInterfaces& host,
              VmGeneration& generation, Hooks hooks);

    // Until SIGTERM or SIGINT. A box that others go through says goodbye first, and forwards until
    // they have found other ways; a second signal ends it at once.
    void run();

private:
    void poll();
    void sleep_until_woken();
    void arm();
    void arm_timer();
    void arm_sampling();
    void watch_links();
    void watch_host();
    void watch_generation();
    void count_seconds();
    void wait_for_signal();
    void leave();

    boost::asio::io_context& io_;
    Gateway& gateway_;
    HostInterfaces& host_;
    VmGeneration& generation_;
    Hooks hooks_;
    boost::asio::posix::stream_descriptor wakeup_;
    boost::asio::posix::stream_descriptor host_events_;
    boost::asio::posix::stream_descriptor generation_events_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer sampling_;
    boost::asio::steady_timer links_;
    boost::asio::steady_timer seconds_;
    boost::asio::steady_timer leaving_;
    boost::asio::signal_set signals_;
    Time armed_for_ = kNever;
    bool sampling_armed_ = false;
    Time looked_{};
    Time host_paid_until_{};   // looks at the kernel's interfaces
    bool looks_soon_ = false;  // something happened to the kernel's links or addresses
    bool leaves_ = false;
};

}  // namespace meshgate::control
