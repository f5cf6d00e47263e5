// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/drop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "dataplane/api/counters.h"

namespace meshgate {
namespace {

// What Prometheus and our own label rule allow: lower case, digits, underscores.
bool is_label(const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

std::set<std::string> stage_names() {
    std::set<std::string> names;
    for (size_t i = 0; i < static_cast<size_t>(Stage::nb_stages); ++i)
        names.insert(to_string(static_cast<Stage>(i)));
    return names;
}

TEST(Drop, HasAUniqueNameAStageAndHelpForEveryReason) {
    std::set<std::string> names;
    std::set<std::string> helps;
    const std::set<std::string> stages = stage_names();
    for (size_t i = 0; i < kNbDrops; ++i) {
        const auto reason = static_cast<Drop>(i);
        const std::string name = to_string(reason);
        EXPECT_TRUE(is_label(name)) << i;
        EXPECT_NE(name, "unknown");
        EXPECT_TRUE(names.insert(name).second) << name;
        EXPECT_TRUE(stages.contains(to_string(usual_stage(reason)))) << name;
        const std::string help = help_for(reason);
        EXPECT_GT(help.size(), 10U) << name;
        EXPECT_TRUE(help.ends_with('.')) << name;
        EXPECT_TRUE(helps.insert(help).second) << name;
    }
}

TEST(Drop, SurvivesAValueOutsideTheEnumeration) {
    EXPECT_STREQ(to_string(Drop::nb_reasons), "unknown");
    EXPECT_EQ(usual_stage(static_cast<Drop>(255)), Stage::nb_stages);
    EXPECT_STREQ(help_for(static_cast<Drop>(255)), "unknown");
    EXPECT_STREQ(to_string(Punt::nb_reasons), "unknown");
    EXPECT_STREQ(to_string(Stage::nb_stages), "unknown");
}

TEST(DropCounters, TellStagesApart) {
    DropCounters drops;
    drops.add(Drop::handover_full, Stage::index);
    drops.add(Drop::handover_full, Stage::tx, 2);
    EXPECT_EQ(drops.get(Drop::handover_full), 3U);
    EXPECT_EQ(drops.get(Drop::handover_full, Stage::tx), 2U);
    EXPECT_EQ(drops.get(Drop::handover_full, Stage::classify), 0U);
    EXPECT_EQ(drops.get(Drop::punt_full), 0U);
}

TEST(Punt, HasAUniqueNameForEveryReason) {
    std::set<std::string> names;
    for (size_t i = 0; i < kNbPunts; ++i) {
        const std::string name = to_string(static_cast<Punt>(i));
        EXPECT_TRUE(is_label(name)) << i;
        EXPECT_TRUE(names.insert(name).second) << name;
    }
}

TEST(Stage, HasAUniqueNameForEveryStage) {
    const std::set<std::string> names = stage_names();
    EXPECT_EQ(names.size(), static_cast<size_t>(Stage::nb_stages));
    EXPECT_TRUE(std::all_of(names.begin(), names.end(), is_label));
}

}  // namespace
}  // namespace meshgate
