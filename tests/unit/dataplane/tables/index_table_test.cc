// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/index_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace meshgate {
namespace {

// Enough distinct addresses to point at; what they hold does not matter here.
Keypair* keypair(size_t n) {
    static std::array<Keypair, 64> all;
    return &all[n % all.size()];
}

IndexTable make_table(size_t capacity) {
    auto table = IndexTable::create(capacity);
    EXPECT_TRUE(table);
    return std::move(*table);
}

TEST(IndexTable, FindsWhatWasInserted) {
    IndexTable table = make_table(100);
    EXPECT_FALSE(table.find(7));
    EXPECT_TRUE(table.insert(7, IndexEntry{keypair(1)}));
    EXPECT_EQ(table.find(7).keypair(), keypair(1));
    EXPECT_EQ(table.find(7).kind(), IndexEntry::Kind::keypair);
    EXPECT_FALSE(table.find(8));
    EXPECT_EQ(table.find(8).keypair(), nullptr);
    EXPECT_EQ(table.size(), 1U);
}

// Keys of free slots are 0, which must not look like an entry.
TEST(IndexTable, TakesAny32Bits) {
    IndexTable table = make_table(100);
    for (const uint32_t index : {0U, 1U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
        EXPECT_FALSE(table.find(index)) << index;
        EXPECT_TRUE(table.insert(index, IndexEntry{keypair(index)})) << index;
        EXPECT_EQ(table.find(index).keypair(), keypair(index)) << index;
        EXPECT_EQ(table.erase(index).keypair(), keypair(index)) << index;
        EXPECT_FALSE(table.find(index)) << index;
    }
}

TEST(IndexTable, RefusesATakenIndex) {
    IndexTable table = make_table(100);
    EXPECT_TRUE(table.insert(7, IndexEntry{keypair(1)}));
    EXPECT_FALSE(table.insert(7, IndexEntry{keypair(2)}));
    EXPECT_EQ(table.find(7).keypair(), keypair(1));
}

TEST(IndexTable, TellsRelayEntriesFromKeypairs) {
    IndexTable table = make_table(100);
    for (const LinkId link : {LinkId{0}, LinkId{1}, kMaxLinks - 1}) {
        EXPECT_TRUE(table.insert(link, IndexEntry::relay(link)));
        const IndexEntry found = table.find(link);
        EXPECT_TRUE(found);
        EXPECT_EQ(found.kind(), IndexEntry::Kind::relay);
        EXPECT_EQ(found.link(), link);
        EXPECT_EQ(found.keypair(), nullptr);
    }
    EXPECT_TRUE(table.insert(0x700, IndexEntry{keypair(1)}));
    EXPECT_EQ(table.find(0x700).link(), kNoLink);
    EXPECT_EQ(table.find(0x701).link(), kNoLink);
}

TEST(IndexTable, ReplacesAnEntryInItsPlace) {
    IndexTable table = make_table(100);
    EXPECT_FALSE(table.replace(7, IndexEntry::relay(1)));
    EXPECT_TRUE(table.insert(7, IndexEntry::relay(1)));
    EXPECT_TRUE(table.replace(7, IndexEntry::relay(2)));
    EXPECT_EQ(table.find(7).link(), 2U);
    EXPECT_EQ(table.size(), 1U);
    table.erase(7);
    EXPECT_FALSE(table.replace(7, IndexEntry::relay(3)));
    EXPECT_FALSE(table.find(7));
}

TEST(IndexTable, KeepsAnErasedSlotUntilRecycled) {
    IndexTable table = make_table(2);
    EXPECT_TRUE(table.insert(7, IndexEntry{keypair(1)}));
    EXPECT_TRUE(table.insert(8, IndexEntry{keypair(2)}));
    table.recycle(7);  // not erased: no effect
    EXPECT_EQ(table.find(7).keypair(), keypair(1));
    EXPECT_EQ(table.erase(7).keypair(), keypair(1));
    EXPECT_FALSE(table.erase(7));
    EXPECT_FALSE(table.find(7));
    EXPECT_EQ(table.size(), 1U);
    EXPECT_EQ(table.nb_reserved(), 2U);
    EXPECT_FALSE(table.insert(7, IndexEntry{keypair(3)}));  // taken until recycled
    EXPECT_FALSE(table.insert(9, IndexEntry{keypair(3)}));  // full until recycled
    table.recycle(7);
    table.recycle(7);
    EXPECT_EQ(table.nb_reserved(), 1U);
    EXPECT_TRUE(table.insert(9, IndexEntry{keypair(3)}));
    EXPECT_FALSE(table.insert(7, IndexEntry{keypair(4)}));  // full
    EXPECT_EQ(table.find(9).keypair(), keypair(3));
    EXPECT_FALSE(table.erase(1234));
}

TEST(IndexTable, HoldsItsWholeCapacity) {
    for (const size_t capacity : {1U, 5U, 100U, 4096U, 100'000U}) {
        IndexTable table = make_table(capacity);
        std::mt19937 random{27};
        std::unordered_map<uint32_t, Keypair*> model;
        while (model.size() < capacity) {
            const auto index = static_cast<uint32_t>(random());
            if (!model.emplace(index, keypair(index)).second)
                continue;
            ASSERT_TRUE(table.insert(index, IndexEntry{keypair(index)})) << model.size();
        }
        ASSERT_FALSE(table.insert(static_cast<uint32_t>(random()), IndexEntry{keypair(0)}));
        for (const auto& [index, expected] : model)
            ASSERT_EQ(table.find(index).keypair(), expected);
        EXPECT_LE(table.memory_bytes(), std::max<size_t>(4096, capacity * 64));
    }
}

// Indices as they are when all sessions belong to one worker, and as a counter would give them.
TEST(IndexTable, HoldsRegularIndices) {
    for (const uint32_t step : {1U, 32U, 1U << 12, 1U << 15}) {
        IndexTable table = make_table(20'000);
        for (uint32_t i = 0; i < 20'000; ++i)
            ASSERT_TRUE(table.insert(i * step, IndexEntry{keypair(i)})) << i << " x " << step;
        for (uint32_t i = 0; i < 20'000; ++i)
            ASSERT_EQ(table.find(i * step).keypair(), keypair(i));
    }
}

TEST(IndexTable, RefusesASenselessCapacity) {
    EXPECT_FALSE(IndexTable::create(0));
    EXPECT_FALSE(IndexTable::create(SIZE_MAX));
}

// A nearly full table with constant change, so that entries probe past full buckets and counts of
// those must stay right.
TEST(IndexTable, AgreesWithAMapUnderChange) {
    constexpr size_t kCapacity = 160;  // the smallest table there is: 64 buckets
    IndexTable table = make_table(kCapacity);
    std::unordered_map<uint32_t, Keypair*> model;
    std::unordered_set<uint32_t> erased;
    std::mt19937 random{5};
    for (int step = 0; step < 300'000; ++step) {
        const auto index = static_cast<uint32_t>(random() % 400) * 0x01000193U;
        const unsigned what = random() % 8;
        if (what < 4) {
            const bool free = !model.contains(index) && !erased.contains(index) &&
                              model.size() + erased.size() < kCapacity;
            ASSERT_EQ(table.insert(index, IndexEntry{keypair(index)}), free) << step;
            if (free)
                model[index] = keypair(index);
        } else if (what < 6) {
            const auto found = model.find(index);
            ASSERT_EQ(table.erase(index).keypair(), found == model.end() ? nullptr : found->second);
            if (found != model.end()) {
                model.erase(found);
                erased.insert(index);
            }
        } else {
            table.recycle(index);
            erased.erase(index);
        }
        const auto asked = static_cast<uint32_t>(random() % 400) * 0x01000193U;
        const auto found = model.find(asked);
        ASSERT_EQ(table.find(asked).keypair(), found == model.end() ? nullptr : found->second);
        ASSERT_EQ(table.size(), model.size());
        ASSERT_EQ(table.nb_reserved(), model.size() + erased.size());
    }
}

TEST(IndexTable, FindsAWholeBurst) {
    IndexTable table = make_table(1000);
    std::vector<uint32_t> indices;
    for (uint32_t i = 0; i < 200; ++i) {
        indices.push_back(i * 7919);
        if (i % 3 != 0) {
            ASSERT_TRUE(table.insert(indices.back(), IndexEntry{keypair(i)}));
        }
    }
    std::vector<IndexEntry> entries(indices.size(), IndexEntry{keypair(63)});
    table.find(entries, indices);
    for (uint32_t i = 0; i < 200; ++i)
        EXPECT_EQ(entries[i].keypair(), i % 3 != 0 ? keypair(i) : nullptr) << i;
}

}  // namespace
}  // namespace meshgate
