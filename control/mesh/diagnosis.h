// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "control/api/views.h"

namespace meshgate::mesh {

// Whether a link in the list works.
bool any_up(const std::vector<control::LinkView>& links);

// Why a member is reached as it is: from the verdict, the endpoints and the links of the member.
// Pure. `others_up`: some link to any member works.
control::ExplainView::Cause cause_of(const control::ExplainView& view, bool others_up);
// What the operator may do about the cause.
std::vector<control::ExplainView::Cure> cures_of(const control::ExplainView& view);

}  // namespace meshgate::mesh
