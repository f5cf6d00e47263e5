// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "base/result.h"

namespace meshgate {

// Objects whose initial state is all zero bytes, one array for the life of the program. Costs no
// memory where nobody has written: tables may be made for the largest case.
template <typename T>
class ZeroedArray {
    static_assert(std::is_trivially_destructible_v<T>);

public:
    static Result<ZeroedArray> create(size_t size) {
        void* const memory = mmap(nullptr, size * sizeof(T), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return fail(errno, "cannot allocate " + std::to_string(size * sizeof(T)) + " bytes");
        return ZeroedArray{static_cast<T*>(memory), size};
    }
    ZeroedArray(ZeroedArray&& other) noexcept
        : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
    ZeroedArray& operator=(ZeroedArray&&) = delete;
    ~ZeroedArray() {
        if (data_ != nullptr)
            munmap(data_, size_ * sizeof(T));
    }

    T* data() const noexcept { return data_; }
    size_t size() const noexcept { return size_; }
    T& operator[](size_t i) const noexcept {
        MG_ASSERT(i < size_);
        return data_[i];
    }

private:
    ZeroedArray(T* data, size_t size) noexcept : data_{data}, size_{size} {}

    T* data_;
    size_t size_;
};

}  // namespace meshgate
