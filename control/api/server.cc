// SPDX-License-Identifier: Apache-2.0
#include "control/api/server.h"

#include <unistd.h>

#include "control/api/answer.h"

namespace meshgate::control {
namespace {

class ApiHandler final : public RequestHandler {
public:
    ApiHandler(const Caller& caller, StateProvider& state) : state_{state} {
        connection_.caller = caller;
    }

    Reply answer(std::string_view request) override {
        return {control::answer(request, connection_, state_), AfterReply::keep_open};
    }

    // meshgate-web gives up its privileges with the first line and could not connect a second time.
    bool may_idle() const override {
        const int64_t own_uid = ::geteuid();
        return connection_.access == Access::read && connection_.caller.uid == own_uid;
    }

private:
    ApiConnection connection_;
    StateProvider& state_;
};

}  // namespace

Result<std::unique_ptr<UnixServer>> serve_api(boost::asio::io_context& io, const std::string& path,
                                              StateProvider& state) {
    UnixServerOptions options;
    options.path = path;
    options.max_request_bytes = kMaxRequestBytes;
    options.busy_answer = error_answer("busy", "too many connections or unread answers");
    options.too_long_answer = error_answer(
        "too-long", "a request has at most " + std::to_string(kMaxRequestBytes) + " bytes");
    return UnixServer::create(io, std::move(options), [&state](const Caller& caller) {
        return std::make_unique<ApiHandler>(caller, state);
    });
}

}  // namespace meshgate::control
