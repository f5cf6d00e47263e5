// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/index_table.h"

#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>

#include "dataplane/tables/huge_memory.h"

namespace meshgate {

namespace {

// Not a kind that readers know: a slot that is unlinked but not yet free.
constexpr uintptr_t kErased = IndexEntry::kKindMask;

// Buckets a look-up may visit. At most half of the slots are in use, so a chain this long does not
// occur by chance, and whoever chooses indices does not know the multiplier.
constexpr size_t kMaxProbes = 16;
constexpr size_t kSlotsPerEntry = 2;                // hence never more than half full
constexpr uint64_t kMixer = 0x9e37'79b9'7f4a'7c15;  // 2^64 / golden ratio, odd
constexpr size_t kMinBuckets = 64;                  // of the smallest table

}  // namespace

Result<IndexTable> IndexTable::create(size_t capacity) {
    if (capacity == 0 || capacity > (size_t{1} << 30))
        return fail("index table: capacity must be 1 .. 2^30");
    if (sodium_init() < 0)
        return fail("index table: no random numbers");
    IndexTable table;
    table.capacity_ = capacity;
    const size_t wanted = (capacity * kSlotsPerEntry + kSlots - 1) / kSlots;
    table.nb_buckets_ = std::bit_ceil(std::max(wanted, kMinBuckets));
    table.shift_ = 64 - static_cast<unsigned>(std::bit_width(table.nb_buckets_) - 1);
    // Relayed indices are chosen by others: a secret multiplier keeps them from meeting on purpose.
    randombytes_buf(&table.multiplier_, sizeof(table.multiplier_));
    table.multiplier_ |= 1;

    void* memory = allocate_table(table.memory_bytes());
    if (memory == nullptr)
        return fail("index table: no memory");
    auto* buckets = static_cast<Bucket*>(memory);
    for (size_t i = 0; i < table.nb_buckets_; ++i)
        new (&buckets[i]) Bucket{};
    table.buckets_.reset(buckets);
    return table;
}

inline size_t IndexTable::home_of(uint32_t index) const noexcept {
    // One multiplication alone would leave regular indices regular, and crowd them for an unlucky
    // multiplier.
    uint64_t hash = index * multiplier_;
    hash ^= hash >> 32;
    return static_cast<size_t>((hash * kMixer) >> shift_);
}

inline IndexTable::Bucket& IndexTable::bucket_at(size_t position) const noexcept {
    return buckets_[position & (nb_buckets_ - 1)];
}

inline IndexEntry IndexTable::find_from(size_t home, uint32_t index) const noexcept {
    for (size_t distance = 0; distance < kMaxProbes; ++distance) {
        const Bucket& bucket = bucket_at(home + distance);
        // All keys at once: which slot it is cannot be foreseen.
        unsigned matching = 0;
#pragma GCC unroll 5
        for (size_t slot = 0; slot < kSlots; ++slot)
            matching |= unsigned{bucket.keys[slot].load(std::memory_order_relaxed) == index}
                        << slot;
        for (; matching != 0; matching &= matching - 1) {
            const auto slot = static_cast<size_t>(std::countr_zero(matching));
            // Acquire pairs with the release in insert(). The key is read once more after the word:
            // between the first look and the word a free slot may have been filled for another
            // index, and whoever sees that word also sees its key.
            const uintptr_t word = bucket.words[slot].load(std::memory_order_acquire);
            if (word == 0 || word == kErased ||
                bucket.keys[slot].load(std::memory_order_relaxed) != index)
                continue;
            return IndexEntry{word};
        }
        // Relaxed: a reader that misses the count misses an insert of this very moment.
        if (bucket.nb_passed.load(std::memory_order_relaxed) == 0)
            break;
    }
    return {};
}

IndexEntry IndexTable::find(uint32_t index) const noexcept {
    return find_from(home_of(index), index);
}

void IndexTable::find(std::span<IndexEntry> entries,
                      std::span<const uint32_t> indices) const noexcept {
    assert(entries.size() == indices.size());
    constexpr size_t kChunk = 64;
    std::array<size_t, kChunk> homes;
    for (size_t begin = 0; begin < indices.size(); begin += kChunk) {
        const size_t n = std::min(kChunk, indices.size() - begin);
        for (size_t i = 0; i < n; ++i) {
            homes[i] = home_of(indices[begin + i]);
            __builtin_prefetch(&bucket_at(homes[i]));
        }
        for (size_t i = 0; i < n; ++i)
            entries[begin + i] = find_from(homes[i], indices[begin + i]);
    }
}

// Writer's view: live and erased slots alike. Plain relaxed loads, since nobody else stores.
IndexTable::Slot IndexTable::find_slot(uint32_t index) const noexcept {
    const size_t home = home_of(index);
    for (size_t distance = 0; distance < kMaxProbes; ++distance) {
        Bucket& bucket = bucket_at(home + distance);
        for (size_t slot = 0; slot < kSlots; ++slot) {
            if (bucket.words[slot].load(std::memory_order_relaxed) != 0 &&
                bucket.keys[slot].load(std::memory_order_relaxed) == index)
                return {&bucket, slot, distance};
        }
        if (bucket.nb_passed.load(std::memory_order_relaxed) == 0)
            break;
    }
    return {};
}

IndexTable::Slot IndexTable::free_slot(uint32_t index) const noexcept {
    const size_t home = home_of(index);
    for (size_t distance = 0; distance < kMaxProbes; ++distance) {
        Bucket& bucket = bucket_at(home + distance);
        for (size_t slot = 0; slot < kSlots; ++slot) {
            if (bucket.words[slot].load(std::memory_order_relaxed) == 0)
                return {&bucket, slot, distance};
        }
    }
    return {};
}

bool IndexTable::insert(uint32_t index, IndexEntry entry) noexcept {
    assert(entry);
    if (nb_reserved_ == capacity_ || find_slot(index).bucket != nullptr)
        return false;
    const Slot free = free_slot(index);
    if (free.bucket == nullptr)
        return false;
    const size_t home = home_of(index);
    for (size_t passed = 0; passed < free.distance; ++passed)
        bucket_at(home + passed).nb_passed.fetch_add(1, std::memory_order_relaxed);
    free.bucket->keys[free.slot].store(index, std::memory_order_relaxed);
    // Release: whoever sees the word sees the key, the counts and what the entry points to.
    free.bucket->words[free.slot].store(entry.word_, std::memory_order_release);
    ++nb_live_;
    ++nb_reserved_;
    return true;
}

bool IndexTable::replace(uint32_t index, IndexEntry entry) noexcept {
    assert(entry);
    const Slot found = find_slot(index);
    if (found.bucket == nullptr)
        return false;
    std::atomic<uintptr_t>& word = found.bucket->words[found.slot];
    if (word.load(std::memory_order_relaxed) == kErased)
        return false;
    // Release: whoever sees the word sees what the entry stands for.
    word.store(entry.word_, std::memory_order_release);
    return true;
}

IndexEntry IndexTable::erase(uint32_t index) noexcept {
    const Slot found = find_slot(index);
    if (found.bucket == nullptr)
        return {};
    std::atomic<uintptr_t>& word = found.bucket->words[found.slot];
    const uintptr_t old = word.load(std::memory_order_relaxed);
    if (old == kErased)
        return {};
    // Relaxed: nothing is handed over by it; the grace period orders the rest.
    word.store(kErased, std::memory_order_relaxed);
    --nb_live_;
    return IndexEntry{old};
}

void IndexTable::recycle(uint32_t index) noexcept {
    const Slot found = find_slot(index);
    if (found.bucket == nullptr ||
        found.bucket->words[found.slot].load(std::memory_order_relaxed) != kErased)
        return;
    const size_t home = home_of(index);
    for (size_t passed = 0; passed < found.distance; ++passed)
        bucket_at(home + passed).nb_passed.fetch_sub(1, std::memory_order_relaxed);
    found.bucket->words[found.slot].store(0, std::memory_order_relaxed);
    --nb_reserved_;
}

}  // namespace meshgate
