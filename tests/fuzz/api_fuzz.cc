// SPDX-License-Identifier: Apache-2.0
// Any lines as requests on one API connection. Every answer is one line of JSON, and a restricted
// connection never changes anything.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/assert.h"
#include "control/api/answer.h"
#include "tests/unit/control/api/fake_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace meshgate::control;
    FakeState state;
    state.join_network();
    ApiConnection connection;
    std::string_view rest{reinterpret_cast<const char*>(data), size};
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        const bool restricted = connection.access == Access::read;
        const int nb_reloads = state.nb_reloads;
        const std::string text = answer(rest.substr(0, end), connection, state);
        MG_ASSERT(text.find('\n') == text.size() - 1);
        MG_ASSERT(nlohmann::json::parse(text).at("ok").is_boolean());
        MG_ASSERT(!restricted || connection.access == Access::read);
        MG_ASSERT(!restricted || state.nb_reloads == nb_reloads);
        MG_ASSERT(!restricted || state.pushed_text.empty());
        state.pushed_text.clear();
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return 0;
}
