// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "base/result.h"
#include "dataplane/tables/ids.h"
#include "dataplane/tables/keypair.h"

namespace meshgate {

// What a receiver index stands for, one word with its kind in the low bits: a keypair of ours, or
// the link that leads others' datagrams on. Converts to false when the index means nothing here.
class IndexEntry {
public:
    enum class Kind : uint8_t { none = 0, keypair = 1, relay = 2 };
    static constexpr uintptr_t kKindMask = 7;
    static constexpr unsigned kKindBits = 3;

    constexpr IndexEntry() noexcept = default;
    explicit IndexEntry(Keypair* keypair) noexcept
        : word_{reinterpret_cast<uintptr_t>(keypair) | static_cast<uintptr_t>(Kind::keypair)} {}

    static constexpr IndexEntry relay(LinkId link) noexcept {
        return IndexEntry{uintptr_t{link} << kKindBits | static_cast<uintptr_t>(Kind::relay)};
    }

    explicit operator bool() const noexcept { return word_ != 0; }
    Kind kind() const noexcept { return static_cast<Kind>(word_ & kKindMask); }
    // Null when it is of another kind.
    Keypair* keypair() const noexcept {
        return kind() == Kind::keypair ? reinterpret_cast<Keypair*>(word_ & ~kKindMask) : nullptr;
    }
    // kNoLink when it is of another kind.
    LinkId link() const noexcept {
        return kind() == Kind::relay ? static_cast<LinkId>(word_ >> kKindBits) : kNoLink;
    }
    bool operator==(const IndexEntry&) const noexcept = default;

private:
    friend class IndexTable;
    constexpr explicit IndexEntry(uintptr_t word) noexcept : word_{word} {}

    uintptr_t word_ = 0;
};

// Receiver index -> entry. One writer (control), any number of readers (workers), no locks. Any 32
// bits may be an index. A look-up reads one cache line, rarely two.
//
// An entry leaves in two steps. A worker reads a slot's key, its word and its key again: it notices
// when the slot changes hands once in between, but not when it changes there and back. So erase()
// only unlinks, and the slot stays reserved until recycle(), which the writer calls after a grace
// period (when it also frees what the entry pointed to).
class IndexTable {
public:
    // Room for `capacity` entries, erased and not yet recycled ones included.
    static Result<IndexTable> create(size_t capacity);

    // Writer. False when the index is taken (also: erased and not yet recycled) or no slot is left.
    [[nodiscard]] bool insert(uint32_t index, IndexEntry entry) noexcept;
    // Writer. Puts another entry in the place of the one that is there; readers find the one or the
    // other. False when there is none. What the old one pointed to is the caller's to retire.
    bool replace(uint32_t index, IndexEntry entry) noexcept;
    // Writer. Readers no longer find it; returns what it was, nothing when there was none.
    IndexEntry erase(uint32_t index) noexcept;
    // Writer, a grace period after erase(). No effect on an index that was not erased.
    void recycle(uint32_t index) noexcept;

    // Any thread. What a found entry points to is valid until the reader's next quiescent report.
    IndexEntry find(uint32_t index) const noexcept;
    // The same for a burst, sizes equal; overlaps the cache misses.
    void find(std::span<IndexEntry> entries, std::span<const uint32_t> indices) const noexcept;

    // Writer. Entries in the table, and those plus what waits to be recycled.
    size_t size() const noexcept { return nb_live_; }
    size_t nb_reserved() const noexcept { return nb_reserved_; }
    size_t capacity() const noexcept { return capacity_; }
    size_t memory_bytes() const noexcept { return nb_buckets_ * sizeof(Bucket); }

private:
    static constexpr size_t kSlots = 5;

    struct alignas(64) Bucket {
        std::array<std::atomic<uint32_t>, kSlots> keys{};
        // How many entries probed past this bucket because it was full: where it is 0, a reader
        // need not look further.
        std::atomic<uint32_t> nb_passed{0};
        std::array<std::atomic<uintptr_t>, kSlots> words{};
    };
    static_assert(sizeof(Bucket) == 64, "one cache line");

    struct Slot {
        Bucket* bucket = nullptr;
        size_t slot = 0;
        size_t distance = 0;  // buckets passed on the way
    };

    IndexTable() noexcept = default;
    size_t home_of(uint32_t index) const noexcept;
    Bucket& bucket_at(size_t position) const noexcept;
    IndexEntry find_from(size_t home, uint32_t index) const noexcept;
    Slot find_slot(uint32_t index) const noexcept;
    Slot free_slot(uint32_t index) const noexcept;

    struct Free {
        void operator()(Bucket* buckets) const noexcept { std::free(buckets); }
    };
    std::unique_ptr<Bucket[], Free> buckets_;
    size_t nb_buckets_ = 0;  // power of two
    unsigned shift_ = 0;
    uint64_t multiplier_ = 0;
    size_t capacity_ = 0;
    size_t nb_live_ = 0;
    size_t nb_reserved_ = 0;
};

}  // namespace meshgate
