// SPDX-License-Identifier: Apache-2.0
#include "base/keys.h"

#include <gtest/gtest.h>

namespace meshgate {
namespace {

// RFC 7748, section 6.1: Alice's keys.
constexpr const char* kAlicePrivate = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
constexpr const char* kAlicePublic = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

TEST(Keys, DerivesThePublicKeyOfRfc7748) {
    EXPECT_EQ(to_string(public_key_of(*parse_secret_key(kAlicePrivate))), kAlicePublic);
}

TEST(Keys, RefusesWhatWgRefuses) {
    const std::string good = kAlicePublic;
    EXPECT_FALSE(parse_public_key(good.substr(0, 43)));
    EXPECT_FALSE(parse_public_key(good + "="));
    EXPECT_FALSE(parse_public_key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp="));  // stray bits
    EXPECT_FALSE(parse_public_key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbT o="));
    EXPECT_FALSE(parse_public_key(""));
}

TEST(Keys, GeneratesClampedKeys) {
    const SecretKey key = generate_private_key();
    EXPECT_EQ(key.bytes()[0] & 7, 0);
    EXPECT_EQ(key.bytes()[31] & 0xc0, 0x40);
    EXPECT_FALSE(key.equals(generate_private_key()));
}

TEST(Keys, MovingWipesTheSource) {
    SecretKey first = generate_private_key();
    const SecretKey second = std::move(first);
    EXPECT_TRUE(first.is_zero());  // NOLINT(bugprone-use-after-move): that is the point
    EXPECT_FALSE(second.is_zero());
}

}  // namespace
}  // namespace meshgate
