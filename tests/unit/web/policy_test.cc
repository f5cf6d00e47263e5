// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "web/policy.h"

namespace meshgate::web {
namespace {

RequestHead get(std::string_view target) {
    RequestHead head;
    head.method = "GET";
    head.target = target;
    head.host = "127.0.0.1:9586";
    return head;
}

unsigned status(const RequestHead& head) {
    return decide(head, "127.0.0.1").status;
}

TEST(WebPolicy, ServesWhatThereIs) {
    struct Case {
        const char* target;
        Resource resource;
        const char* verb;
    };
    for (const auto& [target, resource, verb] : {
             Case{"/", Resource::page, ""},
             Case{"/metrics", Resource::metrics, "metrics"},
             Case{"/healthz", Resource::healthz, "status"},
             Case{"/readyz", Resource::readyz, "status"},
             Case{"/api/v1/status", Resource::api, "status"},
             Case{"/api/v1/peers?x=1", Resource::api, "show peers"},
             Case{"/api/v1/routes", Resource::api, "show routes"},
             Case{"/api/v1/ports", Resource::api, "show ports"},
             Case{"/api/v1/drops", Resource::api, "show drops"},
             Case{"/api/v1/workers", Resource::api, "show workers"},
         }) {
        const Decision decision = decide(get(target), "127.0.0.1");
        EXPECT_EQ(decision.status, 200U) << target;
        EXPECT_EQ(decision.resource, resource) << target;
        EXPECT_EQ(decision.verb, verb) << target;
    }
}

TEST(WebPolicy, TakesOneNameWhereOneIsMeant) {
    const Decision decision = decide(get("/api/v1/explain?name=box-1.site_b"), "127.0.0.1");
    EXPECT_EQ(decision.status, 200U);
    EXPECT_EQ(decision.verb, "explain");
    EXPECT_EQ(decision.name, "box-1.site_b");
    EXPECT_EQ(decide(get("/api/v1/peers?name=x"), "127.0.0.1").name, "");
    EXPECT_EQ(status(get("/api/v1/explain?name=" + std::string(63, 'x'))), 200U);
    for (const std::string& query :
         {std::string{}, std::string{"?"}, std::string{"?name"}, std::string{"?name="},
          std::string{"?NAME=x"}, std::string{"?x=1&name=x"}, std::string{"?name=x&name=y"},
          std::string{"?name=a\"b"}, std::string{"?name=a\\"}, std::string{"?name=a%20b"},
          std::string{"?name=a\nb"}, "?name=" + std::string(64, 'x')})
        EXPECT_EQ(status(get("/api/v1/explain" + query)), 400U) << query;
}

TEST(WebPolicy, KnowsNoOtherPath) {
    for (const char* target :
         {"", "*", "/api/v1/reload", "/api/v1/status/", "/api/v1/../v1/status", "//metrics",
          "/metrics/../../etc/passwd", "/%6detrics", "/..%2f..%2fetc/passwd", "/METRICS",
          "http://127.0.0.1:9586/metrics", "/api/v1/restrict", "/page.html", "/metrics#x"})
        EXPECT_EQ(status(get(target)), 404U) << target;
}

TEST(WebPolicy, RefusesNamesInHost) {
    for (const char* host : {"127.0.0.1", "127.0.0.1:9586", "[::1]:9586", "[::1]", "localhost",
                             "LOCALHOST:80", "192.0.2.9:1", "[2001:db8::1]:9586"}) {
        RequestHead head = get("/metrics");
        head.host = host;
        EXPECT_EQ(status(head), 200U) << host;
    }
    for (const char* host : {"",
                             "rebind.example",
                             "rebind.example:9586",
                             "127.0.0.1.example",
                             "localhost.",
                             "::1",
                             "localhost.example",
                             "[::1",
                             "[::1]x",
                             "[::1]:",
                             "127.0.0.1:",
                             "127.0.0.1:99999999",
                             "127.0.0.1:x",
                             "127.1",
                             "2130706433",
                             "0x7f000001",
                             "localhost, rebind.example",
                             "user@127.0.0.1",
                             "127.0.0.1/../x",
                             " 127.0.0.1",
                             "[localhost]x",
                             "[fe80::1%25eth0]"}) {
        RequestHead head = get("/metrics");
        head.host = host;
        EXPECT_EQ(status(head), 403U) << host;
    }
    RequestHead head = get("/metrics");
    head.host.reset();
    EXPECT_EQ(status(head), 400U);
}

TEST(WebPolicy, AcceptsTheAddressItListensOn) {
    RequestHead head = get("/");
    head.host = "[2001:db8::5]:9586";
    EXPECT_EQ(decide(head, "2001:db8::5").status, 200U);
}

TEST(WebPolicy, RefusesOtherOrigins) {
    RequestHead head = get("/api/v1/status");
    head.origin = "http://127.0.0.1:9586";
    EXPECT_EQ(status(head), 200U);
    for (const char* origin :
         {"", "null", "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:9587",
          "https://127.0.0.1:9586", "http://localhost:9586", "http://127.0.0.1:9586.evil.example",
          "127.0.0.1:9586", "http://127.0.0.1:9586, http://evil.example", "file://"}) {
        head.origin = origin;
        EXPECT_EQ(status(head), 403U) << origin;
    }
}

TEST(WebPolicy, RefusesWhatOtherSitesStart) {
    for (const char* site : {"cross-site", "same-site", "", "anything"}) {
        RequestHead head = get("/metrics");
        head.sec_fetch_site = site;
        EXPECT_EQ(status(head), 403U) << site;
        head.target = "/";  // a bookmark or a link to the page
        EXPECT_EQ(status(head), 200U) << site;
    }
    for (const char* site : {"same-origin", "none"}) {
        RequestHead head = get("/metrics");
        head.sec_fetch_site = site;
        EXPECT_EQ(status(head), 200U) << site;
    }
}

TEST(WebPolicy, OnlyReads) {
    for (const char* method :
         {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "get", "", "GETT"}) {
        RequestHead head = get("/api/v1/status");
        head.method = method;
        EXPECT_EQ(status(head), 405U) << method;
    }
    RequestHead head = get("/");
    head.method = "HEAD";
    EXPECT_EQ(status(head), 200U);
    head.has_body = true;
    EXPECT_EQ(status(head), 413U);
}

}  // namespace
}  // namespace meshgate::web
