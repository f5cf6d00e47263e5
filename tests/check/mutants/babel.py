# SPDX-License-Identifier: Apache-2.0
"""Breaks of control/babel/, as mutations.py has them."""

BABEL = "control/babel/"

ROWS = [
    # Babel, by section of RFC 8966 unless another is named
    ("3.5.1", BABEL + "source_table.cc", "known.seqno == seqno && metric < known.metric);",
     "known.seqno == seqno && metric <= known.metric);", "unit_babel:BabelFeasibility*"),
    ("3.5.1", BABEL + "routes.cc", "route.metric() == kInfinity || !feasible(prefix, route))",
     "route.metric() == kInfinity)", "unit_babel:BabelWorld*"),
    ("3.5.1", BABEL + "routes.cc", "sources.feasible({prefix, route.router_id}, route.seqno, "
     "route.advertised)", "sources.feasible({prefix, route.router_id}, route.seqno, route.metric())",
     "unit_babel:BabelFeasibility*"),
    ("3.7.3", BABEL + "send.cc", "    sources.announced({prefix, route->router_id}, update.seqno, "
     "update.metric, now);\n", "", "unit_babel:BabelWorld*"),
    ("3.7.3", BABEL + "source_table.cc", "    else if (!added && known.seqno == seqno && metric < "
     "known.metric)\n        known.metric = metric;\n", "", "unit_babel:BabelFeasibility*"),
    ("3.2.5", BABEL + "source_table.cc", "std::chrono::minutes{3}", "std::chrono::minutes{4}",
     "unit_babel:BabelFeasibility*"),
    ("3.2.1", BABEL + "tlv.h", "return static_cast<int16_t>(static_cast<uint16_t>(b - a)) > 0;",
     "return a < b;", "unit_babel:BabelTlv*"),
    ("3.5.3", BABEL + "receive.cc", "    if (seen.router_id == router_id)\n        seen.metric = "
     "kInfinity;\n", "", "unit_babel:BabelRoute*"),
    ("3.5.4", BABEL + "routes.cc", "        change.state = RouteChange::State::unreachable;\n", "",
     "unit_babel:BabelHold*"),
    ("3.5.4", BABEL + "receive.cc", "if (waiting.erase(neighbor.id) > 0 && waiting.empty())",
     "if (false)", "unit_babel:BabelHold*"),
    ("3.7.2", BABEL + "routes.cc", "    trigger(prefix, other_router, now);\n", "",
     "unit_babel:BabelUpdate*"),
    ("3.7.4", BABEL + "send.cc", "if (interface.options.split_horizon && ", "if (false && ",
     "unit_babel:BabelUpdate*"),
    ("3.8.1.2", BABEL + "receive.cc", "            ++seqno;  // by one",
     "            seqno = request.seqno;  // by one", "unit_babel:BabelRequest*"),
    ("3.8.1.2", BABEL + "receive.cc", "    --onward.hop_count;\n", "", "unit_babel:BabelRequest*"),
    ("3.8.1.2", BABEL + "receive.cc", "if (now < known->second.suppress_until)", "if (false)",
     "unit_babel:BabelRequest*"),
    ("3.8.1.2", BABEL + "receive.cc", "if (route.via == &neighbor || ", "if (",
     "unit_babel:BabelRequest*"),
    ("3.8.2.1", BABEL + "routes.cc", "        request_seqno(source, static_cast<uint16_t>("
     "distance_known->seqno + 1), nullptr, now);", "        (void)0;", "unit_babel:BabelRequest*"),
    ("4.5", BABEL + "tlv.cc", "        if (type >= kFirstMandatorySubTlv)\n            "
     "result.usable = false;\n", "", "unit_babel:BabelTlv*"),
    ("A.1", BABEL + "neighbors.cc", "else if (in_row >= kFatalMisses)", "else if (false)",
     "unit_babel:BabelNeighbor*"),
    ("A.1", BABEL + "neighbors.cc", "    if (neighbor.suspected_at == kNever || neighbor.last_heard > "
     "neighbor.suspected_at) {", "    if (in_row < kFatalMisses) {", "unit_babel:BabelNeighbor*"),
    ("A.3", BABEL + "routes.cc", "return better_now && better_on_average ? best : current;",
     "return better_now ? best : current;", "unit_babel:BabelSpeaker*"),
    ("filter", BABEL + "receive.cc", "!options.policy->may_announce(neighbor.id, *update.prefix)",
     "false", "unit_babel:BabelPolicy*"),
    ("filter", BABEL + "send.cc", "!options.policy->may_export(interface.id, prefix, mine != own.end())",
     "false", "unit_babel:BabelPolicy*"),
    ("stub", BABEL + "send.cc", "        case Announce::own_only:\n            return false;",
     "        case Announce::own_only:\n            return true;", "unit_babel:BabelRole*"),
    ("RFC 8967", BABEL + "authentication.cc", "    if (parsed.counter->pc <= last_pc) {",
     "    if (false) {", "unit_babel:BabelAuthentication*"),
    ("RFC 8967", BABEL + "authentication.cc", "now < sender->nonce_expires &&", "",
     "unit_babel:BabelAuthentication*"),
    ("RFC 9229", BABEL + "tlv.cc", "ae == Ae::ipv4 ? next_hop_v4_ : next_hop_v6_;",
     "is_ipv4(ae) ? next_hop_v4_ : next_hop_v6_;", "unit_babel:BabelTlv*"),
    ("RFC 9616", BABEL + "receive.cc", "neighbor->rtt.sample(int64_t{away} - kept);",
     "neighbor->rtt.sample(int64_t{away});", "unit_babel:BabelNeighbor*"),
    ("own words", BABEL + "receive.cc", "update.metric == kInfinity || update.router_id == router_id)",
     "update.metric == kInfinity)", "unit_control:RoutersTest.*"),
]
