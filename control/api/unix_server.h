// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/api/state_provider.h"

namespace boost::asio {
class io_context;
}

namespace meshgate::control {

enum class AfterReply : uint8_t { keep_open, close };

struct Reply {
    std::string text;
    AfterReply after = AfterReply::keep_open;
};

// What one connection talks to; made when it is accepted, gone when it is closed.
class RequestHandler {
public:
    virtual ~RequestHandler() = default;
    // `request` ends before the terminator.
    virtual Reply answer(std::string_view request) = 0;
    // True: the connection may stay silent for as long as it likes.
    virtual bool may_idle() const { return false; }
};

struct UnixServerOptions {
    std::string path;
    unsigned mode = 0660;
    std::string terminator = "\n";
    size_t max_request_bytes = 65536;
    unsigned max_connections = 32;
    // To send the whole of a request, to take an answer, and between the two.
    std::chrono::milliseconds timeout{10000};
    std::string busy_answer;      // too many connections, or too much that waits to be taken
    std::string too_long_answer;  // a request above max_request_bytes
};

// Requests and answers over a unix stream socket, one at a time per connection. All of it runs on
// the io_context's thread; whatever a client does or leaves undone costs bounded memory and ends.
class UnixServer {
public:
    using MakeHandler = std::function<std::unique_ptr<RequestHandler>(const Caller&)>;

    // Makes the folder (0755) and takes over a socket file that nobody listens on any more.
    static Result<std::unique_ptr<UnixServer>> create(boost::asio::io_context& io,
                                                      UnixServerOptions options,
                                                      MakeHandler make_handler);
    // Closes every connection and removes the socket file.
    ~UnixServer();
    UnixServer(const UnixServer&) = delete;
    UnixServer& operator=(const UnixServer&) = delete;

private:
    class Listener;
    class Connection;
    explicit UnixServer(std::shared_ptr<Listener> listener) noexcept;

    std::shared_ptr<Listener> listener_;
};

}  // namespace meshgate::control
