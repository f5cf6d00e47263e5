// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace meshgate {

// For terminals and logs: control characters, bidirectional overrides and bytes that are not UTF-8
// become \xNN, so that a name can neither move the cursor nor turn text around.
std::string printable(std::string_view text);
// Where the first such byte stands, tab and line breaks included; npos when there is none.
size_t find_unprintable(std::string_view text);

std::string joined(std::span<const std::string> words, std::string_view between);

// The candidate that a typo of `word` most likely meant; empty when none is near.
std::string_view closest_word(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace meshgate
