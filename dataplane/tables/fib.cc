// SPDX-License-Identifier: Apache-2.0
// A multibit trie in the manner of poptrie (Asai and Ohara, SIGCOMM 2015): a table indexed by the
// first bits, then nodes of 64 ways whose children are packed and counted out with popcount. Every
// node also holds the bits that lead to it and may stand any number of bits below its parent, so
// that host routes in IPv6 cost a few steps and not twenty. Figures: docs/performance.md.
#include "dataplane/tables/fib.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>

#include "base/assert.h"
#include "base/cpu.h"
#include "dataplane/tables/fib_avx512.h"
#include "dataplane/tables/huge_memory.h"

namespace meshgate {

namespace {

// -Wpedantic does not know the type.
__extension__ using Uint128 = unsigned __int128;

// Addresses as numbers whose top bit is the first bit on the wire. IPv4 fills the upper half of 64
// bits, so that a node may look at six bits beyond the last one and see zeros.
using KeyV4 = uint64_t;
using KeyV6 = Uint128;

KeyV4 key_v4(uint32_t address_be) noexcept {
    return KeyV4{__builtin_bswap32(address_be)} << 32;
}

KeyV6 key_v6(const uint8_t* bytes) noexcept {
    uint64_t high = 0;
    uint64_t low = 0;
    std::memcpy(&high, bytes, sizeof(high));
    std::memcpy(&low, bytes + sizeof(high), sizeof(low));
    return Uint128{__builtin_bswap64(high)} << 64 | __builtin_bswap64(low);
}

// What a step of a look-up leads to: a leaf with its value, or a node with its position in `words`.
using Ref = uint32_t;
constexpr Ref kNodeBit = 1;

constexpr Ref leaf_of(uint32_t value) noexcept {
    return value << 1;
}
constexpr Ref node_at(uint32_t position) noexcept {
    return position << 1 | kNodeBit;
}
constexpr bool is_leaf(Ref ref) noexcept {
    return (ref & kNodeBit) == 0;
}
constexpr uint32_t value_of(Ref ref) noexcept {
    return ref >> 1;
}
constexpr uint32_t position_of(Ref ref) noexcept {
    return ref >> 1;
}

constexpr unsigned kStride = 6;
constexpr size_t kWays = size_t{1} << kStride;

uint64_t load_u64(const uint32_t* words) noexcept {
    uint64_t value = 0;
    std::memcpy(&value, words, sizeof(value));
    return value;
}

void store_u64(uint32_t* words, uint64_t value) noexcept {
    std::memcpy(words, &value, sizeof(value));
}

// A node looks at the six bits behind the first `depth`. In memory it is a bitmap `starts`, its key
// and depth, and right behind, mostly in the same cache line, its refs. The first of them is for
// keys whose first `depth` bits are not those of the node's; way i has the one numbered by the set
// bits of `starts` up to and with bit i. A bit is set where a way's ref differs from that of the
// way before it.
struct NodeV4 {
    static constexpr uint32_t kWords = 4;

    const uint32_t* at;

    static void store(uint32_t* at, uint64_t starts, KeyV4 key, unsigned depth) noexcept {
        store_u64(at, starts);
        at[2] = static_cast<uint32_t>(key >> 32);
        at[3] = depth;
    }
    uint64_t starts() const noexcept { return load_u64(at); }
    unsigned way(KeyV4 key) const noexcept {
        return static_cast<unsigned>((key << at[3]) >> (64 - kStride));
    }
    bool matches(KeyV4 key) const noexcept { return ((key >> 32) ^ at[2]) >> (32 - at[3]) == 0; }
};

struct NodeV6 {
    static constexpr uint32_t kWords = 8;

    const uint32_t* at;

    static void store(uint32_t* at, uint64_t starts, KeyV6 key, unsigned depth) noexcept {
        store_u64(at, starts);
        store_u64(at + 2, static_cast<uint64_t>(key >> 64));
        store_u64(at + 4, static_cast<uint64_t>(key));
        store_u64(at + 6, depth);
    }
    uint64_t starts() const noexcept { return load_u64(at); }
    unsigned way(KeyV6 key) const noexcept {
        return static_cast<unsigned>((key << at[6]) >> (128 - kStride));
    }
    bool matches(KeyV6 key) const noexcept {
        const KeyV6 differing = key ^ (KeyV6{load_u64(at + 2)} << 64 | load_u64(at + 4));
        // Two shifts, because one by the full width would be undefined at depth 0.
        return (differing >> 1) >> (127 - at[6]) == 0;
    }
};

template <typename Key>
using NodeOf = std::conditional_t<sizeof(Key) == sizeof(KeyV4), NodeV4, NodeV6>;

template <typename Key>
struct Entry {
    Key key;
    uint32_t value;
    uint8_t len;
};

// The table over the first bits grows with the number of routes. At its largest, 1 MiB, a full
// internet table needs little more than one node behind it. For IPv4 it is more generous while it
// fits the first cache: each node that it saves is a third of a look-up. IPv6 routes begin alike.
constexpr unsigned kMinDirectBits = 4;
constexpr unsigned kMaxDirectBits = 18;  // likewise
constexpr unsigned kCheapDirectBits = 12;
constexpr unsigned kSpareBitsV4 = 4;

template <typename Key>
constexpr unsigned kKeyWidth = sizeof(Key) * 8;

// True when the first `len` (at least 1) bits are equal.
template <typename Key>
bool same_prefix(Key a, Key b, unsigned len) noexcept {
    return (a ^ b) >> (kKeyWidth<Key> - len) == 0;
}

template <typename Key>
unsigned common_bits(Key a, Key b) noexcept {
    const Key differing = a ^ b;
    if constexpr (sizeof(Key) == 8)
        return static_cast<unsigned>(std::countl_zero(differing));
    const auto high = static_cast<uint64_t>(differing >> (kKeyWidth<Key> / 2));
    if (high != 0)
        return static_cast<unsigned>(std::countl_zero(high));
    return 64 + static_cast<unsigned>(std::countl_zero(static_cast<uint64_t>(differing)));
}

using Words = std::vector<uint32_t, TableAllocator<uint32_t>>;
constexpr size_t kNodeAlign = 4;  // 16 bytes: what is read of an IPv4 node lies in one cache line

// Three in four nodes end within this many bytes.
constexpr size_t kPrefetchAhead = 48;

// A table up to this size, half a mebibyte, stays in a core's own cache: no use to prefetch.
constexpr size_t kCachedWords = size_t{1} << 17;

// Keys that are looked up together.
constexpr size_t kChunk = 64;

template <typename Key>
struct Trie {
    using Node = NodeOf<Key>;

    // The table of 2^direct_bits refs, then the nodes, each with its refs behind it.
    Words words{leaf_of(0)};
    unsigned direct_bits = 0;

    Ref first(Key key) const noexcept {
        return words[static_cast<size_t>((key >> 1) >> (kKeyWidth<Key> - 1 - direct_bits))];
    }

    // Without branches: which way a packet goes is what a branch predictor cannot know.
    Ref next(Ref ref, Key key) const noexcept {
        const Node node{words.data() + position_of(ref)};
        const uint64_t up_to = (uint64_t{2} << node.way(key)) - 1;
        const auto way = static_cast<uint32_t>(std::popcount(node.starts() & up_to));
        const uint32_t matching = node.matches(key) ? UINT32_MAX : 0;
        return node.at[Node::kWords + (way & matching)];
    }

    // The line a node begins in and the one where most end. For a leaf that of words[0], which is
    // no miss, rather than a branch. Inlined by force: GCC takes the function for one without
    // effect and leaves its calls out.
    [[gnu::always_inline]] void prefetch(Ref ref) const noexcept {
        const uint32_t* at = words.data() + (position_of(ref) & (0 - (ref & kNodeBit)));
        __builtin_prefetch(at);
        __builtin_prefetch(reinterpret_cast<const char*>(at) + kPrefetchAhead);
    }

    // Ends: every node looks at bits further down than its parent.
    uint32_t lookup(Key key) const noexcept {
        Ref ref = first(key);
        while (!is_leaf(ref))
            ref = next(ref, key);
        return value_of(ref);
    }

    void lookup(std::span<uint32_t> values, std::span<const Key> keys) const noexcept {
        if (words.size() > kCachedWords)
            lookup_together<true>(values, keys);
        else
            lookup_together<false>(values, keys);
    }

    // Step by step for all keys together, so that the processor waits for many misses at once.
    // Those that have arrived leave the list.
    template <bool kPrefetch>
    void lookup_together(std::span<uint32_t> values, std::span<const Key> keys) const noexcept {
        std::array<Ref, kChunk> found;
        std::array<uint32_t, kChunk> open;
        size_t nb_open = 0;
        for (size_t i = 0; i < keys.size(); ++i) {
            found[i] = first(keys[i]);
            if constexpr (kPrefetch)
                prefetch(found[i]);
            open[nb_open] = static_cast<uint32_t>(i);
            nb_open += is_leaf(found[i]) ? 0 : 1;
        }
        while (nb_open > 0) {
            size_t nb_still_open = 0;
            for (size_t n = 0; n < nb_open; ++n) {
                const uint32_t i = open[n];
                found[i] = next(found[i], keys[i]);
                if constexpr (kPrefetch)
                    prefetch(found[i]);
                open[nb_still_open] = i;
                nb_still_open += is_leaf(found[i]) ? 0 : 1;
            }
            nb_open = nb_still_open;
        }
        for (size_t i = 0; i < keys.size(); ++i)
            values[i] = value_of(found[i]);
    }

    size_t memory_bytes() const noexcept { return words.capacity() * sizeof(uint32_t); }
};

// Turns sorted routes into a trie. Works through a list of open refs rather than by recursion.
template <typename Key>
class Builder {
public:
    using Node = NodeOf<Key>;

    explicit Builder(std::vector<Entry<Key>> entries) : entries_{std::move(entries)} {}

    Trie<Key> build() {
        if (entries_.empty())
            return std::move(trie_);
        build_direct();
        while (!open_.empty()) {
            const Open next = open_.back();
            open_.pop_back();
            make_node(next);
        }
        trie_.words.shrink_to_fit();
        return std::move(trie_);
    }

private:
    struct Range {
        uint32_t begin = 0;
        uint32_t end = 0;
    };
    // Entries that share their first `depth` bits and are all longer, under a covering value. They
    // become a node, and the ref to it goes to words[position].
    struct Open {
        uint32_t position;
        uint8_t depth;
        Range range;
        uint32_t covering;
    };
    // One way of a node while it is made: entries longer than the node reaches, or none.
    struct Way {
        uint32_t value = 0;
        Range range;
    };

    void build_direct() {
        const auto bits = static_cast<unsigned>(std::bit_width(entries_.size()));
        unsigned wanted = bits + 1;
        if (sizeof(Key) == sizeof(KeyV4))
            wanted = std::max(wanted, std::min(bits + kSpareBitsV4, kCheapDirectBits));
        trie_.direct_bits = std::clamp(wanted, kMinDirectBits, kMaxDirectBits);
        std::vector<Way> ways(size_t{1} << trie_.direct_bits);
        const Range all{0, static_cast<uint32_t>(entries_.size())};
        spread(ways, all, 0, trie_.direct_bits);
        trie_.words.assign(ways.size(), leaf_of(0));
        for (uint32_t i = 0; i < ways.size(); ++i)
            fill(i, ways[i], trie_.direct_bits);
    }

    // Writes the way's leaf, and notes what is to replace it.
    void fill(uint32_t position, const Way& way, unsigned reach) {
        trie_.words[position] = leaf_of(way.value);
        if (way.range.begin != way.range.end)
            open_.push_back({position, static_cast<uint8_t>(reach), way.range, way.value});
    }

    // Gives each way the value of the longest entry that covers it and the range of the entries
    // that reach beyond. Entries come in order of key, then length: what covers comes first.
    void spread(std::span<Way> ways, Range range, unsigned depth, unsigned stride) const {
        const unsigned reach = depth + stride;
        for (uint32_t i = range.begin; i < range.end; ++i) {
            const Entry<Key>& entry = entries_[i];
            const auto way = static_cast<size_t>((entry.key << depth) >> (kKeyWidth<Key> - stride));
            if (entry.len > reach) {
                Range& inside = ways[way].range;
                inside.begin = inside.begin == inside.end ? i : inside.begin;
                inside.end = i + 1;
                continue;
            }
            const size_t nb_covered = size_t{1} << (reach - entry.len);
            for (size_t n = 0; n < nb_covered; ++n)
                ways[way + n].value = entry.value;
        }
    }

    // Bits that all entries of the range share, so that a node need not look at them. For a single
    // entry the node stands so that its six bits end where the entry does.
    unsigned depth_of(const Open& open) const {
        const Entry<Key>& first = entries_[open.range.begin];
        if (open.range.end - open.range.begin == 1)
            return std::max<unsigned>(open.depth, std::max<unsigned>(first.len, kStride) - kStride);
        // In sorted order no two entries differ earlier than the first and the last; and one that
        // is shorter than what they share has only zeros behind it, so it is the first.
        return std::min<unsigned>(first.len,
                                  common_bits(first.key, entries_[open.range.end - 1].key));
    }

    void make_node(const Open& open) {
        const unsigned depth = depth_of(open);
        std::array<Way, kWays> ways;
        ways.fill({open.covering, {}});
        spread(ways, open.range, depth, kStride);

        Words& words = trie_.words;
        words.resize((words.size() + kNodeAlign - 1) / kNodeAlign * kNodeAlign);
        const auto position = static_cast<uint32_t>(words.size());
        MG_ASSERT(words.size() < UINT32_MAX / 2 - 2 * kWays);
        words[open.position] = node_at(position);
        words.resize(position + Node::kWords + 1);
        words.back() = leaf_of(open.covering);
        uint64_t starts = 0;
        for (size_t i = 0; i < kWays; ++i) {
            if (i > 0 && same_leaf(ways[i - 1], ways[i]))
                continue;
            starts |= uint64_t{1} << i;
            words.push_back(0);
            fill(static_cast<uint32_t>(words.size() - 1), ways[i], depth + kStride);
        }
        Node::store(&words[position], starts, entries_[open.range.begin].key, depth);
    }

    static bool same_leaf(const Way& a, const Way& b) noexcept {
        return a.range.begin == a.range.end && b.range.begin == b.range.end && a.value == b.value;
    }

    std::vector<Entry<Key>> entries_;
    Trie<Key> trie_;
    std::vector<Open> open_;
};

// Sorts, and of equal prefixes keeps the last given.
template <typename Key>
void sort_unique(std::vector<Entry<Key>>& entries) {
    const auto less = [](const Entry<Key>& a, const Entry<Key>& b) {
        return a.key != b.key ? a.key < b.key : a.len < b.len;
    };
    const auto same = [](const Entry<Key>& a, const Entry<Key>& b) {
        return a.key == b.key && a.len == b.len;
    };
    std::stable_sort(entries.begin(), entries.end(), less);
    size_t nb_kept = 0;
    for (const Entry<Key> entry : entries) {
        if (nb_kept > 0 && same(entries[nb_kept - 1], entry))
            --nb_kept;
        entries[nb_kept++] = entry;
    }
    entries.resize(nb_kept);
}

// Leaves out what says the same as the next shorter prefix that covers it.
template <typename Key>
void drop_redundant(std::vector<Entry<Key>>& entries) {
    std::vector<Entry<Key>> covering;  // the chain of prefixes around the current one
    size_t nb_kept = 0;
    for (const Entry<Key> entry : entries) {
        while (!covering.empty() && covering.back().len != 0 &&
               !same_prefix(covering.back().key, entry.key, covering.back().len))
            covering.pop_back();
        if (!covering.empty() && covering.back().value == entry.value)
            continue;
        covering.push_back(entry);
        entries[nb_kept++] = entry;
    }
    entries.resize(nb_kept);
}

template <typename Key>
Trie<Key> make_trie(std::vector<Entry<Key>> entries) {
    drop_redundant(entries);
    return Builder<Key>{std::move(entries)}.build();
}

}  // namespace

struct Fib::Tables {
    Trie<KeyV4> v4;
    Trie<KeyV6> v6;
    size_t nb_routes = 0;
    bool vectors = false;  // sixteen IPv4 addresses at once
};

Fib::Fib(std::unique_ptr<const Tables> tables) noexcept : tables_{std::move(tables)} {}

Fib::~Fib() = default;

std::shared_ptr<const Fib> Fib::build(std::span<const Route> routes, BulkLookup how) {
    std::vector<Entry<KeyV4>> v4;
    std::vector<Entry<KeyV6>> v6;
    for (const Route& route : routes) {
        MG_ASSERT(route.value >= 1 && route.value <= kMaxValue);
        MG_ASSERT(route.prefix.len <= route.prefix.address.bits());
        const Prefix network = route.prefix.network();
        if (network.address.is_v4())
            v4.push_back({key_v4(network.address.v4_be()), route.value, network.len});
        else
            v6.push_back({key_v6(network.address.bytes.data()), route.value, network.len});
    }
    auto tables = std::make_unique<Tables>();
    sort_unique(v4);
    sort_unique(v6);
    tables->nb_routes = v4.size() + v6.size();
    tables->v4 = make_trie(std::move(v4));
    tables->v6 = make_trie(std::move(v6));
    tables->vectors = how == BulkLookup::fastest && has_avx512();
    return std::shared_ptr<const Fib>{new Fib{std::move(tables)}};
}

uint32_t Fib::lookup(const IpAddress& destination) const noexcept {
    switch (destination.family) {
        case Family::ipv4:
            return tables_->v4.lookup(key_v4(destination.v4_be()));
        case Family::ipv6:
            return tables_->v6.lookup(key_v6(destination.bytes.data()));
        case Family::none:
            break;
    }
    return 0;
}

void Fib::lookup_v4(std::span<uint32_t> values,
                    std::span<const uint32_t> destinations_be) const noexcept {
    assert(values.size() == destinations_be.size());
    const Trie<KeyV4>& v4 = tables_->v4;
    if (tables_->vectors) {
        const TrieWords trie{v4.words.data(), 32 - v4.direct_bits};
        look_up_v4_avx512(values.data(), &trie, destinations_be.data(), values.size());
        return;
    }
    std::array<KeyV4, kChunk> keys;
    for (size_t begin = 0; begin < values.size(); begin += kChunk) {
        const size_t n = std::min(kChunk, values.size() - begin);
        for (size_t i = 0; i < n; ++i)
            keys[i] = key_v4(destinations_be[begin + i]);
        v4.lookup(values.subspan(begin, n), std::span{keys}.first(n));
    }
}

void Fib::lookup_v6(std::span<uint32_t> values,
                    std::span<const uint8_t* const> destinations) const noexcept {
    assert(values.size() == destinations.size());
    std::array<KeyV6, kChunk> keys;
    for (size_t begin = 0; begin < values.size(); begin += kChunk) {
        const size_t n = std::min(kChunk, values.size() - begin);
        for (size_t i = 0; i < n; ++i)
            keys[i] = key_v6(destinations[begin + i]);
        tables_->v6.lookup(values.subspan(begin, n), std::span{keys}.first(n));
    }
}

size_t Fib::nb_routes() const noexcept {
    return tables_->nb_routes;
}

size_t Fib::memory_bytes() const noexcept {
    return sizeof(Fib) + sizeof(Tables) + tables_->v4.memory_bytes() + tables_->v6.memory_bytes();
}

}  // namespace meshgate
