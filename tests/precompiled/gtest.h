// SPDX-License-Identifier: Apache-2.0
// As base/precompiled/standard.h, for programs of several test files.

#include "base/precompiled/standard.h"

#include <gtest/gtest.h>
#include <fstream>
#include <sstream>
