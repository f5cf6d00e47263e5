// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace meshgate::web {

// The one connection to the daemon. Opened, and given up all verbs but the reading ones, while this
// process still has the privilege to open the socket; it cannot be opened again afterwards.
//
// Requests go one after another. An answer serves everybody who asks for the same within half a
// second, so that no number of HTTP clients makes the daemon work more than that. Questions about
// one peer, which differ, have a rate of their own.
class ApiClient {
public:
    // A whole answer line of the API; null: none came in time, or too many were asked for.
    using Answer = std::shared_ptr<const std::string>;
    using Done = std::function<void(Answer)>;

    // Runs `io` until the daemon has answered.
    static Result<std::unique_ptr<ApiClient>> connect(boost::asio::io_context& io,
                                                      const std::string& socket_path);
    ~ApiClient();
    ApiClient(const ApiClient&) = delete;
    ApiClient& operator=(const ApiClient&) = delete;

    // `done` is called exactly once, never from within ask().
    // `name`: whom it is about, checked by policy; empty for a question about all.
    struct Question {
        std::string verb;
        std::string name;
    };
    void ask(const Question& question, Done done);
    // Called once when the daemon closes the connection.
    void on_lost(std::function<void()> lost);

private:
    class Connection;
    explicit ApiClient(std::shared_ptr<Connection> connection) noexcept;

    std::shared_ptr<Connection> connection_;
};

}  // namespace meshgate::web
