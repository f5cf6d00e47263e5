// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"
#include "control/wireguard/timings.h"

namespace meshgate::control {

// "rekey=2s,reject=4s": the protocol's timings with those changed. Names: rekey, reject, retry,
// jitter, keepalive, zeroize (durations in ms or s) and initiations (a number). For laboratories,
// where an hour of rekeying has to pass in a minute.
Result<wireguard::Timings> parse_lab_timings(std::string_view text);

}  // namespace meshgate::control
