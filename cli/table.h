// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace meshgate::cli {

// Columns aligned by spaces, two between them; the first row is the heading. Cells are made
// printable.
class Table {
public:
    explicit Table(std::vector<std::string> heading) { add(std::move(heading)); }
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    bool empty() const noexcept { return rows_.size() == 1; }
    std::string text() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

std::string human_bytes(uint64_t bytes);         // "1.4 MiB"
std::string human_count(uint64_t count);         // "18 201"
std::string human_duration(int64_t duration_s);  // "1 d 2 h", "3 min", "38 s"
// How long before `now`; "-" for 0, which is never.
std::string human_age(int64_t unix_s, int64_t now_unix_s);

}  // namespace meshgate::cli
