// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/zeroed_array.h"

#include <gtest/gtest.h>

#include <fstream>

#include "dataplane/worker/activity.h"

namespace meshgate {
namespace {

uint64_t resident_pages() {
    uint64_t size = 0;
    uint64_t resident = 0;
    std::ifstream{"/proc/self/statm"} >> size >> resident;
    return resident;
}

TEST(ZeroedArray, CostsMemoryOnlyWhereWritten) {
    const uint64_t before = resident_pages();
    const Result<ZeroedArray<PeerActivity>> array = ZeroedArray<PeerActivity>::create(1 << 20);
    ASSERT_TRUE(array);
    (*array)[(1 << 20) - 1].rx_packets.add(1);
    EXPECT_EQ((*array)[(1 << 20) - 1].rx_packets.get(), 1U);
    EXPECT_LT(resident_pages(), before + 64) << "64 MiB were asked for";
}

}  // namespace
}  // namespace meshgate
