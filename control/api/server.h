// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "control/api/unix_server.h"

namespace meshgate::control {

// The API socket (answer.h says what it speaks). Whoever can open the file may use every verb: its
// mode is 0660. `state` must outlive the server.
Result<std::unique_ptr<UnixServer>> serve_api(boost::asio::io_context& io, const std::string& path,
                                              StateProvider& state);

}  // namespace meshgate::control
