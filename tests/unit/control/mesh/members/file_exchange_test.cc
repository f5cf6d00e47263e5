// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/file_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

namespace {

using namespace std::chrono_literals;

// Any bytes; "valid" when the first says so, and the version is in the next.
std::vector<uint8_t> file_of(uint64_t version, size_t len, bool valid = true) {
    std::vector<uint8_t> file(len);
    for (size_t i = 0; i < len; ++i)
        file[i] = static_cast<uint8_t>(i * 7 + i / 1024 + version);
    file[0] = valid ? 1 : 0;
    file[1] = static_cast<uint8_t>(version);
    return file;
}

// Boxes in a line or a star, each with a FileExchange and an owner that verifies.
class World {
public:
    explicit World(size_t nb_boxes) : boxes(nb_boxes), files(nb_boxes) {
        for (size_t i = 0; i < nb_boxes; ++i)
            give(i, 1, file_of(1, 3000));
    }

    void give(size_t box, uint64_t version, std::vector<uint8_t> file) {
        files[box] = file;
        boxes[box].set_current(version, std::move(file), now);
    }
    void join(size_t a, size_t b) {
        boxes[a].add_neighbor(address(b), now);
        boxes[b].add_neighbor(address(a), now);
    }
    static IpAddress address(size_t box) { return node(static_cast<unsigned>(box) + 1); }

    void run(Time::duration duration) {
        const Time end = now + duration;
        while (now < end) {
            now += 5ms;
            for (size_t i = 0; i < boxes.size(); ++i) {
                if (boxes[i].next_deadline() <= now)
                    boxes[i].tick(now);
                EXPECT_GT(boxes[i].next_deadline(), now) << "tick does what is due";
                for (Outgoing& one : boxes[i].take_messages())
                    send(i, std::move(one));
                judge(i);
            }
            while (!in_flight.empty() && in_flight.begin()->first <= now) {
                const auto flight = std::move(in_flight.begin()->second);
                in_flight.erase(in_flight.begin());
                deliver(flight.first, flight.second);
            }
        }
    }
    // Of all that the box sent since the last call, in bytes.
    size_t sent_by(size_t box) { return std::exchange(sent[box], 0); }

    std::vector<FileExchange> boxes;
    std::vector<std::vector<uint8_t>> files;
    std::map<size_t, bool> feeds_slowly;  // a box whose pieces come one each 400 ms
    double loss = 0;
    Time::duration delay = 20ms;
    Time now = Time{} + 1h;

private:
    void send(size_t from, Outgoing one) {
        const auto bytes = encode(one.message);
        sent[from] += bytes.size();
        if (std::uniform_real_distribution<>{}(random) < loss)
            return;
        Time at = now + delay;
        if (feeds_slowly[from] && std::holds_alternative<FilePiece>(one.message)) {
            slow_until[from] = std::max(slow_until[from], at) + 400ms;
            at = slow_until[from];
        }
        in_flight.emplace(at, std::pair{from, std::move(one)});
    }
    void deliver(size_t from, const Outgoing& one) {
        FileExchange& to = boxes[one.to.bytes[15] - 1U];
        if (const auto* state = std::get_if<State>(&one.message))
            to.receive(address(from), *state, now);
        else if (const auto* request = std::get_if<FileRequest>(&one.message))
            to.receive(address(from), *request, now);
        else
            to.receive(address(from), std::get<FilePiece>(one.message), now);
    }
    void judge(size_t box) {
        for (FileCandidate& one : boxes[box].take_candidates()) {
            const bool valid = one.bytes[0] == 1 && one.bytes[1] == one.version % 256;
            if (!valid)
                boxes[box].refuse(one, now);
            else if (one.version > boxes[box].version())
                give(box, one.version, std::move(one.bytes));
        }
    }

    std::mt19937 random{3};
    std::multimap<Time, std::pair<size_t, Outgoing>> in_flight;
    std::map<size_t, size_t> sent;
    std::map<size_t, Time> slow_until;
};

// One exchange, and neighbours played by the test.
class MeshFileExchange : public testing::Test {
protected:
    MeshFileExchange() {
        exchange.set_current(5, file_of(5, 100'000), now);
        exchange.add_neighbor(kPeer, now);
        exchange.add_neighbor(kOther, now);
        exchange.take_messages();
    }
    template <typename M>
    std::vector<std::pair<IpAddress, M>> sent() {
        std::vector<std::pair<IpAddress, M>> found;
        for (const Outgoing& one : exchange.take_messages()) {
            if (const auto* message = std::get_if<M>(&one.message))
                found.emplace_back(one.to, *message);
        }
        return found;
    }
    void pass(Time::duration time) {
        const Time end = now + time;
        while (exchange.next_deadline() <= end) {
            now = std::max(now, exchange.next_deadline());
            exchange.tick(now);
        }
        now = end;
    }
    static FilePiece piece(const std::vector<uint8_t>& file, uint64_t version, size_t number) {
        const auto start = file.begin() + static_cast<std::ptrdiff_t>(number * kPieceLen);
        const auto len =
            static_cast<std::ptrdiff_t>(std::min(kPieceLen, file.size() - number * kPieceLen));
        return {version,
                static_cast<uint32_t>(file.size()),
                static_cast<uint32_t>(number * kPieceLen),
                {start, start + len}};
    }

    const IpAddress kPeer = node(2);
    const IpAddress kOther = node(3);
    const IpAddress kStranger = node(9);
    Time now = Time{} + 1h;
    FileExchange exchange;
};

}  // namespace

TEST(MeshFileWorld, APushedFileGoesAllAlongTheLine) {
    for (const size_t len : {size_t{65}, size_t{1024}, size_t{1025}, size_t{400'000}}) {
        World world{5};
        for (size_t i = 0; i + 1 < 5; ++i)
            world.join(i, i + 1);
        world.run(1s);
        world.give(0, 2, file_of(2, len));
        world.run(5s);
        for (size_t i = 0; i < 5; ++i)
            EXPECT_EQ(world.files[i], world.files[0]) << len << " at box " << i;
    }
}

TEST(MeshFileWorld, TheLargestFileComesThroughLoss) {
    World world{2};
    world.loss = 0.05;
    world.join(0, 1);
    world.give(0, 2, file_of(2, kMaxFileLen));
    world.run(4s);
    EXPECT_EQ(world.files[1], world.files[0]);
    EXPECT_EQ(world.boxes[1].counter(FileCounter::downloads_given_up), 0U);
}

TEST(MeshFileWorld, LossDelaysItByLittle) {
    World world{5};
    world.loss = 0.2;
    for (size_t i = 0; i + 1 < 5; ++i)
        world.join(i, i + 1);
    world.give(0, 2, file_of(2, 50'000));
    world.run(20s);
    for (size_t i = 0; i < 5; ++i)
        EXPECT_EQ(world.boxes[i].version(), 2U) << i;
}

TEST(MeshFileWorld, APartitionThatHealsCatchesUp) {
    World world{2};
    world.join(0, 1);
    world.loss = 1;
    world.give(0, 2, file_of(2, 300'000));
    world.run(60s);
    world.loss = 0;
    world.join(0, 1);  // the link is back
    world.run(3s);
    EXPECT_EQ(world.files[1], world.files[0]);
}

TEST(MeshFileWorld, SilenceInBetweenIsCheap) {
    World world{2};
    world.join(0, 1);
    world.run(30s);
    world.sent_by(0);
    world.run(100s);
    EXPECT_LE(world.sent_by(0), 11 * 10U);
}

// A member that shall be revoked tells of a version that never comes, or comes too slowly.
TEST(MeshFileWorld, WhoFeedsSlowlyKeepsNothingBack) {
    World world{4};
    for (size_t liar = 1; liar < 3; ++liar) {
        world.feeds_slowly[liar] = true;
        world.give(liar, 200 + liar, file_of(200 + liar, kMaxFileLen, false));
        world.join(0, liar);
    }
    world.run(2s);
    world.give(3, 2, file_of(2, 300'000));
    world.join(0, 3);
    world.run(5s);
    EXPECT_EQ(world.boxes[0].version(), 2U);
    EXPECT_LE(world.boxes[0].nb_downloads(), 3U);
}

TEST(MeshFileWorld, ManySlowFeedersGiveWayInTurn) {
    World world{8};
    for (size_t liar = 1; liar < 7; ++liar) {
        world.feeds_slowly[liar] = true;
        world.give(liar, 200, file_of(200, 2'000'000, false));
        world.join(0, liar);
    }
    world.run(5s);
    world.give(7, 2, file_of(2, 300'000));
    world.join(0, 7);
    world.run(40s);
    EXPECT_EQ(world.boxes[0].version(), 2U);
}

TEST(MeshFileWorld, AWrongFileIsRefusedAndItsSenderLeftAlone) {
    World world{3};
    world.give(1, 200, file_of(200, 10'000, false));
    world.join(0, 1);
    world.run(50s);
    EXPECT_EQ(world.boxes[0].counter(FileCounter::candidates_refused), 1U);
    world.run(20s);
    EXPECT_EQ(world.boxes[0].counter(FileCounter::candidates_refused), 2U) << "after a minute";
    world.run(3600s);
    EXPECT_LE(world.boxes[0].counter(FileCounter::candidates_refused), 7U) << "seldom";
    world.give(2, 3, file_of(3, 10'000));
    world.join(0, 2);
    world.run(1s);
    EXPECT_EQ(world.boxes[0].version(), 3U) << "of another neighbour";
}

TEST_F(MeshFileExchange, TellsOfAChangeAndEveryTenSeconds) {
    exchange.receive(kPeer, State{5}, now);
    exchange.receive(kOther, State{5}, now);
    exchange.set_current(6, file_of(6, 1000), now);
    EXPECT_EQ(sent<State>().size(), 2U);
    exchange.receive(kPeer, State{6}, now);
    pass(4500ms);
    size_t nb_to_other = 0;
    for (const auto& [to, state] : sent<State>()) {
        EXPECT_EQ(state.network_version, 6U);
        nb_to_other += to == kOther ? 1 : 0;
    }
    EXPECT_EQ(nb_to_other, 4U) << "who has not got it is told again";
    pass(60s);
    sent<State>();
    pass(100s);
    EXPECT_LE(sent<State>().size(), 22U);
}

TEST_F(MeshFileExchange, ServesWhatIsAskedAndNoMore) {
    exchange.receive(kPeer, FileRequest{5, 0, 2}, now);
    EXPECT_EQ(sent<FilePiece>().size(), 2U);
    exchange.receive(kPeer, FileRequest{5, 97 * kPieceLen, 64}, now);
    const auto last = sent<FilePiece>();
    ASSERT_EQ(last.size(), 1U);
    EXPECT_TRUE(last[0].second == piece(file_of(5, 100'000), 5, 97));
    exchange.receive(kPeer, FileRequest{5, 98 * kPieceLen, 64}, now);
    EXPECT_TRUE(sent<FilePiece>().empty()) << "behind the end";
    exchange.receive(kStranger, FileRequest{5, 0, 64}, now);
    exchange.receive(kStranger, State{99}, now);
    EXPECT_TRUE(exchange.take_messages().empty());
    EXPECT_EQ(exchange.counter(FileCounter::from_strangers), 2U);
    exchange.receive(kPeer, FileRequest{4, 0, 64}, now);
    const auto states = sent<State>();
    ASSERT_EQ(states.size(), 1U);
    EXPECT_EQ(states[0].second.network_version, 5U);
}

TEST_F(MeshFileExchange, AFloodOfRequestsIsServedAtItsRate) {
    size_t nb_pieces = 0;
    size_t nb_states = 0;
    for (int i = 0; i < 1000; ++i) {
        now += 1ms;
        for (int k = 0; k < 10; ++k) {
            exchange.receive(kPeer, FileRequest{5, 0, 64}, now);
            exchange.receive(kPeer, FileRequest{4, 0, 64}, now);
        }
        for (const Outgoing& one : exchange.take_messages())
            ++(std::holds_alternative<State>(one.message) ? nb_states : nb_pieces);
    }
    EXPECT_LE(nb_pieces, 2500U);
    EXPECT_LE(nb_states, 4U);
    exchange.receive(kOther, FileRequest{5, 0, 64}, now);
    EXPECT_EQ(sent<FilePiece>().size(), 64U) << "others are served meanwhile";
}

TEST_F(MeshFileExchange, OnlyNewerFilesAreFetched) {
    exchange.receive(kPeer, State{5}, now);
    exchange.receive(kPeer, State{4}, now);
    EXPECT_TRUE(sent<FileRequest>().empty());
    exchange.receive(kPeer, State{6}, now);
    const auto requests = sent<FileRequest>();
    ASSERT_EQ(requests.size(), 1U);
    EXPECT_EQ(requests[0].second.version, 6U);
    exchange.set_current(6, file_of(6, 1000), now);  // meanwhile, by another way
    EXPECT_EQ(exchange.nb_downloads(), 0U);
}

TEST_F(MeshFileExchange, ASilentNeighbourIsAskedThreeTimesThenAnother) {
    exchange.receive(kPeer, State{6}, now);
    pass(400ms);
    exchange.receive(kOther, State{6}, now);
    pass(500ms);
    for (const auto& [to, request] : sent<FileRequest>())
        EXPECT_EQ(to, kPeer);
    pass(600ms);
    const auto requests = sent<FileRequest>();
    EXPECT_TRUE(std::any_of(requests.begin(), requests.end(),
                            [&](const auto& one) { return one.first == kOther; }));
    EXPECT_EQ(exchange.counter(FileCounter::downloads_given_up), 1U);
}

TEST_F(MeshFileExchange, PiecesThatNobodyAskedForChangeNothing) {
    const auto file = file_of(6, 200'000);
    exchange.receive(kPeer, piece(file, 6, 0), now);
    exchange.receive(kPeer, State{6}, now);
    exchange.receive(kOther, piece(file, 6, 0), now);   // not from whom it was asked
    exchange.receive(kPeer, piece(file, 7, 0), now);    // another version
    exchange.receive(kPeer, piece(file, 6, 100), now);  // not this one yet
    EXPECT_EQ(exchange.counter(FileCounter::unasked), 4U);
    exchange.receive(kPeer, piece(file, 6, 0), now);
    exchange.receive(kPeer, piece(file, 6, 0), now);  // twice
    EXPECT_EQ(exchange.counter(FileCounter::unasked), 5U);
    EXPECT_EQ(exchange.nb_downloads(), 1U);
    exchange.receive(kPeer, piece(file_of(6, 100'000), 6, 1), now);  // another length now
    EXPECT_EQ(exchange.nb_downloads(), 0U);
    EXPECT_TRUE(exchange.take_candidates().empty());
}

TEST_F(MeshFileExchange, WithoutAVerdictItIsNotFetchedTwice) {
    const auto file = file_of(6, 1000);
    exchange.receive(kPeer, State{6}, now);
    exchange.receive(kPeer, piece(file, 6, 0), now);
    const auto candidates = exchange.take_candidates();
    ASSERT_EQ(candidates.size(), 1U);
    EXPECT_EQ(candidates[0].bytes, file);
    sent<FileRequest>();
    exchange.receive(kPeer, State{6}, now);
    pass(30s);
    EXPECT_TRUE(sent<FileRequest>().empty());
    exchange.receive(kPeer, State{7}, now);
    exchange.set_current(6, file, now);
    EXPECT_EQ(sent<FileRequest>().size(), 1U) << "the next version, though";
}

}  // namespace meshgate::mesh::test
