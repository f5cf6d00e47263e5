// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "web/policy.h"

namespace meshgate::web {

// What goes back to a client. The body is shared, since many may be sent the same large one.
struct Content {
    unsigned status = 500;
    const char* type = "text/plain; charset=utf-8";
    const char* policy = "default-src 'none'; frame-ancestors 'none'";
    std::shared_ptr<const std::string> shared;  // null: `fixed`
    std::string_view fixed;

    std::string_view body() const noexcept { return shared ? std::string_view{*shared} : fixed; }
};

Content plain_content(unsigned status, std::string_view message);
Content page_content();
// From the daemon's answer line; null when none came in time.
Content answer_content(Resource resource, const std::shared_ptr<const std::string>& answer);

}  // namespace meshgate::web
