// SPDX-License-Identifier: Apache-2.0
// A multibit trie in the manner of poptrie (Asai and Ohara, SIGCOMM 2015): a table indexed by the
// first bits, then nodes of 64 ways whose children are packed and counted out with popcount. In
// place of chains of nodes with one way each there is a record that compares many bits at once,
// so that host routes in IPv6 cost a few steps and not twenty. Figures: docs/performance.md.
#include "dataplane/api/fib.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/assert.h"

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

// What a step of a look-up leads to: a leaf with its value, a node, or a skip with their position.
using Ref = uint32_t;
enum RefKind : Ref { kLeaf = 0, kNode = 1, kSkip = 2, kKindMask = 3 };
constexpr unsigned kKindBits = 2;

constexpr Ref leaf_of(uint32_t value) noexcept {
    return value << kKindBits | kLeaf;
}

constexpr unsigned kStride = 6;
constexpr size_t kWays = size_t{1} << kStride;

// Way i leads to refs[base + (number of set bits of `starts` up to and with bit i) - 1]: a bit is
// set where a way's ref differs from that of the way before it.
struct alignas(16) Node {
    uint64_t starts;
    uint32_t base;
    uint8_t depth;  // bits in front of the six that this node looks at
};

// Leads on to `match` where the key's first `len` bits are those of `key`, else to `other`.
template <typename Key>
struct Skip {
    Key key;
    Ref match;
    Ref other;
    uint8_t len;  // 1 .. bits of the address
};

template <typename Key>
struct Entry {
    Key key;
    uint32_t value;
    uint8_t len;
};

// What is shorter is not worth a skip: a node does it as well.
constexpr unsigned kMinSkip = kStride;

// The table over the first bits grows with the number of routes; 2^20 entries of four bytes are
// enough that a full internet table needs one node behind it.
constexpr unsigned kMinDirectBits = 4;
constexpr unsigned kMaxDirectBits = 18;

template <typename Key>
constexpr unsigned kKeyWidth = sizeof(Key) * 8;

template <typename Key>
unsigned bits_at(Key key, unsigned depth) noexcept {
    return static_cast<unsigned>((key << depth) >> (kKeyWidth<Key> - kStride));
}

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

template <typename Key>
struct Trie {
    std::vector<Ref> direct{leaf_of(0)};
    unsigned direct_bits = 0;
    std::vector<Node> nodes;
    std::vector<Skip<Key>> skips;
    std::vector<Ref> refs;

    Ref first_ref(Key key) const noexcept {
        // Two shifts, because one by the full width would be undefined with no direct bits.
        return direct[static_cast<size_t>((key >> 1) >> (kKeyWidth<Key> - 1 - direct_bits))];
    }

    Ref next_ref(Ref ref, Key key) const noexcept {
        if ((ref & kKindMask) == kNode) {
            const Node& node = nodes[ref >> kKindBits];
            const uint64_t up_to = (uint64_t{2} << bits_at(key, node.depth)) - 1;
            const auto position = static_cast<unsigned>(std::popcount(node.starts & up_to));
            return refs[node.base + position - 1];
        }
        const Skip<Key>& skip = skips[ref >> kKindBits];
        return same_prefix(key, skip.key, skip.len) ? skip.match : skip.other;
    }

    // Ends: every step looks at bits further down, and there are at most 128.
    uint32_t lookup(Key key) const noexcept {
        Ref ref = first_ref(key);
        while ((ref & kKindMask) != kLeaf)
            ref = next_ref(ref, key);
        return ref >> kKindBits;
    }

    size_t memory_bytes() const noexcept {
        return direct.size() * sizeof(Ref) + nodes.size() * sizeof(Node) +
               skips.size() * sizeof(Skip<Key>) + refs.size() * sizeof(Ref);
    }
};

// Turns sorted routes into a trie. Works through a list of open refs rather than by recursion.
template <typename Key>
class Builder {
public:
    explicit Builder(std::vector<Entry<Key>> entries) : entries_{std::move(entries)} {}

    Trie<Key> build() {
        if (entries_.empty())
            return std::move(trie_);
        build_direct();
        while (!open_.empty()) {
            const Open next = open_.back();
            open_.pop_back();
            resolve(next);
        }
        trie_.direct.shrink_to_fit();
        trie_.nodes.shrink_to_fit();
        trie_.skips.shrink_to_fit();
        trie_.refs.shrink_to_fit();
        return std::move(trie_);
    }

private:
    // Where a ref is to be written. An index and not a pointer: the vectors grow.
    enum class Place : uint8_t { direct, refs, skip_match };
    struct Range {
        uint32_t begin = 0;
        uint32_t end = 0;
    };
    // Entries that share their first `depth` bits and are all longer, under a covering value.
    struct Open {
        Place place;
        uint8_t depth;
        uint32_t position;
        Range range;
        uint32_t covering;
    };
    // One way of a node while it is made: entries longer than the node reaches, or none.
    struct Way {
        uint32_t value = 0;
        Range range;
    };

    void build_direct() {
        const auto wanted = static_cast<unsigned>(std::bit_width(entries_.size())) + 1;
        trie_.direct_bits = std::clamp(wanted, kMinDirectBits, kMaxDirectBits);
        std::vector<Way> ways(size_t{1} << trie_.direct_bits);
        const Range all{0, static_cast<uint32_t>(entries_.size())};
        spread(ways, all, 0, trie_.direct_bits);
        trie_.direct.assign(ways.size(), leaf_of(0));
        for (uint32_t i = 0; i < ways.size(); ++i) {
            trie_.direct[i] = leaf_of(ways[i].value);
            if (ways[i].range.begin != ways[i].range.end)
                open_.push_back({Place::direct, static_cast<uint8_t>(trie_.direct_bits), i,
                                 ways[i].range, ways[i].value});
        }
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

    void resolve(const Open& open) {
        Range range = open.range;
        uint32_t covering = open.covering;
        const unsigned common = common_len(range);
        if (common < open.depth + kMinSkip && range.end - range.begin > 1)
            return put(open, make_node(range, open.depth, covering));
        trie_.skips.push_back(
            {entries_[range.begin].key, 0, leaf_of(covering), static_cast<uint8_t>(common)});
        const auto position = static_cast<uint32_t>(trie_.skips.size() - 1);
        put(open, position << kKindBits | kSkip);
        // The one entry that ends right here, if any, sorts first.
        if (entries_[range.begin].len == common)
            covering = entries_[range.begin++].value;
        trie_.skips[position].match = leaf_of(covering);
        if (range.begin != range.end)
            open_.push_back(
                {Place::skip_match, static_cast<uint8_t>(common), position, range, covering});
    }

    // How many bits all entries of the range have in common.
    unsigned common_len(Range range) const {
        // In sorted order no two entries differ earlier than the first and the last; and one that
        // is shorter than what they share has only zeros behind it, so it is the first.
        const Entry<Key>& first = entries_[range.begin];
        return std::min<unsigned>(first.len, common_bits(first.key, entries_[range.end - 1].key));
    }

    Ref make_node(Range range, uint8_t depth, uint32_t covering) {
        std::array<Way, kWays> ways;
        ways.fill({covering, {}});
        spread(ways, range, depth, kStride);
        Node node{0, static_cast<uint32_t>(trie_.refs.size()), depth};
        bool after_leaf = false;
        for (size_t i = 0; i < kWays; ++i) {
            const bool leaf = ways[i].range.begin == ways[i].range.end;
            const Ref ref = leaf_of(ways[i].value);
            if (leaf && after_leaf && trie_.refs.back() == ref)
                continue;
            node.starts |= uint64_t{1} << i;
            if (!leaf)
                open_.push_back({Place::refs, static_cast<uint8_t>(depth + kStride),
                                 static_cast<uint32_t>(trie_.refs.size()), ways[i].range,
                                 ways[i].value});
            trie_.refs.push_back(ref);
            after_leaf = leaf;
        }
        trie_.nodes.push_back(node);
        return static_cast<Ref>(trie_.nodes.size() - 1) << kKindBits | kNode;
    }

    void put(const Open& open, Ref ref) {
        switch (open.place) {
            case Place::direct:
                trie_.direct[open.position] = ref;
                break;
            case Place::refs:
                trie_.refs[open.position] = ref;
                break;
            case Place::skip_match:
                trie_.skips[open.position].match = ref;
                break;
        }
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
};

Fib::Fib(std::unique_ptr<const Tables> tables) noexcept : tables_{std::move(tables)} {}

Fib::~Fib() = default;

std::shared_ptr<const Fib> Fib::build(std::span<const Route> routes) {
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
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = tables_->v4.lookup(key_v4(destinations_be[i]));
}

void Fib::lookup_v6(std::span<uint32_t> values,
                    std::span<const uint8_t* const> destinations) const noexcept {
    assert(values.size() == destinations.size());
    for (size_t i = 0; i < values.size(); ++i)
        values[i] = tables_->v6.lookup(key_v6(destinations[i]));
}

size_t Fib::nb_routes() const noexcept {
    return tables_->nb_routes;
}

size_t Fib::memory_bytes() const noexcept {
    return sizeof(Fib) + sizeof(Tables) + tables_->v4.memory_bytes() + tables_->v6.memory_bytes();
}

}  // namespace meshgate
