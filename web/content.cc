// SPDX-License-Identifier: Apache-2.0
#include "web/content.h"

#include <nlohmann/json.hpp>

#include "web/page.h"

namespace meshgate::web {
namespace {

using Json = nlohmann::json;

Content text_content(unsigned status, const char* type, std::string text) {
    Content content;
    content.status = status;
    content.type = type;
    content.shared = std::make_shared<const std::string>(std::move(text));
    return content;
}

// Alive: the daemon answers. What needs attention is listed, but is no reason to restart anything.
Content health(const Json& status) {
    const Json& problems = status.at("problems");
    std::string text = problems.empty() ? "ok\n" : "ok, but:\n";
    for (const Json& problem : problems)
        text += problem.get<std::string>() + "\n";
    return plain_content(200, text);
}

Content readiness(const Json& status) {
    if (status.at("ready").get<bool>())
        return plain_content(200, "ready\n");
    return plain_content(503, "not ready: " + status.at("readiness").get<std::string>() + "\n");
}

bool starts_with(const std::string& answer, std::string_view text) {
    return answer.compare(0, text.size(), text) == 0;
}

// The daemon writes its answers in this order.
unsigned status_of(const std::string& answer) {
    if (starts_with(answer, R"({"ok":true,)"))
        return 200;
    const bool not_found = starts_with(answer, R"({"ok":false,)") &&
                           answer.find(R"("error":{"code":"not-found")") != std::string::npos;
    return not_found ? 404 : 503;
}

Content from_result(Resource resource, const Json& result) {
    if (resource == Resource::healthz)
        return health(result);
    if (resource == Resource::readyz)
        return readiness(result);
    return text_content(200, "text/plain; version=0.0.4; charset=utf-8",
                        result.at("text").get<std::string>());
}

}  // namespace

Content plain_content(unsigned status, std::string_view message) {
    std::string text{message};
    if (text.empty() || text.back() != '\n')
        text += '\n';
    return text_content(status, "text/plain; charset=utf-8", std::move(text));
}

Content page_content() {
    Content content;
    content.status = 200;
    content.type = "text/html; charset=utf-8";
    content.policy = kPagePolicy;
    content.fixed = kPage;
    return content;
}

Content answer_content(Resource resource, const std::shared_ptr<const std::string>& answer) {
    if (!answer)
        return plain_content(503, "meshgated did not answer in time");
    if (resource == Resource::api) {
        Content content;
        content.status = status_of(*answer);
        content.type = "application/json";
        content.shared = answer;
        return content;
    }
    try {
        return from_result(resource, Json::parse(*answer).at("result"));
    } catch (const Json::exception&) {
        return plain_content(503, "meshgated's answer is not what meshgate-web understands");
    }
}

}  // namespace meshgate::web
