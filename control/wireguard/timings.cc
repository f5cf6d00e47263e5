// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/timings.h"

namespace meshgate::wireguard {

Result<void> Timings::validate() const {
    if (rekey_timeout_ns == 0 || keepalive_timeout_ns == 0)
        return fail("rekey timeout and keepalive timeout must not be zero");
    if (max_initiations == 0)
        return fail("at least one initiation must be allowed");
    if (rekey_timeout_jitter_ns > rekey_timeout_ns)
        return fail("the jitter must not exceed the rekey timeout");
    if (reject_after_time_ns <= keepalive_timeout_ns + rekey_timeout_ns)
        return fail("sessions must live longer than keepalive and rekey timeout together");
    if (rekey_after_time_ns == 0 || rekey_after_time_ns > rekey_on_receive_ns())
        return fail("sessions must be renewed before their last chance to be");
    if (zeroize_after_time_ns < reject_after_time_ns)
        return fail("keys must not be wiped while they are valid");
    if (rekey_after_messages == 0 || rekey_after_messages > kRekeyAfterMessages)
        return fail("sessions must be renewed after 1 to 2^60 messages");
    return {};
}

}  // namespace meshgate::wireguard
