// SPDX-License-Identifier: Apache-2.0
// As base/precompiled/standard.h, for the libraries that hold DPDK's headers too: these bring every
// intrinsic.

#include "base/precompiled/standard.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
