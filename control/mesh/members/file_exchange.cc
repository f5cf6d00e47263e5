// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/file_exchange.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/names.h"

namespace meshgate::mesh {

namespace {

// A box tells each neighbour the version it has.
constexpr auto kStateInterval = std::chrono::seconds{10};
// After a change, until the neighbour tells the same: one of these may be lost.
constexpr auto kStateRepetition = std::chrono::seconds{1};
constexpr unsigned kMaxRepetitions = 5;  // repetitions after a change

// A request without an answer for so long is repeated.
constexpr auto kSilence = std::chrono::milliseconds{500};
constexpr unsigned kMaxSilences = 3;  // then the download is given up
constexpr size_t kMaxDownloads = 3;   // of the same version, from several neighbours, at once
constexpr auto kNextDownload = std::chrono::seconds{1};  // between the starts of two downloads
// How long one may take when there are others to ask, and at all.
constexpr auto kMaxDuration = std::chrono::seconds{10};
// The same, where nobody else has the file.
constexpr auto kMaxDurationAlone = std::chrono::minutes{10};
constexpr uint32_t kBatch = 32;   // pieces of one request
constexpr size_t kMaxAsked = 96;  // pieces on their way at once

// Backoff of a neighbour that went silent; doubles.
constexpr auto kAfterSilence = std::chrono::seconds{10};
// Backoff of a neighbour whose file was refused; doubles.
constexpr auto kAfterRefusal = std::chrono::seconds{60};
constexpr unsigned kMaxDoublings = 6;  // of either backoff

// Of each neighbour; a whole file of 4 MiB in two seconds.
constexpr double kPiecesPerSecond = 2048;
constexpr double kPiecesAtOnce = 256;           // burst of the rate above
constexpr double kAllPiecesPerSecond = 32'768;  // to all neighbours together
constexpr double kAllPiecesAtOnce = 2048;       // burst of the rate above

size_t nb_pieces_of(size_t len) {
    return (len + kPieceLen - 1) / kPieceLen;
}

}  // namespace

FileExchange::FileExchange() : pieces_{kAllPiecesPerSecond, kAllPiecesAtOnce} {}

void FileExchange::set_current(uint64_t version, std::vector<uint8_t> file, Time now) {
    MG_ASSERT(file.size() > kSignatureLen && file.size() <= kMaxFileLen);
    version_ = version;
    file_ = std::move(file);
    std::erase_if(downloads_, [&](const auto& one) { return one.second.version <= version; });
    for (auto& [node, neighbor] : neighbors_) {
        if (neighbor.awaits_verdict && *neighbor.awaits_verdict <= version)
            neighbor.awaits_verdict.reset();
        neighbor.nb_states = 0;
        tell(node, neighbor, now);
    }
    start_downloads(now);
}

void FileExchange::refuse(const FileCandidate& candidate, Time now) {
    count(FileCounter::candidates_refused);
    const auto found = neighbors_.find(candidate.from);
    if (found == neighbors_.end())
        return;
    Neighbor& neighbor = found->second;
    neighbor.awaits_verdict.reset();
    neighbor.left_alone_until =
        now + kAfterRefusal * (1U << std::min(neighbor.nb_refused, kMaxDoublings));
    ++neighbor.nb_refused;
    start_downloads(now);
}

void FileExchange::add_neighbor(const IpAddress& node, Time now) {
    Neighbor& neighbor =
        neighbors_
            .try_emplace(node,
                         Neighbor{.pieces = {kPiecesPerSecond, kPiecesAtOnce}, .states = {1, 2}})
            .first->second;
    neighbor.nb_states = 0;
    tell(node, neighbor, now);
}

void FileExchange::remove_neighbor(const IpAddress& node, Time now) {
    neighbors_.erase(node);
    downloads_.erase(node);
    start_downloads(now);
}

void FileExchange::tell(const IpAddress& node, Neighbor& neighbor, Time now) {
    const bool again = neighbor.told != version_ && neighbor.nb_states < kMaxRepetitions;
    ++neighbor.nb_states;
    neighbor.next_state = now + (again ? kStateRepetition : kStateInterval);
    messages_.push_back({node, State{version_}});
}

// ---- who fetches from whom ----

bool FileExchange::is_worth_asking(const IpAddress& node, const Neighbor& neighbor,
                                   Time now) const {
    return neighbor.told > version_ && !neighbor.awaits_verdict &&
           neighbor.left_alone_until <= now && !downloads_.contains(node);
}

// The one that failed least often, of these the one with the highest version.
std::optional<IpAddress> FileExchange::best_neighbor(Time now) const {
    std::optional<IpAddress> best;
    std::pair<unsigned, uint64_t> best_rank;
    for (const auto& [node, neighbor] : neighbors_) {
        const std::pair rank{neighbor.nb_refused + neighbor.nb_given_up,
                             UINT64_MAX - neighbor.told};
        if (!is_worth_asking(node, neighbor, now) || (best && best_rank <= rank))
            continue;
        best = node;
        best_rank = rank;
    }
    return best;
}

void FileExchange::start_downloads(Time now) {
    if (!downloads_.empty() && now - last_started_ < kNextDownload)
        return;
    const auto node = best_neighbor(now);
    if (!node)
        return;
    if (downloads_.size() >= kMaxDownloads) {
        const auto oldest = std::min_element(
            downloads_.begin(), downloads_.end(),
            [](const auto& a, const auto& b) { return a.second.started < b.second.started; });
        if (now - oldest->second.started < kMaxDuration)
            return;
        give_up(IpAddress{oldest->first}, now);
    }
    last_started_ = now;
    Download& download = downloads_[*node];
    download.version = neighbors_.at(*node).told;
    download.started = now;
    download.progress = now;
    request(*node, download);
}

void FileExchange::give_up(const IpAddress& from, Time now) {
    count(FileCounter::downloads_given_up);
    downloads_.erase(from);
    Neighbor& neighbor = neighbors_.at(from);
    ++neighbor.nb_given_up;
    neighbor.left_alone_until = now + kAfterSilence;
}

// ---- one download ----

void FileExchange::begin(Download& download, uint32_t total_len) {
    download.total_len = total_len;
    download.bytes.resize(total_len);
    download.pieces.assign(nb_pieces_of(total_len), Piece::wanted);
    const auto nb_asked = std::min<uint32_t>(kBatch, static_cast<uint32_t>(download.pieces.size()));
    std::fill_n(download.pieces.begin(), nb_asked, Piece::asked);
    download.nb_asked = nb_asked;
    download.first_wanted = nb_asked;
    download.batches.push_back({0, nb_asked});
}

// Asks for what is wanted, as long as not too much is on its way.
void FileExchange::request(const IpAddress& from, Download& download) {
    const auto send = [&](uint32_t first, uint32_t nb_pieces) {
        count(FileCounter::requests_sent);
        messages_.push_back(
            {from, FileRequest{download.version, static_cast<uint32_t>(first * kPieceLen),
                               static_cast<uint16_t>(nb_pieces)}});
    };
    if (download.total_len == 0) {
        send(0, kBatch);
        return;
    }
    const auto nb_pieces = static_cast<uint32_t>(download.pieces.size());
    while (download.nb_asked + kBatch <= kMaxAsked) {
        uint32_t first = download.first_wanted;
        while (first < nb_pieces && download.pieces[first] != Piece::wanted)
            ++first;
        uint32_t end = first;
        while (end < nb_pieces && end - first < kBatch && download.pieces[end] == Piece::wanted)
            download.pieces[end++] = Piece::asked;
        download.first_wanted = end;
        if (first == end)
            return;
        download.nb_asked += end - first;
        download.batches.push_back({first, end - first});
        send(first, end - first);
    }
}

void FileExchange::want_again(Download& download, const Batch& batch) {
    for (uint32_t i = batch.first; i < batch.first + batch.nb_pieces; ++i) {
        if (download.pieces[i] != Piece::asked)
            continue;
        download.pieces[i] = Piece::wanted;
        --download.nb_asked;
        download.first_wanted = std::min(download.first_wanted, i);
    }
}

void FileExchange::take_piece(const IpAddress& from, Download& download, const FilePiece& piece,
                              Time now) {
    const auto number = static_cast<uint32_t>(piece.offset / kPieceLen);
    if (download.pieces[number] != Piece::asked) {
        count(FileCounter::unasked);
        return;
    }
    std::copy(piece.bytes.begin(), piece.bytes.end(),
              download.bytes.begin() + static_cast<std::ptrdiff_t>(piece.offset));
    download.pieces[number] = Piece::here;
    --download.nb_asked;
    ++download.nb_here;
    download.progress = now;
    download.nb_silences = 0;
    // Batches are served in order. What is missing of the one before last is lost, and asked for
    // again at once.
    const auto holds = [number](const Batch& batch) {
        return number >= batch.first && number < batch.first + batch.nb_pieces;
    };
    const auto last = std::find_if(download.batches.rbegin(), download.batches.rend(), holds);
    for (auto newer = download.batches.rend() - last; newer > 2; --newer) {
        want_again(download, download.batches.front());
        download.batches.pop_front();
    }
    if (download.nb_here < download.pieces.size()) {
        request(from, download);
        return;
    }
    count(FileCounter::downloads_complete);
    candidates_.push_back({from, download.version, std::move(download.bytes)});
    Neighbor& neighbor = neighbors_.at(from);
    neighbor.awaits_verdict = download.version;
    neighbor.nb_given_up = 0;
    downloads_.erase(from);
}

void FileExchange::on_silence(const IpAddress& from, Download& download, Time now) {
    if (++download.nb_silences >= kMaxSilences) {
        give_up(from, now);
        return;
    }
    download.progress = now;
    for (const Batch& batch : std::exchange(download.batches, {}))
        want_again(download, batch);
    request(from, download);
}

// ---- what neighbours say ----

void FileExchange::receive(const IpAddress& from, const State& state, Time now) {
    const auto found = neighbors_.find(from);
    if (found == neighbors_.end()) {
        count(FileCounter::from_strangers);
        return;
    }
    found->second.told = state.network_version;
    start_downloads(now);
}

void FileExchange::receive(const IpAddress& from, const FileRequest& request, Time now) {
    const auto found = neighbors_.find(from);
    if (found == neighbors_.end()) {
        count(FileCounter::from_strangers);
        return;
    }
    Neighbor& neighbor = found->second;
    if (request.version != version_) {
        if (neighbor.states.take(now))
            messages_.push_back({from, State{version_}});
        return;
    }
    const size_t end =
        std::min(file_.size(), request.offset + size_t{request.nb_pieces} * kPieceLen);
    for (size_t offset = request.offset; offset < end; offset += kPieceLen) {
        if (!neighbor.pieces.take(now) || !pieces_.take(now)) {
            count(FileCounter::over_rate);
            return;
        }
        const auto start = file_.begin() + static_cast<std::ptrdiff_t>(offset);
        const auto len = static_cast<std::ptrdiff_t>(std::min(kPieceLen, file_.size() - offset));
        count(FileCounter::pieces_sent);
        messages_.push_back({from, FilePiece{version_, static_cast<uint32_t>(file_.size()),
                                             static_cast<uint32_t>(offset),
                                             std::vector<uint8_t>(start, start + len)}});
    }
}

void FileExchange::receive(const IpAddress& from, const FilePiece& piece, Time now) {
    const auto found = downloads_.find(from);
    if (found == downloads_.end() || found->second.version != piece.version) {
        count(FileCounter::unasked);
        return;
    }
    count(FileCounter::pieces_received);
    Download& download = found->second;
    if (download.total_len == 0)
        begin(download, piece.total_len);
    if (download.total_len != piece.total_len)
        give_up(from, now);
    else
        take_piece(from, download, piece, now);
    start_downloads(now);
}

// ---- time ----

void FileExchange::tick(Time now) {
    for (auto& [node, neighbor] : neighbors_) {
        if (neighbor.next_state <= now)
            tell(node, neighbor, now);
    }
    for (auto it = downloads_.begin(); it != downloads_.end();) {
        const auto one = it++;  // it may be given up
        if (one->second.progress + kSilence <= now)
            on_silence(IpAddress{one->first}, one->second, now);
        else if (one->second.started + kMaxDurationAlone <= now)
            give_up(IpAddress{one->first}, now);
    }
    start_downloads(now);
}

Time FileExchange::next_deadline() const noexcept {
    Time next = kNever;
    for (const auto& [node, neighbor] : neighbors_) {
        next = std::min(next, neighbor.next_state);
        if (neighbor.told <= version_ || neighbor.awaits_verdict || downloads_.contains(node))
            continue;
        // When it may be asked, and there is room for it.
        Time asked = neighbor.left_alone_until;
        if (!downloads_.empty())
            asked = std::max(asked, last_started_ + kNextDownload);
        if (downloads_.size() >= kMaxDownloads)
            asked = std::max(asked, last_started_ + kMaxDuration);
        next = std::min(next, asked);
    }
    for (const auto& [node, download] : downloads_)
        next = std::min({next, download.progress + kSilence, download.started + kMaxDurationAlone});
    return next;
}

std::vector<Outgoing> FileExchange::take_messages() {
    return std::exchange(messages_, {});
}

std::vector<FileCandidate> FileExchange::take_candidates() {
    return std::exchange(candidates_, {});
}

const char* to_string(FileCounter counter) noexcept {
    constexpr auto kNames = names_of<kNbFileCounters>(
        {"pieces_sent", "pieces_received", "requests_sent", "downloads_complete",
         "downloads_given_up", "candidates_refused", "over_rate", "unasked", "from_strangers"});
    return kNames[static_cast<size_t>(counter)];
}

}  // namespace meshgate::mesh
