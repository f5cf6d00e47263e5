// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace meshgate {

// A short queue (pfifo_fast) between a packet socket and an interface that has none of its own, as
// veth and macvlan. Without it their refusal of one frame, say one that is longer than the other
// end's MTU, reaches the socket, which then offers that frame again and again for ever: nothing
// behind it is sent any more, PACKET_LOSS or not (tpacket_snd() in Linux takes every refusal for
// congestion; 6.18 does, and since 6.6 veth says when it drops). A queue answers for itself.
class QueueDiscipline {
public:
    // Leaves a queue discipline that somebody has configured as it is.
    static Result<QueueDiscipline> add(unsigned interface_index);

    QueueDiscipline(QueueDiscipline&& other) noexcept;
    QueueDiscipline& operator=(QueueDiscipline&&) = delete;
    ~QueueDiscipline();  // takes away what was added

private:
    explicit QueueDiscipline(unsigned interface_index) noexcept
        : interface_index_{interface_index} {}

    unsigned interface_index_;  // 0: nothing of ours there
};

}  // namespace meshgate
