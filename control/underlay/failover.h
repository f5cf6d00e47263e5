// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/time.h"
#include "control/underlay/choose_link.h"
#include "dataplane/api/keypair.h"

namespace meshgate::control {

// Which gateways a stock peer's datagrams keep away from, and when the peer is moved back.
//
// A port may be up, and its gateway answer, while nothing gets through: the evidence is the peer's
// own silence. An initiation that nothing answered makes the next one leave by another gateway; the
// first that was left is the peer's home. From time to time one handshake is tried by way of home
// while data stays where it is; its success brings the peer back. Trials that fail come ever less
// often (backoff), and so do those of a home that was left again soon after (hysteresis).
class Failover {
public:
    enum class Route : uint8_t {
        present,   // as the peer's data
        rechosen,  // a gateway was just added to those to avoid: choose anew
        home,      // a trial
    };
    // An initiation is about to leave by `present`.
    Route on_initiation(PeerId peer, const NextHop& present, Time now);
    // The peer keeps away from this gateway, for another reason than its silence.
    void leave(PeerId peer, const NextHop& gateway, Time now);
    // The peer came in elsewhere, at a metered port; this gateway would cost less and is tried now
    // and then. Nothing for a peer that keeps away from a gateway already.
    void prefer(PeerId peer, const NextHop& gateway, Time now);
    // There was no other gateway than those to avoid: none is avoided any more.
    void give_in(PeerId peer);
    // A handshake of the peer succeeded. True when it was the trial: a response answers the last
    // initiation, so that the peer is home from now on.
    bool on_handshake(PeerId peer, Initiator initiator, Time now);
    // Authenticated packets of the peer come in by this port. True: that is its home, where it is
    // from now on.
    bool on_heard_at(PeerId peer, PortId port, Time now);
    void forget(PeerId peer);

    std::span<const NextHop> avoided(PeerId peer) const;
    // Null: the peer was not moved.
    const NextHop* home_of(PeerId peer) const;

    // Peers whose home may be worth a trial now; each must be told try_home() or wait().
    std::vector<PeerId> take_due(Time now);
    // The next initiation is the trial.
    void try_home(PeerId peer);
    // Its home is not usable at present.
    void wait(PeerId peer, Time now);
    Time next_deadline() const noexcept;

    // Peers that had to leave their home and answer by another port, by the home's.
    std::map<PortId, size_t> nb_moved() const;

private:
    enum class Trial : uint8_t { none, begins, sent };
    struct State {
        std::vector<NextHop> avoided;  // the first is home
        unsigned nb_unanswered = 0;    // initiations by the present gateway
        bool answered = false;         // since it was moved
        bool chose = false;            // it went elsewhere itself
        Trial trial = Trial::none;
        Time due = kNever;
        Time::duration backoff{};
        Time returned{};
    };

    void come_home(PeerId peer, State& state, Time now);
    void set_due(PeerId peer, State& state, Time due);

    std::map<PeerId, State> peers_;
    std::set<std::pair<Time, PeerId>> due_;
};

}  // namespace meshgate::control
