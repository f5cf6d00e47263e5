// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/address.h"
#include "base/result.h"

namespace boost::asio {
class io_context;
}

namespace meshgate::web {

class ApiClient;

// HTTP for strangers: bounded connections, header, time and memory per client (policy.h says what
// is served to whom). With all places taken the client that has kept the server waiting for longest
// goes, so that slow clients cannot shut others out.
class HttpServer {
public:
    // `api` must outlive the server.
    static Result<std::unique_ptr<HttpServer>> create(boost::asio::io_context& io,
                                                      const Endpoint& listen, ApiClient& api);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

private:
    class Listener;
    class Session;
    explicit HttpServer(std::shared_ptr<Listener> listener) noexcept;

    std::shared_ptr<Listener> listener_;
};

}  // namespace meshgate::web
