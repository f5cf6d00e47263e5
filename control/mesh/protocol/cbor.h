// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace meshgate::mesh {

// The part of CBOR (RFC 8949) that control messages need, in its deterministic form: shortest
// heads, definite lengths. Nothing is allocated but the bytes written.
class CborWriter {
public:
    void integer(uint64_t value) { head(0, value); }
    void bytes(std::span<const uint8_t> value);
    void array(size_t nb_items) { head(4, nb_items); }
    void map(size_t nb_pairs) { head(5, nb_pairs); }
    void boolean(bool value) { out_.push_back(value ? 0xf5 : 0xf4); }

    std::vector<uint8_t> take() { return std::move(out_); }

private:
    void head(uint8_t major, uint64_t value);

    std::vector<uint8_t> out_;
};

// Reads items one after the other. A getter that finds another type, a longer form than needed or
// the end returns nothing; what is left is then undefined, and the message to be refused.
class CborReader {
public:
    explicit CborReader(std::span<const uint8_t> bytes) noexcept : rest_{bytes} {}

    std::optional<uint64_t> integer() noexcept { return value_of(0); }
    std::optional<std::span<const uint8_t>> bytes() noexcept;
    // How many items or pairs follow; never more than there are bytes left.
    std::optional<size_t> array() noexcept { return count_of(4, 1); }
    std::optional<size_t> map() noexcept { return count_of(5, 2); }
    std::optional<bool> boolean() noexcept;

    // The bytes of one item, whatever it is, with all that is in it.
    std::optional<std::span<const uint8_t>> item() noexcept;
    bool at_end() const noexcept { return rest_.empty(); }

private:
    struct Head {
        uint8_t major;
        uint64_t value;
    };
    std::optional<Head> head() noexcept;
    std::optional<uint64_t> value_of(uint8_t major) noexcept;
    std::optional<size_t> count_of(uint8_t major, size_t items_each) noexcept;

    std::span<const uint8_t> rest_;
};

}  // namespace meshgate::mesh
