// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/retire_list.h"

#include <rte_common.h>

#include <cerrno>
#include <cstdlib>

namespace meshgate {

Result<Rcu> Rcu::create(unsigned nb_readers) {
    const size_t len = RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(nb_readers), RTE_CACHE_LINE_SIZE);
    auto* const rcu = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, len));
    if (rcu == nullptr || rte_rcu_qsbr_init(rcu, nb_readers) != 0) {
        std::free(rcu);
        return fail(ENOMEM, "RCU variable");
    }
    return Rcu{rcu};
}

size_t RetireList::reclaim() {
    while (!retired_.empty() && rcu_.has_passed(retired_.front().token)) {
        // Out of the list first: what is let go of may retire further objects.
        const Retired due = std::move(retired_.front());
        retired_.pop_front();
        if (due.action)
            due.action();
    }
    return retired_.size();
}

}  // namespace meshgate
