// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "control/mesh/protocol/messages.h"

namespace meshgate::mesh {

// Signature and text of a network file as a neighbour gave it: nothing of it is known to be true.
struct FileCandidate {
    IpAddress from;
    uint64_t version = 0;        // as told; what the text says must be the same
    std::vector<uint8_t> bytes;  // kSignatureLen of signature, then the text
};

enum class FileCounter : uint8_t {
    pieces_sent,
    pieces_received,
    requests_sent,
    downloads_complete,
    downloads_given_up,  // silent, contradictory or too slow
    candidates_refused,  // by the owner: alarm
    over_rate,           // pieces asked for beyond what a neighbour may have in a second
    unasked,             // pieces that were not asked for
    from_strangers,      // sender is no neighbour
    nb_counters,
};
constexpr size_t kNbFileCounters = static_cast<size_t>(FileCounter::nb_counters);
const char* to_string(FileCounter counter) noexcept;

// Hands the network file from box to box. Tells neighbours which version is here, fetches a newer
// one in pieces, serves ours.
//
// Fetching begins with one neighbour. If that takes longer than a second and others tell of a newer
// version too, one more is asked each second, up to three at a time: so a member that feeds slowly,
// or tells of a version that does not exist, cannot keep the file back in which it is revoked. A
// neighbour whose file the owner refuses is left alone for a minute, then for two, four, ...
//
// The owner: add and remove neighbours (members with a working link), pass on what they send, and
// after any call send take_messages() and look at take_candidates(); call tick() at
// next_deadline(). For each candidate, verify it and then call either set_current() or refuse().
class FileExchange {
public:
    FileExchange();

    // What this box has now, at start (if any) and whenever it has taken another one.
    void set_current(uint64_t version, std::vector<uint8_t> file, Time now);
    // The candidate is no good: wrong signature, not what its version said, invalid.
    void refuse(const FileCandidate& candidate, Time now);

    // A neighbour that is there already is told our version again.
    void add_neighbor(const IpAddress& node, Time now);
    void remove_neighbor(const IpAddress& node, Time now);

    void receive(const IpAddress& from, const State& state, Time now);
    void receive(const IpAddress& from, const FileRequest& request, Time now);
    void receive(const IpAddress& from, const FilePiece& piece, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    std::vector<Outgoing> take_messages();
    std::vector<FileCandidate> take_candidates();

    uint64_t version() const noexcept { return version_; }
    size_t nb_downloads() const noexcept { return downloads_.size(); }
    uint64_t counter(FileCounter counter) const noexcept {
        return counters_[static_cast<size_t>(counter)];
    }

private:
    struct Neighbor {
        uint64_t told = 0;
        Time next_state{};
        unsigned nb_states = 0;  // sent since our version changed
        unsigned nb_refused = 0;
        unsigned nb_given_up = 0;  // since one was complete
        Time left_alone_until{};
        std::optional<uint64_t> awaits_verdict;  // on a candidate with this version
        TokenBucket pieces;
        TokenBucket states;
    };
    enum class Piece : uint8_t { wanted, asked, here };
    struct Batch {
        uint32_t first;
        uint32_t nb_pieces;
    };
    struct Download {
        uint64_t version = 0;
        Time started;
        Time progress;  // last new piece, or last request after silence
        unsigned nb_silences = 0;
        uint32_t total_len = 0;  // 0: not told yet
        std::vector<uint8_t> bytes;
        std::vector<Piece> pieces;
        size_t nb_here = 0;
        size_t nb_asked = 0;
        uint32_t first_wanted = 0;  // none before it
        std::deque<Batch> batches;  // asked for, oldest first
    };
    using Downloads = std::map<IpAddress, Download>;  // by neighbour

    void tell(const IpAddress& node, Neighbor& neighbor, Time now);
    bool is_worth_asking(const IpAddress& node, const Neighbor& neighbor, Time now) const;
    std::optional<IpAddress> best_neighbor(Time now) const;
    void start_downloads(Time now);
    void begin(Download& download, uint32_t total_len);
    void request(const IpAddress& from, Download& download);
    static void want_again(Download& download, const Batch& batch);
    void take_piece(const IpAddress& from, Download& download, const FilePiece& piece, Time now);
    void give_up(const IpAddress& from, Time now);
    void on_silence(const IpAddress& from, Download& download, Time now);
    void count(FileCounter counter) noexcept { ++counters_[static_cast<size_t>(counter)]; }

    uint64_t version_ = 0;
    std::vector<uint8_t> file_;
    std::map<IpAddress, Neighbor> neighbors_;
    Downloads downloads_;
    Time last_started_{};
    TokenBucket pieces_;  // to all together
    std::vector<Outgoing> messages_;
    std::vector<FileCandidate> candidates_;
    std::array<uint64_t, kNbFileCounters> counters_{};
};

}  // namespace meshgate::mesh
