// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>
#include <tl/expected.hpp>

namespace meshgate {

// An expected failure: lower case, no final dot, context added at each level.
struct Error {
    std::string message;
};

// [[nodiscard]] comes with tl::expected's users: every caller decides, nobody throws.
template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(std::string message) {
    return tl::unexpected<Error>{Error{std::move(message)}};
}

// Appends what the positive errno value means.
[[nodiscard]] inline tl::unexpected<Error> fail(int errno_value, std::string message) {
    message += ": ";
    message += std::strerror(errno_value);
    return fail(std::move(message));
}

// The error of a result that failed, unchanged, to be returned by the caller in turn.
template <typename T, typename E>
[[nodiscard]] tl::unexpected<E> propagate(const tl::expected<T, E>& failed) {
    return tl::unexpected<E>{failed.error()};
}

// Puts `context` in front of what went wrong one level below.
[[nodiscard]] inline tl::unexpected<Error> within(const std::string& context, const Error& error) {
    return fail(context + ": " + error.message);
}

}  // namespace meshgate
