// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/unique_fd.h"
#include "cli/exit_code.h"

namespace meshgate::cli {

struct ClientError {
    ExitCode code = ExitCode::no;
    std::string message;
};

// One connection to the daemon's API socket; `timeout` bounds all waits together.
class Client {
public:
    static tl::expected<Client, ClientError> connect(const std::string& socket_path,
                                                     std::chrono::milliseconds timeout);

    // Sends one line and returns the answer line without its newline.
    tl::expected<std::string, ClientError> ask(const std::string& request);

private:
    using Clock = std::chrono::steady_clock;
    Client(UniqueFd fd, Clock::time_point deadline) noexcept
        : fd_{std::move(fd)}, deadline_{deadline} {}
    bool wait_for(short events) const;

    UniqueFd fd_;
    Clock::time_point deadline_;
    std::string received_;
};

}  // namespace meshgate::cli
