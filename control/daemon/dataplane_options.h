// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/model.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// The same wishes in the dataplane's words.
DataplaneOptions dataplane_options(const config::Model& model);

}  // namespace meshgate::control
