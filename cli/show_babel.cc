// SPDX-License-Identifier: Apache-2.0
#include "cli/json_text.h"
#include "cli/show.h"

namespace meshgate::cli {
namespace {

using Json = nlohmann::ordered_json;

void add_place(Table& table, const Json& place) {
    const std::string name = text_of(place.at("name"));
    if (place.at("neighbors").empty()) {
        table.add({name, place.at("up").get<bool>() ? "nobody" : "link is down", "-", "-", "-", "-",
                   "-", "-"});
        return;
    }
    for (const Json& neighbor : place.at("neighbors"))
        table.add({name, text_of(neighbor.at("address")), text_of(neighbor.at("state")),
                   number_or_dash(neighbor.at("cost")), milliseconds(neighbor.at("rtt_p50_ms")),
                   decimal(100 * neighbor.at("loss_ratio").get<double>(), "%.1f%%"),
                   age(neighbor.at("age_s")), std::to_string(number_of(neighbor.at("routes")))});
}

}  // namespace

std::string babel_text(const Json& result) {
    Table table{{"PLACE", "NEIGHBOR", "STATE", "COST", "RTT", "LOSS", "HEARD", "ROUTES"}};
    std::string refused;
    for (const Json& place : result.at("places")) {
        add_place(table, place);
        const uint64_t nb_refused = number_of(place.at("prefixes_refused"));
        if (nb_refused > 0)
            refused += "refused at " + text_of(place.at("name")) + ": " + human_count(nb_refused) +
                       ", the last " + text_of(place.at("last_refused")) + " (" +
                       text_of(place.at("last_reason")) + ")\n";
    }
    if (table.empty())
        return "Babel is not spoken: the box file has no entry of babel\n";
    const std::string routes = human_count(number_of(result.at("routes"))) + " routes learned, " +
                               human_count(number_of(result.at("unreachable"))) + " unreachable\n";
    return table.text() + "\n" + routes + refused;
}

}  // namespace meshgate::cli
