// SPDX-License-Identifier: Apache-2.0
#include "control/api/server.h"

#include <pwd.h>

#include "control/api/answer.h"

namespace meshgate::control {
namespace {

class ApiHandler final : public RequestHandler {
public:
    ApiHandler(const Caller& caller, Access access, StateProvider& state,
               std::shared_ptr<UploadBudget> uploads)
        : connection_{.caller = caller, .access = access, .upload = Upload{std::move(uploads)}},
          state_{state} {}

    Reply answer(std::string_view request) override {
        return {control::answer(request, connection_, state_), AfterReply::keep_open};
    }

    // meshgate-web restricts its one connection with the first line and may not be able to open a
    // second one.
    bool may_idle() const override { return connection_.access == Access::read; }

private:
    ApiConnection connection_;
    StateProvider& state_;
};

}  // namespace

Result<std::unique_ptr<UnixServer>> serve_api(boost::asio::io_context& io, const std::string& path,
                                              StateProvider& state, std::optional<uid_t> reader) {
    UnixServerOptions options;
    options.path = path;
    options.max_request_bytes = kMaxRequestBytes;
    options.busy_answer = error_answer("busy", "too many connections or unread answers");
    options.too_long_answer = error_answer(
        "too-long", "a request has at most " + std::to_string(kMaxRequestBytes) + " bytes");
    const auto uploads = std::make_shared<UploadBudget>();
    return UnixServer::create(
        io, std::move(options), [&state, uploads, reader](const Caller& caller) {
            const Access access = reader && caller.uid == *reader ? Access::read : Access::full;
            return std::make_unique<ApiHandler>(caller, access, state, uploads);
        });
}

std::optional<uid_t> web_user() {
    const passwd* entry = ::getpwnam("_meshgate-web");
    return entry == nullptr ? std::nullopt : std::optional{entry->pw_uid};
}

}  // namespace meshgate::control
