// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"

namespace meshgate::mesh {

// Sorted, each once; empty when the name could not be looked up.
using Lookup = std::function<std::vector<IpAddress>(const std::string& host)>;

// Asks the system (getaddrinfo). Leaves out what no other box can have: loopback, multicast,
// link-local and unspecified addresses; whoever answers for a name may say anything.
std::vector<IpAddress> look_up(const std::string& host);
// Without that rule.
std::vector<IpAddress> look_up_any(const std::string& host);

struct ResolverOptions {
    std::chrono::milliseconds refresh{60'000};  // after an answer
    std::chrono::milliseconds retry{5'000};     // after a failure; twice as long after the next
    unsigned max_in_flight = 4;
    Lookup lookup = look_up;  // on threads of its own, where it may take its time
};

// Keeps the addresses of host names up to date without ever waiting for a name server. All but the
// look-up itself happens on the thread of the io_context.
//
// Not Boost.Asio's resolver: that one asks one name after another, so that one dead name server
// holds up all names, and its io_context waits at the end for the answer that does not come.
class Resolver {
public:
    static constexpr size_t kMaxAddresses = 16;  // of one name

    // Called for the first answer, and whenever an answer differs from the one before. A failure
    // changes nothing: what was known stays.
    using Changed = std::function<void(const std::string& host, const std::vector<IpAddress>&)>;

    // `io` outlives this.
    Resolver(boost::asio::io_context& io, Changed changed, ResolverOptions options = {});
    ~Resolver();
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    // The names that are wanted from now on. New ones are asked for at once; others are forgotten.
    void set_hosts(const std::set<std::string>& hosts);
    // Somebody waits for it: asks again before it is due, where the last answer is older than
    // `retry`. After a failure the pause holds.
    void hurry(const std::string& host);
    // Those whose last question failed.
    std::vector<std::string> unresolved() const;
    // Of a wanted name; empty when not known yet.
    std::vector<IpAddress> addresses(const std::string& host) const;

private:
    struct Shared;
    using Clock = std::chrono::steady_clock;
    struct Host {
        std::vector<IpAddress> addresses;
        Clock::time_point due;
        Clock::time_point answered{};
        unsigned nb_failures = 0;  // since the last answer
    };

    std::chrono::milliseconds pause_after(unsigned nb_failures) const;
    void ask();
    void arm();
    void take(const std::string& host, std::vector<IpAddress> addresses);

    Changed changed_;
    ResolverOptions options_;
    boost::asio::steady_timer timer_;
    std::shared_ptr<Shared> shared_;
    std::map<std::string, Host> hosts_;
    std::set<std::pair<Clock::time_point, std::string>> queue_;  // of those not being asked for
    std::set<std::string> in_flight_;
    unsigned nb_threads_ = 0;
};

}  // namespace meshgate::mesh
