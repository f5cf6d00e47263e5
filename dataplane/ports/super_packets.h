// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/time.h"
#include "base/unique_fd.h"

namespace meshgate {

// The other end of a veth pair may join segments to super-packets, which the ring of af_packet
// cuts. With an XDP program on our end the kernel takes them apart: TCP goes from nothing to 1.7
// Gbit/s, but a sixth below what hosts reach that make no super-packets. Hence it is attached when
// frames are cut, and taken off now and then to see whether they still would be.
class SuperPacketGuard {
public:
    enum class Change : uint8_t { none, attached, detached };

    // `nb_cut_frames`: that the port received before it came to this interface.
    SuperPacketGuard(unsigned interface_index, uint64_t nb_cut_frames) noexcept
        : interface_index_{interface_index}, nb_seen_{nb_cut_frames} {}

    // `nb_cut_frames`: that the port received so far.
    Change tick(Time now, uint64_t nb_cut_frames);
    // The other end may be another host now.
    void start_over() noexcept;
    bool attached() const noexcept { return static_cast<bool>(program_); }

private:
    unsigned interface_index_;
    UniqueFd program_;
    uint64_t nb_seen_;  // cut frames up to the last change
    Time next_trial_{};
    Time::duration trial_interval_{};
};

}  // namespace meshgate
