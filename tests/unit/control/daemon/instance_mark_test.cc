// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/instance_mark.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace meshgate::control {
namespace {

class InstanceMark : public testing::Test {
protected:
    InstanceMark() {
        char name[] = "/tmp/instance_mark_XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~InstanceMark() override { std::filesystem::remove_all(folder_); }

    Copied start(const Instance& instance) {
        const auto copied = mark_instance(folder_, instance);
        EXPECT_TRUE(copied);
        return copied.value_or(Copied::no);
    }

    std::string folder_;
    Instance here_{.machine = "m1", .hardware = "h1", .folder = "7", .key = "k1"};
};

TEST_F(InstanceMark, SaysNothingOfRestarts) {
    EXPECT_EQ(start(here_), Copied::no);
    EXPECT_EQ(start(here_), Copied::no);
}

TEST_F(InstanceMark, SaysFromWhereTheFolderWasCopied) {
    start(here_);
    here_.machine = "m2";
    EXPECT_EQ(start(here_), Copied::from_machine);
    EXPECT_EQ(start(here_), Copied::no) << "it lives here now";
    here_.hardware = "h2";
    EXPECT_EQ(start(here_), Copied::from_hardware);
    here_.folder = "8";
    EXPECT_EQ(start(here_), Copied::from_folder);
}

TEST_F(InstanceMark, SaysNothingWhereTheCopyHasAKeyOfItsOwn) {
    start(here_);
    here_.machine = "m2";
    here_.key = "k2";
    EXPECT_EQ(start(here_), Copied::no);
}

TEST_F(InstanceMark, TakesWhatIsNotKnownForNoEvidence) {
    start(here_);
    here_.hardware = "";
    EXPECT_EQ(start(here_), Copied::no);
    here_.hardware = "h1";
    EXPECT_EQ(start(here_), Copied::no);
    std::ofstream{folder_ + "/instance"} << "m0\nh0";
    EXPECT_EQ(start(here_), Copied::no) << "a mark that is not whole";
}

TEST_F(InstanceMark, KeepsNothingWithoutAStateFolder) {
    EXPECT_EQ(mark_instance("", here_).value(), Copied::no);
    EXPECT_FALSE(mark_instance(folder_ + "/missing", here_));
}

TEST_F(InstanceMark, ReadsThisMachine) {
    std::filesystem::create_directories(folder_ + "/etc");
    std::filesystem::create_directories(folder_ + "/sys/class/dmi/id");
    std::ofstream{folder_ + "/etc/machine-id"} << "abc\n";
    std::ofstream{folder_ + "/sys/class/dmi/id/product_uuid"} << "def\n";
    const Instance found = present_instance(folder_, PublicKey{}, folder_);
    EXPECT_EQ(found.machine, "abc");
    EXPECT_EQ(found.hardware, "def");
    EXPECT_FALSE(found.folder.empty());
    const Instance none = present_instance(folder_ + "/missing", PublicKey{}, folder_ + "/missing");
    EXPECT_EQ(none.machine + none.hardware + none.folder, "");
}

}  // namespace
}  // namespace meshgate::control
