// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "config/text/report.h"

namespace meshgate::config {

// What yaml-cpp says when it cannot go on.
struct SyntaxError {
    Place place;
    std::string message;
    std::optional<Place> open_flow;  // the innermost [ or { that waits for its end
};

// Complains in the user's terms: yaml-cpp names the place where it gave up, which is often the line
// below the mistake.
void explain_syntax(Report& report, const SyntaxError& error);

}  // namespace meshgate::config
