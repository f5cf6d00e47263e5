// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "base/address.h"
#include "control/log/log.h"

namespace meshgate::control {

// Runs meshgate-web beside us. It gets the API socket's path and an address to listen on, nothing
// else, and gives up its privileges before it serves. Started again when it dies, later each time;
// dies with us.
class WebProcess {
public:
    struct Options {
        std::string binary;
        std::string socket;  // of the API
        Endpoint listen;
    };
    // All outlive this.
    WebProcess(boost::asio::io_context& io, Log& log, Options options);
    ~WebProcess();
    WebProcess(const WebProcess&) = delete;
    WebProcess& operator=(const WebProcess&) = delete;

    void start();
    // A child may have died (SIGCHLD).
    void on_child_exit();

private:
    void start_later();

    Log& log_;
    Options options_;
    boost::asio::steady_timer again_;
    std::chrono::milliseconds delay_;
    Time started_{};
    pid_t pid_ = 0;  // 0: not running
};

}  // namespace meshgate::control
