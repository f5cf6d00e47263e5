// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "control/api/state_provider.h"
#include "control/api/upload.h"

namespace meshgate::control {

// The API without its socket: a request line in, an answer line out. The requests are
//   {"verb": "status" | "show peers|routes|ports|drops|workers|babel|links|paths|members|relays" |
//            "explain" | "metrics" | "reload"}
// with "name" to choose one of what is shown, and {"verb": "restrict", "to": "read"}, after which
// the connection may only read, and may stay open in silence. A network file comes in pieces:
//   {"verb": "network piece", "bytes": BASE64} ... {"verb": "network push", "signature": BASE64}
// The answers are
//   {"ok": true, "schema": 1, "result": {...}}
//   {"ok": false, "schema": 1, "error": {"code": "...", "message": "..."}}
// Codes: bad-request, unknown-verb, not-found, forbidden, too-long, too-large, busy.

// One request line; a longer one ends the connection.
constexpr size_t kMaxRequestBytes = size_t{64} << 10;
constexpr size_t kMaxAnswerBytes = size_t{32} << 20;  // one answer; more is refused as too-large

enum class Access : uint8_t { read, full };

// What the API remembers of a connection.
struct ApiConnection {
    Caller caller;
    Access access = Access::full;
    Upload upload{std::make_shared<UploadBudget>()};
};

// Never fails and never throws: whatever the line holds, the answer says what was wrong with it.
// Ends in a newline.
std::string answer(std::string_view line, ApiConnection& connection, StateProvider& state);

std::string error_answer(std::string_view code, std::string_view message);

}  // namespace meshgate::control
