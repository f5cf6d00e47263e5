// SPDX-License-Identifier: Apache-2.0
#include "control/api/views.h"

namespace meshgate::control {

const char* to_string(SessionState state) noexcept {
    switch (state) {
        case SessionState::none:
            return "none";
        case SessionState::handshaking:
            return "handshaking";
        case SessionState::up:
            return "up";
        case SessionState::expired:
            return "expired";
    }
    return "none";
}

const char* to_string(ReloadOutcome outcome) noexcept {
    switch (outcome) {
        case ReloadOutcome::applied:
            return "applied";
        case ReloadOutcome::unchanged:
            return "unchanged";
        case ReloadOutcome::needs_restart:
            return "needs_restart";
        case ReloadOutcome::refused:
            return "refused";
    }
    return "refused";
}

}  // namespace meshgate::control
