// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace meshgate::control {

// What the uploads of all connections of a server hold together.
struct UploadBudget {
    size_t max_bytes = size_t{16} << 20;
    size_t used_bytes = 0;
};

// A file that comes in pieces over one connection, since it is larger than a request may be. Gives
// back its share of the budget when it is taken or the connection ends.
class Upload {
public:
    explicit Upload(std::shared_ptr<UploadBudget> budget) : budget_{std::move(budget)} {}
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;
    ~Upload() { take(); }

    size_t size() const noexcept { return bytes_.size(); }
    // False, and unchanged, when the budget of all connections is used up.
    bool append(std::string_view piece) {
        if (piece.size() > budget_->max_bytes - budget_->used_bytes)
            return false;
        bytes_ += piece;
        budget_->used_bytes += piece.size();
        return true;
    }
    // What has come; empty afterwards.
    std::string take() {
        budget_->used_bytes -= bytes_.size();
        return std::exchange(bytes_, {});
    }

private:
    std::shared_ptr<UploadBudget> budget_;
    std::string bytes_;
};

}  // namespace meshgate::control
