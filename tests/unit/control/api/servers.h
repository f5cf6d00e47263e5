// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "control/api/server.h"
#include "control/api/wg_socket.h"
#include "tests/unit/control/api/fake_state.h"
#include "tests/unit/control/api/socket_fixture.h"

namespace meshgate::control {

// Runs servers on a thread of their own, as the control thread would.
class Sockets : public testing::Test {
protected:
    ~Sockets() override {
        on_loop([this] { servers_.clear(); });
        work_.reset();
        thread_.join();
    }

    template <typename Work>
    void on_loop(Work work) {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }

    std::string create(UnixServerOptions options, const UnixServer::MakeHandler& make_handler) {
        return keep([&] { return UnixServer::create(io_, options, make_handler); });
    }
    std::string create_api(const std::string& path, std::optional<uid_t> reader = std::nullopt) {
        return keep([&] { return serve_api(io_, path, state, reader); });
    }
    std::string create_wg(const std::string& path) {
        return keep([&] { return serve_wg(io_, path, state); });
    }
    void destroy_servers() {
        on_loop([this] { servers_.clear(); });
    }

    TemporaryFolder folder;
    FakeState state;

private:
    // Empty, or what went wrong.
    template <typename Make>
    std::string keep(Make make) {
        std::string error;
        on_loop([&] {
            auto server = make();
            if (server)
                servers_.push_back(std::move(*server));
            else
                error = server.error().message;
        });
        return error;
    }

    boost::asio::io_context io_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    std::vector<std::unique_ptr<UnixServer>> servers_;
    std::thread thread_{[this] { io_.run(); }};
};

}  // namespace meshgate::control
