// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/api/unix_server.h"

namespace meshgate::control {

// The cross-platform socket of WireGuard, so that `wg show` prints our peers. It only reads: the
// box file is the truth, and `set` is answered with EPERM.
//
// The protocol carries an interface's private key and lets wg(8) derive the public one; no secret
// ever leaves the daemon, hence no private_key and no preshared_key line. wg(8) then shows the
// interface without a public key; `meshgate status` has it.

// One request of wg(8); a longer one ends the connection.
constexpr size_t kMaxWgRequestBytes = size_t{64} << 10;

// `request` is all lines of one request without the empty one at the end. The answer ends in an
// empty line.
std::string wg_answer(std::string_view request, StateProvider& state);

// Serves `path`, which wg(8) expects at /var/run/wireguard/NAME.sock; mode 0600.
Result<std::unique_ptr<UnixServer>> serve_wg(boost::asio::io_context& io, const std::string& path,
                                             StateProvider& state);

}  // namespace meshgate::control
