// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/protocol/cbor.h"

namespace meshgate::mesh {

namespace {

constexpr uint8_t kByteString = 2;
constexpr uint8_t kTextString = 3;
constexpr uint8_t kArray = 4;
constexpr uint8_t kMap = 5;
constexpr uint8_t kTag = 6;
constexpr uint8_t kSimple = 7;  // also floating point; the head's value is all there is

constexpr uint8_t kFalse = 0xf4;
constexpr uint8_t kTrue = 0xf5;

// RFC 8949, section 3: values from 24 on take 1, 2, 4 or 8 further bytes.
constexpr uint8_t kFirstLong = 24;
constexpr uint8_t kLastLong = 27;

// The least value that needs this many further bytes.
constexpr uint64_t least_for(unsigned nb_bytes) noexcept {
    return nb_bytes == 1 ? kFirstLong : uint64_t{1} << (4 * nb_bytes);
}

}  // namespace

void CborWriter::head(uint8_t major, uint64_t value) {
    const auto first = [major](unsigned low) {
        return static_cast<uint8_t>(unsigned{major} << 5 | low);
    };
    if (value < kFirstLong) {
        out_.push_back(first(static_cast<unsigned>(value)));
        return;
    }
    uint8_t info = kFirstLong;
    unsigned nb_bytes = 1;
    while (nb_bytes < 8 && value >= least_for(2 * nb_bytes)) {
        nb_bytes *= 2;
        ++info;
    }
    out_.push_back(first(info));
    for (unsigned shift = 8 * nb_bytes; shift > 0; shift -= 8)
        out_.push_back(static_cast<uint8_t>(value >> (shift - 8)));
}

void CborWriter::bytes(std::span<const uint8_t> value) {
    head(kByteString, value.size());
    out_.insert(out_.end(), value.begin(), value.end());
}

std::optional<CborReader::Head> CborReader::head() noexcept {
    if (rest_.empty())
        return std::nullopt;
    const uint8_t major = rest_[0] >> 5;
    const uint8_t info = rest_[0] & 0x1f;
    rest_ = rest_.subspan(1);
    if (info < kFirstLong)
        return Head{major, info};
    if (info > kLastLong)
        return std::nullopt;  // reserved, or of indefinite length
    const unsigned nb_bytes = 1U << (info - kFirstLong);
    if (rest_.size() < nb_bytes)
        return std::nullopt;
    uint64_t value = 0;
    for (const uint8_t byte : rest_.first(nb_bytes))
        value = value << 8 | byte;
    rest_ = rest_.subspan(nb_bytes);
    // Of one value there is one form; floating point has its length for a reason.
    if (major != kSimple && value < least_for(nb_bytes))
        return std::nullopt;
    return Head{major, value};
}

std::optional<uint64_t> CborReader::value_of(uint8_t major) noexcept {
    const auto found = head();
    if (!found || found->major != major)
        return std::nullopt;
    return found->value;
}

std::optional<size_t> CborReader::count_of(uint8_t major, size_t items_each) noexcept {
    const auto count = value_of(major);
    if (!count || *count > rest_.size() / items_each)
        return std::nullopt;
    return static_cast<size_t>(*count);
}

std::optional<std::span<const uint8_t>> CborReader::bytes() noexcept {
    const auto len = value_of(kByteString);
    if (!len || *len > rest_.size())
        return std::nullopt;
    const auto found = rest_.first(static_cast<size_t>(*len));
    rest_ = rest_.subspan(found.size());
    return found;
}

std::optional<bool> CborReader::boolean() noexcept {
    if (rest_.empty() || (rest_[0] != kFalse && rest_[0] != kTrue))
        return std::nullopt;
    const bool value = rest_[0] == kTrue;
    rest_ = rest_.subspan(1);
    return value;
}

std::optional<std::span<const uint8_t>> CborReader::item() noexcept {
    const auto start = rest_;
    // Each turn reads at least one byte, so depth and counts cost no more than their bytes.
    for (uint64_t owed = 1; owed > 0; --owed) {
        const auto found = head();
        if (!found)
            return std::nullopt;
        uint64_t inside = 0;
        if (found->major == kByteString || found->major == kTextString) {
            if (found->value > rest_.size())
                return std::nullopt;
            rest_ = rest_.subspan(static_cast<size_t>(found->value));
        } else if (found->major == kArray || found->major == kMap) {
            if (found->value > rest_.size())
                return std::nullopt;
            inside = found->major == kMap ? 2 * found->value : found->value;
        } else if (found->major == kTag) {
            inside = 1;
        }
        owed += inside;
    }
    return start.first(start.size() - rest_.size());
}

}  // namespace meshgate::mesh
