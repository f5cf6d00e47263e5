// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/header_scan.h"

namespace meshgate {

const uint8_t kNoHeader[kHeaderBytes] = {};

}  // namespace meshgate
