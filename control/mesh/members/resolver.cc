// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace meshgate::mesh {
namespace {

IpAddress address_of(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        return IpAddress::v4(v4.sin_addr.s_addr);
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return IpAddress::v6(v6.sin6_addr.s6_addr);
}

bool is_of_nobody_else(const IpAddress& address) {
    return address.is_unspecified() || address.is_loopback() || address.is_multicast() ||
           address.is_link_local();
}

// Signals are for the control thread.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

}  // namespace

std::vector<IpAddress> look_up_any(const std::string& host) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* list = nullptr;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0)
        return {};
    std::vector<IpAddress> found;
    for (const addrinfo* each = list; each != nullptr; each = each->ai_next)
        if (each->ai_family == AF_INET || each->ai_family == AF_INET6)
            found.push_back(address_of(each->ai_addr));
    freeaddrinfo(list);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

std::vector<IpAddress> look_up(const std::string& host) {
    std::vector<IpAddress> found = look_up_any(host);
    std::erase_if(found, is_of_nobody_else);
    return found;
}

// What the threads know. They may outlive the resolver, since nothing ends a getaddrinfo early; the
// io_context they do not touch any more once `closed` is set.
struct Resolver::Shared {
    Shared(boost::asio::io_context& context, Lookup function)
        : io{context}, lookup{std::move(function)} {}

    using Done = std::function<void(const std::string&, std::vector<IpAddress>)>;

    static void run(const std::shared_ptr<Shared>& self) {
        std::unique_lock lock{self->mutex};
        while (true) {
            self->work.wait(lock, [&] { return self->closed || !self->wanted.empty(); });
            if (self->closed)
                return;
            const std::string host = std::move(self->wanted.front());
            self->wanted.pop_front();
            lock.unlock();
            std::vector<IpAddress> addresses = self->lookup(host);
            lock.lock();
            if (self->closed)
                return;
            boost::asio::post(self->io, [self, host, addresses = std::move(addresses)]() mutable {
                if (self->done)
                    self->done(host, std::move(addresses));
            });
        }
    }

    std::mutex mutex;
    std::condition_variable work;
    std::deque<std::string> wanted;
    bool closed = false;
    boost::asio::io_context& io;
    const Lookup lookup;
    Done done;  // on the io_context's thread only; empty once the resolver is gone
};

Resolver::Resolver(boost::asio::io_context& io, Changed changed, ResolverOptions options)
    : changed_{std::move(changed)},
      options_{std::move(options)},
      timer_{io},
      shared_{std::make_shared<Shared>(io, options_.lookup)} {
    shared_->done = [this](const std::string& host, std::vector<IpAddress> addresses) {
        take(host, std::move(addresses));
    };
}

Resolver::~Resolver() {
    const std::lock_guard lock{shared_->mutex};
    shared_->closed = true;
    shared_->done = nullptr;
    shared_->work.notify_all();
}

void Resolver::set_hosts(const std::set<std::string>& hosts) {
    for (auto it = hosts_.begin(); it != hosts_.end();) {
        if (hosts.contains(it->first)) {
            ++it;
            continue;
        }
        queue_.erase({it->second.due, it->first});
        it = hosts_.erase(it);
    }
    const Clock::time_point now = Clock::now();
    for (const std::string& host : hosts) {
        const auto [it, fresh] = hosts_.emplace(host, Host{{}, now});
        if (fresh && !in_flight_.contains(host))
            queue_.emplace(now, host);
    }
    ask();
}

std::vector<IpAddress> Resolver::addresses(const std::string& host) const {
    const auto found = hosts_.find(host);
    return found == hosts_.end() ? std::vector<IpAddress>{} : found->second.addresses;
}

void Resolver::hurry(const std::string& host) {
    const auto found = hosts_.find(host);
    if (found == hosts_.end() || in_flight_.contains(host) || found->second.nb_failures > 0)
        return;
    Host& known = found->second;
    const Clock::time_point due = known.answered + options_.retry;
    if (due >= known.due)
        return;
    queue_.erase({known.due, host});
    known.due = due;
    queue_.emplace(due, host);
    ask();
}

std::vector<std::string> Resolver::unresolved() const {
    std::vector<std::string> result;
    for (const auto& [host, known] : hosts_) {
        if (known.nb_failures > 0)
            result.push_back(host);
    }
    return result;
}

std::chrono::milliseconds Resolver::pause_after(unsigned nb_failures) const {
    if (nb_failures == 0)
        return options_.refresh;
    std::chrono::milliseconds pause = options_.retry;
    for (unsigned i = 1; i < nb_failures && pause < options_.refresh; ++i)
        pause *= 2;
    return std::min(pause, options_.refresh);
}

void Resolver::ask() {
    const Clock::time_point now = Clock::now();
    while (!queue_.empty() && queue_.begin()->first <= now &&
           in_flight_.size() < options_.max_in_flight) {
        const std::string host = queue_.begin()->second;
        queue_.erase(queue_.begin());
        in_flight_.insert(host);
        if (nb_threads_ < in_flight_.size()) {
            const SignalsBlocked blocked;
            std::thread{Shared::run, shared_}.detach();
            ++nb_threads_;
        }
        const std::lock_guard lock{shared_->mutex};
        shared_->wanted.push_back(host);
        shared_->work.notify_one();
    }
    arm();
}

// Of the next name that is due; when all places are taken, an answer comes first.
void Resolver::arm() {
    if (queue_.empty() || in_flight_.size() >= options_.max_in_flight) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(queue_.begin()->first);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error)
            ask();
    });
}

void Resolver::take(const std::string& host, std::vector<IpAddress> addresses) {
    in_flight_.erase(host);
    if (addresses.size() > kMaxAddresses)
        addresses.resize(kMaxAddresses);
    const auto found = hosts_.find(host);
    bool changed = false;
    if (found != hosts_.end()) {
        Host& known = found->second;
        const Clock::time_point now = Clock::now();
        known.nb_failures = addresses.empty() ? known.nb_failures + 1 : 0;
        known.answered = now;
        known.due = now + pause_after(known.nb_failures);
        queue_.emplace(known.due, host);
        changed = !addresses.empty() && addresses != known.addresses;
        if (changed)
            known.addresses = addresses;
    }
    ask();
    if (changed)
        changed_(host, addresses);  // may call set_hosts()
}

}  // namespace meshgate::mesh
