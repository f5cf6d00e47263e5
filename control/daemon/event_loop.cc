// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/event_loop.h"

#include <unistd.h>
#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>
#include <utility>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;
using boost::system::error_code;

constexpr auto kSampleInterval = 50ms;  // between samples of what peers' sessions sent and received
constexpr auto kLinkInterval = 200ms;   // between looks at the ports' carriers
// Between looks at the kernel's interfaces, however many events they have; the first is at once.
constexpr auto kHostEventInterval = 5ms;
// Each look is paid for with so many times what it took: a flood of changes costs a tenth of us.
constexpr int kHostLookPart = 10;
constexpr auto kHostLookCredit = 500ms;  // that may be paid later
constexpr auto kLeavingTime = 1500ms;    // for retractions and goodbyes before the daemon ends

}  // namespace

void follow_host(Gateway& gateway, HostInterfaces& host) {
    if (auto news = gateway.news_for_host()) {
        host.twins().set_network({.destinations = std::move(news->destinations),
                                  .of_peers = std::move(news->of_peers),
                                  .own_addresses = std::move(news->own_addresses)});
        host.look(gateway.now().mono);  // none of the kernel's addresses may be in there
    }
    gateway.take_given(host.twins().filled_in(gateway.model().ports));
}

// The descriptors belong to others; ours are duplicates that Asio may close.
EventLoop::EventLoop(boost::asio::io_context& io, Gateway& gateway, HostInterfaces& host,
                     VmGeneration& generation, Hooks hooks)
    : io_{io},
      gateway_{gateway},
      host_{host},
      generation_{generation},
      hooks_{std::move(hooks)},
      wakeup_{io, ::dup(gateway.dataplane().wakeup_fd())},
      host_events_{io},
      generation_events_{io},
      timer_{io},
      sampling_{io},
      links_{io},
      seconds_{io},
      leaving_{io},
      signals_{io, SIGTERM, SIGINT, SIGHUP} {
    signals_.add(SIGCHLD);
    if (host.watch_fd() >= 0)
        host_events_.assign(::dup(host.watch_fd()));
    if (generation.watch_fd() >= 0)
        generation_events_.assign(::dup(generation.watch_fd()));
}

void EventLoop::run() {
    wait_for_signal();
    poll();
    watch_links();
    watch_host();
    watch_generation();
    count_seconds();
    io_.run();
}

// One bounded helping, then everybody else's turn.
void EventLoop::poll() {
    const bool more = gateway_.poll();
    arm();
    if (more || !gateway_.dataplane().arm_wakeup())
        boost::asio::post(io_, [this] { poll(); });
    else
        sleep_until_woken();
}

void EventLoop::sleep_until_woken() {
    wakeup_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](error_code error) {
        if (!error)
            poll();
    });
}

// After everything that may have changed what the gateway waits for.
void EventLoop::arm() {
    arm_timer();
    arm_sampling();
}

void EventLoop::arm_timer() {
    const Time deadline = gateway_.next_deadline();
    if (deadline == armed_for_)
        return;
    armed_for_ = deadline;
    if (deadline == kNever) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(deadline);
    timer_.async_wait([this](error_code error) {
        if (error)
            return;
        armed_for_ = kNever;
        gateway_.tick();
        arm();
    });
}

void EventLoop::arm_sampling() {
    if (sampling_armed_ || !gateway_.wants_sampling())
        return;
    sampling_armed_ = true;
    sampling_.expires_after(kSampleInterval);
    sampling_.async_wait([this](error_code error) {
        if (error)
            return;
        sampling_armed_ = false;
        gateway_.sample();
        arm();
    });
}

// Also what arms the timers after a reload that came by the API.
void EventLoop::watch_links() {
    looked_ = gateway_.now().mono;
    looks_soon_ = false;
    if (looked_ >= host_paid_until_ - kHostLookCredit) {
        host_.set_ports(gateway_.model().ports);
        host_.tick(looked_);
        follow_host(gateway_, host_);
        host_paid_until_ =
            std::max(host_paid_until_, looked_) + kHostLookPart * (gateway_.now().mono - looked_);
    }
    gateway_.watch_links();
    arm();
    links_.expires_after(kLinkInterval);
    links_.async_wait([this](error_code error) {
        if (!error)
            watch_links();
    });
}

// An interface that was made is set up in several steps, each an event.
void EventLoop::watch_host() {
    if (!host_events_.is_open())
        return;
    host_events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](error_code error) {
                                if (error)
                                    return;
                                host_.on_event();
                                if (!std::exchange(looks_soon_, true)) {
                                    links_.expires_at(std::clamp(host_paid_until_ - kHostLookCredit,
                                                                 looked_ + kHostEventInterval,
                                                                 looked_ + kLinkInterval));
                                    links_.async_wait([this](error_code cancelled) {
                                        if (!cancelled)
                                            watch_links();
                                    });
                                }
                                watch_host();
                            });
}

void EventLoop::watch_generation() {
    if (!generation_events_.is_open())
        return;
    generation_events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                  [this](error_code error) {
                                      if (error)
                                          return;
                                      if (generation_.take_fork())
                                          gateway_.on_vm_fork();
                                      arm();
                                      watch_generation();
                                  });
}

void EventLoop::count_seconds() {
    hooks_.every_second();
    seconds_.expires_after(1s);
    seconds_.async_wait([this](error_code error) {
        if (!error)
            count_seconds();
    });
}

void EventLoop::wait_for_signal() {
    signals_.async_wait([this](error_code error, int signal) {
        if (error)
            return;
        if (signal == SIGTERM || signal == SIGINT) {
            leave();
            wait_for_signal();
            return;
        }
        if (signal == SIGHUP)
            hooks_.reload();
        if (signal == SIGCHLD)
            hooks_.child_exited();
        arm();
        wait_for_signal();
    });
}

void EventLoop::leave() {
    if (std::exchange(leaves_, true) || !gateway_.leave()) {
        io_.stop();
        return;
    }
    arm();
    leaving_.expires_after(kLeavingTime);
    leaving_.async_wait([this](error_code) { io_.stop(); });
}

}  // namespace meshgate::control
