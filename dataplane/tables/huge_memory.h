// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace meshgate {

constexpr size_t kHugePageLen = size_t{2} << 20;
constexpr size_t kCacheLineLen = 64;

// Memory for a table that packets look up at random: from two mebibytes on in huge pages where the
// kernel has them, which saves most TLB misses. Null when there is none. Freed with std::free.
inline void* allocate_table(size_t len) noexcept {
    const bool huge = len >= kHugePageLen;
    const size_t alignment = huge ? kHugePageLen : kCacheLineLen;
    void* memory = std::aligned_alloc(alignment, (len + alignment - 1) / alignment * alignment);
    if (memory != nullptr && huge)
        madvise(memory, len, MADV_HUGEPAGE);  // a hint: without it the pages are small
    return memory;
}

// The same for a std::vector.
template <typename T>
struct TableAllocator {
    using value_type = T;

    TableAllocator() noexcept = default;
    template <typename U>
    explicit TableAllocator(const TableAllocator<U>&) noexcept {}

    T* allocate(size_t n) {
        void* memory = allocate_table(n * sizeof(T));
        if (memory == nullptr)
            throw std::bad_alloc{};  // as every allocator must
        return static_cast<T*>(memory);
    }
    void deallocate(T* memory, size_t) noexcept { std::free(memory); }
    bool operator==(const TableAllocator&) const noexcept { return true; }
};

}  // namespace meshgate
