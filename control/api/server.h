// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "control/api/unix_server.h"

namespace meshgate::control {

// The API socket (answer.h says what it speaks). Whoever can open the file may use every verb: its
// mode is 0660; but connections of user `reader` may only read, whatever they ask for. `state` must
// outlive the server.
Result<std::unique_ptr<UnixServer>> serve_api(boost::asio::io_context& io, const std::string& path,
                                              StateProvider& state,
                                              std::optional<uid_t> reader = std::nullopt);

// The user that meshgate-web runs as, where the service manager starts it; none: there is no such user.
std::optional<uid_t> web_user();

}  // namespace meshgate::control
