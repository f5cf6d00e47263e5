// SPDX-License-Identifier: Apache-2.0
// Any bytes as a request on the socket of wg(8). Every answer ends in its errno and an empty line,
// and there is no empty line before.

#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "control/api/wg_socket.h"
#include "tests/unit/control/api/fake_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace meshgate::control;
    FakeState state;
    const std::string_view request{reinterpret_cast<const char*>(data), size};
    const std::string text = wg_answer(request, state);
    MG_ASSERT(text.find("\n\n") == text.size() - 2);
    const size_t last = text.rfind('\n', text.size() - 3);
    MG_ASSERT(text.find("errno=") == (last == std::string::npos ? 0 : last + 1));
    MG_ASSERT((request == "get=1") == (text.find("errno=0\n") != std::string::npos));
    return 0;
}
