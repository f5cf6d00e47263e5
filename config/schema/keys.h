// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/diff.h"
#include "config/model.h"
#include "config/schema/schema.h"
#include "config/text/input.h"

namespace meshgate::config {

// The box file's.
using KeyRule = KeyRuleOf<Model>;
using GroupRule = GroupRuleOf<Model>;

std::span<const GroupRule> groups() noexcept;
std::span<const KeyRule> keys() noexcept;
std::span<const KeyRule> keys_of(std::string_view group) noexcept;

}  // namespace meshgate::config
