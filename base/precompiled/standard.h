// SPDX-License-Identifier: Apache-2.0
// What most files include of the standard library, precompiled for each library and test program
// (cpp_pch in meson.build), since reading it takes the compiler longer than our own code. Only what
// never changes stands here. A file includes what it uses all the same: -Db_pch=false builds too.

#include <algorithm>
#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <variant>
#include <vector>
