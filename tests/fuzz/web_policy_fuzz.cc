// SPDX-License-Identifier: Apache-2.0
// Any request heads for meshgate-web: lines of method, target, Host, Origin, Sec-Fetch-Site. What
// is served asks for nothing but what is shown, and never for a name that may be rebound.

#include <array>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "web/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace meshgate::web;
    std::string_view rest{reinterpret_cast<const char*>(data), size};
    std::array<std::string_view, 5> lines;
    size_t nb_lines = 0;
    while (nb_lines < lines.size() && !rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        lines[nb_lines++] = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    RequestHead head{.method = lines[0], .target = lines[1]};
    if (nb_lines > 2)
        head.host = lines[2];
    if (nb_lines > 3)
        head.origin = lines[3];
    if (nb_lines > 4)
        head.sec_fetch_site = lines[4];
    const Decision decision = decide(head, "127.0.0.1");
    MG_ASSERT((decision.status == 200) == (decision.resource != Resource::none));
    MG_ASSERT((decision.status == 200) == decision.message.empty());
    MG_ASSERT(decision.verb != "reload" && decision.verb != "restrict");
    // A name goes into a JSON text as it is.
    MG_ASSERT(decision.name.find_first_of("\"\\\n") == std::string::npos);
    MG_ASSERT(decision.name.empty() == (decision.verb != "explain"));
    MG_ASSERT(decision.status != 200 || head.method == "GET" || head.method == "HEAD");
    MG_ASSERT(decision.status != 200 || head.host->find("example") == std::string_view::npos);
    return 0;
}
