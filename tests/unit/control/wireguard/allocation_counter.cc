// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/wireguard/allocation_counter.h"

#include <cstdlib>
#include <new>

namespace {
size_t nb_calls = 0;
size_t nb_bytes = 0;
}  // namespace

namespace meshgate {
size_t nb_allocations() noexcept {
    return nb_calls;
}
size_t allocated_bytes() noexcept {
    return nb_bytes;
}
}  // namespace meshgate

void* operator new(size_t size) {
    ++nb_calls;
    nb_bytes += size;
    if (void* memory = std::malloc(size))
        return memory;
    std::abort();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}
