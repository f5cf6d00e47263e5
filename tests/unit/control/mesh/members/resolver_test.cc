// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace meshgate::mesh {
namespace {

using namespace std::chrono_literals;
using Addresses = std::vector<IpAddress>;

// Name servers of a test: answers come from a table, and wait while the gate is shut.
struct FakeDns {
    Addresses answer(const std::string& host) {
        std::unique_lock lock{mutex};
        ++nb_asked[host];
        most_at_once = std::max(most_at_once, ++nb_at_once);
        changed.notify_all();
        changed.wait(lock, [&] { return open; });
        --nb_at_once;
        return table[host];
    }
    void set(const std::string& host, const char* address) {
        const std::lock_guard lock{mutex};
        table[host] = address == nullptr ? Addresses{} : Addresses{*parse_address(address)};
    }
    void set_open(bool value) {
        const std::lock_guard lock{mutex};
        open = value;
        changed.notify_all();
    }
    bool wait_until_asked(unsigned number) {
        std::unique_lock lock{mutex};
        return changed.wait_for(lock, 10s, [&] { return nb_at_once >= number; });
    }
    unsigned asked(const std::string& host) {
        const std::lock_guard lock{mutex};
        return nb_asked[host];
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, Addresses> table;
    std::map<std::string, unsigned> nb_asked;
    unsigned nb_at_once = 0;
    unsigned most_at_once = 0;
    bool open = true;
};

class ResolverTest : public testing::Test {
protected:
    ResolverOptions options() {
        return {
            .refresh = 50ms, .retry = 5ms, .max_in_flight = 3, .lookup = [dns = dns](auto& host) {
                return dns->answer(host);
            }};
    }
    std::unique_ptr<Resolver> make(ResolverOptions how) {
        return std::make_unique<Resolver>(
            io,
            [this](const std::string& host, const Addresses& addresses) {
                told.emplace_back(host, addresses);
            },
            std::move(how));
    }
    // Lets the control thread run until `done`.
    template <typename Done>
    bool run_until(Done done) {
        const auto work = boost::asio::make_work_guard(io);
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < end)
            io.run_for(1ms);
        return done();
    }

    // The threads of a resolver may outlive it, and so this.
    std::shared_ptr<FakeDns> dns = std::make_shared<FakeDns>();
    boost::asio::io_context io;
    std::vector<std::pair<std::string, Addresses>> told;
};

TEST_F(ResolverTest, AsksTheSystem) {
    ResolverOptions how;
    how.lookup = look_up_any;
    const auto resolver = make(how);
    resolver->set_hosts({"localhost", "no-such-name.invalid"});
    EXPECT_TRUE(told.empty()) << "never before the event loop runs";
    ASSERT_TRUE(run_until([&] { return !told.empty(); }));
    EXPECT_EQ(told[0].first, "localhost");
    EXPECT_EQ(told[0].second, resolver->addresses("localhost"));
    for (const IpAddress& address : told[0].second)
        EXPECT_TRUE(address.is_loopback()) << to_string(address);
    EXPECT_TRUE(resolver->addresses("no-such-name.invalid").empty());
    EXPECT_TRUE(look_up_any("no-such-name.invalid").empty());
    EXPECT_TRUE(look_up("localhost").empty()) << "no other box has such an address";
}

TEST_F(ResolverTest, SaysWhatDoesNotResolveAndWaitsLongerEachTime) {
    dns->set("a", nullptr);
    auto how = options();
    how.refresh = 400ms;
    how.retry = 20ms;
    const auto resolver = make(how);
    resolver->set_hosts({"a"});
    ASSERT_TRUE(run_until([&] { return !resolver->unresolved().empty(); }));
    EXPECT_EQ(resolver->unresolved(), std::vector<std::string>{"a"});
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_TRUE(run_until([&] { return dns->asked("a") >= 4; }));
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 135ms) << "20, 40 and 80 ms";
    resolver->hurry("a");
    EXPECT_EQ(dns->asked("a"), 4U) << "the pause after a failure holds";
    dns->set("a", "192.0.2.1");
    ASSERT_TRUE(run_until([&] { return resolver->unresolved().empty(); }));
    EXPECT_EQ(told.size(), 1U);
}

TEST_F(ResolverTest, HurriesWhenSomebodyWaits) {
    dns->set("a", "192.0.2.1");
    auto how = options();
    how.refresh = 60s;
    how.retry = 20ms;
    const auto resolver = make(how);
    resolver->set_hosts({"a"});
    ASSERT_TRUE(run_until([&] { return !told.empty(); }));
    for (int i = 0; i < 100; ++i)
        resolver->hurry("a");
    ASSERT_TRUE(run_until([&] { return dns->asked("a") >= 2; }));
    EXPECT_EQ(dns->asked("a"), 2U) << "once in 20 ms";
    resolver->hurry("nobody");
}

TEST_F(ResolverTest, AsksAgainAndTellsWhatChanged) {
    dns->set("a", "192.0.2.1");
    const auto resolver = make(options());
    resolver->set_hosts({"a"});
    ASSERT_TRUE(run_until([&] { return dns->asked("a") >= 3; }));
    EXPECT_EQ(told.size(), 1U) << "the same answer is no news";
    dns->set("a", "192.0.2.2");
    ASSERT_TRUE(run_until([&] { return told.size() >= 2; }));
    EXPECT_EQ(told[1].second, Addresses{*parse_address("192.0.2.2")});
}

TEST_F(ResolverTest, KeepsWhatItKnowsWhenTheNameServerFails) {
    dns->set("a", "192.0.2.1");
    const auto resolver = make(options());
    resolver->set_hosts({"a"});
    ASSERT_TRUE(run_until([&] { return !told.empty(); }));
    dns->set("a", nullptr);
    const unsigned before = dns->asked("a");
    ASSERT_TRUE(run_until([&] { return dns->asked("a") >= before + 3; }));
    EXPECT_EQ(told.size(), 1U);
    EXPECT_EQ(resolver->addresses("a"), Addresses{*parse_address("192.0.2.1")});
}

TEST_F(ResolverTest, TriesAgainSoonerAfterAFailure) {
    ResolverOptions how = options();
    how.refresh = 1h;
    dns->set("good", "192.0.2.1");
    const auto resolver = make(how);
    resolver->set_hosts({"good", "bad"});
    ASSERT_TRUE(run_until([&] { return dns->asked("bad") >= 3; }));
    EXPECT_EQ(dns->asked("good"), 1U);
}

TEST_F(ResolverTest, AsksForSoManyAtOnceAtMost) {
    dns->set_open(false);
    const auto resolver = make(options());
    std::set<std::string> hosts;
    for (int i = 0; i < 20; ++i) {
        hosts.insert("host" + std::to_string(i));
        dns->set("host" + std::to_string(i), "192.0.2.1");
    }
    resolver->set_hosts(hosts);
    ASSERT_TRUE(dns->wait_until_asked(3));
    resolver->set_hosts(hosts);
    dns->set_open(true);
    ASSERT_TRUE(run_until([&] { return told.size() >= 20; }));
    EXPECT_EQ(dns->most_at_once, 3U);
}

TEST_F(ResolverTest, ForgetsWhatIsNoLongerWanted) {
    dns->set("a", "192.0.2.1");
    dns->set("b", "192.0.2.2");
    dns->set_open(false);
    const auto resolver = make(options());
    resolver->set_hosts({"a"});
    ASSERT_TRUE(dns->wait_until_asked(1));
    resolver->set_hosts({"b"});
    dns->set_open(true);
    ASSERT_TRUE(run_until([&] { return !told.empty(); }));
    EXPECT_EQ(told[0].first, "b");
    EXPECT_TRUE(resolver->addresses("a").empty());
    ASSERT_TRUE(run_until([&] { return dns->asked("b") >= 3; }));
    EXPECT_EQ(dns->asked("a"), 1U);
    resolver->set_hosts({"a", "b"});
    ASSERT_TRUE(run_until([&] { return !resolver->addresses("a").empty(); }));
}

TEST_F(ResolverTest, EndsWithoutWaitingForAnAnswer) {
    dns->set_open(false);
    auto resolver = make(options());
    resolver->set_hosts({"a", "b"});
    ASSERT_TRUE(dns->wait_until_asked(2));
    const auto before = std::chrono::steady_clock::now();
    resolver.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
    dns->set_open(true);  // the answers come, and nobody is there
    io.run_for(20ms);
    EXPECT_TRUE(told.empty());
}

TEST_F(ResolverTest, EndsWithAnAnswerOnItsWay) {
    dns->set("a", "192.0.2.1");
    auto resolver = make(options());
    resolver->set_hosts({"a"});
    while (dns->asked("a") == 0)
        std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(50ms);  // it now waits for the event loop
    resolver.reset();
    io.restart();
    EXPECT_GT(io.run_for(20ms), 0U) << "the answer must have been on its way";
    EXPECT_TRUE(told.empty());
}

TEST_F(ResolverTest, TakesABoundedNumberOfAddresses) {
    ResolverOptions how;
    how.lookup = [](const std::string&) {
        Addresses many;
        for (uint32_t i = 1; i <= 1000; ++i)
            many.push_back(IpAddress::v4(i));
        return many;
    };
    const auto resolver = make(how);
    resolver->set_hosts({"a"});
    ASSERT_TRUE(run_until([&] { return !told.empty(); }));
    EXPECT_EQ(told[0].second.size(), Resolver::kMaxAddresses);
}

}  // namespace
}  // namespace meshgate::mesh
