// SPDX-License-Identifier: Apache-2.0
#include "base/accept_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <vector>

#include "base/unique_fd.h"

namespace meshgate {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

// No descriptor above those that are open now, until it goes.
class OutOfDescriptors {
public:
    OutOfDescriptors() {
        const UniqueFd next{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{.rlim_cur = rlim_t(next.get()), .rlim_max = before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~OutOfDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    OutOfDescriptors(const OutOfDescriptors&) = delete;
    OutOfDescriptors& operator=(const OutOfDescriptors&) = delete;

private:
    rlimit before_{};
};

struct AcceptLoopTest : testing::Test {
    asio::io_context io;
    tcp::acceptor acceptor{io, tcp::endpoint{asio::ip::address_v4::loopback(), 0}};
    tcp::endpoint address = acceptor.local_endpoint();
    std::vector<tcp::socket> admitted;
    AcceptLoop<tcp> loop{std::move(acceptor),
                         [this](tcp::socket socket) { admitted.push_back(std::move(socket)); }};

    // Ends when the time is over, not when the io_context has nothing left to do.
    size_t run(std::chrono::milliseconds duration) {
        asio::steady_timer end{io, duration};
        end.async_wait([this](boost::system::error_code) { io.stop(); });
        io.restart();
        return io.run();
    }
};

TEST_F(AcceptLoopTest, AdmitsOneAfterAnother) {
    loop.start();
    for (size_t n = 1; n <= 3; ++n) {
        tcp::socket client{io};
        client.connect(address);
        run(20ms);
        EXPECT_EQ(admitted.size(), n);
    }
}

TEST_F(AcceptLoopTest, BacksOffWithoutDescriptorsAndRecovers) {
    loop.start();
    tcp::socket client{io};
    client.connect(address);
    {
        const OutOfDescriptors none;
        EXPECT_LE(run(250ms), 16u) << "completions: it spins";
        EXPECT_TRUE(admitted.empty());
    }
    run(150ms);
    EXPECT_EQ(admitted.size(), 1u);
}

TEST_F(AcceptLoopTest, AdmitsNobodyOnceItIsStopped) {
    loop.start();
    tcp::socket client{io};
    client.connect(address);
    loop.stop();
    run(20ms);
    EXPECT_TRUE(loop.stopped());
    EXPECT_TRUE(admitted.empty());
    tcp::socket late{io};
    boost::system::error_code refused;
    late.connect(address, refused);
    EXPECT_EQ(refused, asio::error::connection_refused);
}

TEST_F(AcceptLoopTest, StopsWhileItBacksOff) {
    loop.start();
    tcp::socket client{io};
    client.connect(address);
    {
        const OutOfDescriptors none;
        run(20ms);
    }
    loop.stop();
    io.restart();
    io.run_for(500ms);
    EXPECT_TRUE(io.stopped()) << "something is still waited for";
    EXPECT_TRUE(admitted.empty());
}

}  // namespace
}  // namespace meshgate
