// SPDX-License-Identifier: Apache-2.0
// Two engines as one: a batch that would leave most lanes of the one empty goes to the other.
#include <algorithm>

#include "dataplane/crypto/aead.h"

namespace meshgate {

namespace {

class SplitEngine final : public AeadEngine {
public:
    SplitEngine(std::unique_ptr<AeadEngine> main, std::unique_ptr<AeadEngine> small_batches,
                const AeadMinJobs& min_jobs) noexcept
        : main_{std::move(main)},
          small_batches_{std::move(small_batches)},
          min_jobs_{min_jobs},
          always_main_{*std::max_element(min_jobs.begin(), min_jobs.end())} {}

    void seal(std::span<AeadJob> jobs) noexcept override { engine_for(jobs, 0).seal(jobs); }
    void open(std::span<AeadJob> jobs) noexcept override {
        engine_for(jobs, kAeadTagLen).open(jobs);
    }
    const char* name() const noexcept override { return main_->name(); }

private:
    AeadEngine& engine_for(std::span<const AeadJob> jobs, uint64_t tag_len) noexcept {
        if (jobs.size() >= always_main_)
            return *main_;
        uint64_t nb_bytes = 0;
        for (const AeadJob& job : jobs)
            nb_bytes += job.len;
        size_t size_class = 0;
        while (size_class + 1 < kAeadSizes.size() &&
               nb_bytes > jobs.size() * (kAeadSizes[size_class] + tag_len))
            ++size_class;
        return jobs.size() >= min_jobs_[size_class] ? *main_ : *small_batches_;
    }

    std::unique_ptr<AeadEngine> main_;
    std::unique_ptr<AeadEngine> small_batches_;
    AeadMinJobs min_jobs_;
    size_t always_main_;
};

}  // namespace

std::unique_ptr<AeadEngine> split_batches(std::unique_ptr<AeadEngine> main,
                                          std::unique_ptr<AeadEngine> small_batches,
                                          const AeadMinJobs& min_jobs) {
    return std::make_unique<SplitEngine>(std::move(main), std::move(small_batches), min_jobs);
}

}  // namespace meshgate
