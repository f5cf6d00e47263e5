// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace meshgate::web {

// page.html, and the Content-Security-Policy that lets its own script and style run and nothing
// else: their hashes. Made from page.html by embed.py.
extern const std::string_view kPage;
extern const char* const kPagePolicy;

}  // namespace meshgate::web
