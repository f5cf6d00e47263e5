// SPDX-License-Identifier: Apache-2.0
// What makes files that hurt, and what they may cost.
#pragma once

#include <time.h>

#include <cstddef>
#include <string>

namespace meshgate::config {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// Of this thread, so that a busy machine does not fail the test.
inline double cpu_milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

inline std::string repeated(const std::string& text, size_t len) {
    std::string out;
    out.reserve(len + text.size());
    while (out.size() + text.size() <= len)
        out += text;
    return out;
}

inline std::string numbered(const std::string& before, const std::string& after, size_t len) {
    std::string out;
    for (size_t i = 0; out.size() + before.size() + after.size() + 8 < len; ++i)
        out += before + std::to_string(i) + after;
    return out;
}

struct Hostile {
    const char* name;
    std::string text;
    const char* code;  // of the first error
};

}  // namespace meshgate::config
