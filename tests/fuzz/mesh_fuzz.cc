// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "control/mesh/protocol/cbor.h"
#include "control/mesh/protocol/messages.h"

namespace {

using namespace meshgate::mesh;

// An item that can be stepped over is a part of the input.
void check_items(std::span<const uint8_t> bytes) {
    CborReader in{bytes};
    size_t total = 0;
    while (const auto item = in.item()) {
        if (item->empty())
            std::abort();
        total += item->size();
    }
    if (total > bytes.size())
        std::abort();
}

}  // namespace

// Input: one datagram. What was understood is written and understood again as the same; and of one
// message there is one form, unless it has keys that we do not know.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::span<const uint8_t> bytes{data, size};
    check_items(bytes);
    const auto message = decode(bytes);
    if (!message)
        return 0;
    const auto written = encode(*message);
    const auto again = decode(written);
    if (!again || *again != *message || written.size() > size)
        std::abort();
    if (written.size() == size && !std::equal(written.begin(), written.end(), bytes.begin()))
        std::abort();
    return 0;
}
