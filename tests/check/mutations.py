#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that tests can fail: mutations.py [WORD ...] [--sample N [--seed SEED]] [--build DIR]

Each row breaks one statement beside the built tree, links the named test program with it and runs
the named tests, which must fail; before that, they must pass unbroken. WORD picks rows by statement
or file. The test command tries a sample, another one for each commit. Exit status 1 when a mutant
survives, or when the text of any row no longer stands in its file.
"""

import argparse
import datetime
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WG = "control/wireguard/"
BABEL = "control/babel/"
MESH = "control/mesh/"
SITE_ROUTERS = "control/site_routers/"
READY = "    options.fill_random = or_libsodium("


def timing(statement, change, tests):
    """A row in which a device keeps another time than the protocol's; one file to compile."""
    return (statement, WG + "device.cc", READY, f"    options.timings.{change};\n{READY}",
            "unit_wireguard:" + tests)


# Where a program lies in the build folder, and what it needs besides a filter.
PROGRAMS = {
    "unit_wireguard": ("tests/unit/control/wireguard/unit_wireguard", []),
    "unit_mesh": ("tests/unit/control/mesh/unit_mesh", []),
    "unit_babel": ("tests/unit/control/babel/unit_babel", []),
    "unit_dataplane_leaf": ("tests/unit/dataplane/unit_dataplane_leaf", []),
    "unit_dataplane_facade": ("tests/unit/dataplane/unit_dataplane_facade", []),
    "unit_config": ("tests/unit/config/unit_config", []),
    "unit_api": ("tests/unit/control/api/unit_api", []),
    "unit_control": ("tests/unit/control/unit_control", []),
    "packet_cases": ("tests/packet/packet_cases", ["tests/packet"]),
}

# (statement, file, text as it stands there once, text that breaks it, tests that must notice)
ROWS = [
    ("config", "config/text/report.h", "\"a box file\", size_t{8} << 20", "\"a box file\", size_t{4} << 20",
     "unit_config:Load.*Peers*"),
    ("config", "config/text/plain_reader.cc", "text.ends_with(':') || is_null(text) ||\n            text.find",
     "text.ends_with(':') ||\n            text.find", "unit_config:PlainReader*"),
    ("config", "config/text/plain_reader.cc", "            const bool complete = !block->open;",
     "            const bool complete = true;", "unit_config:PlainReader*"),
    ("W01", WG + "handshakes.cc", "if (datagram.size() != len)", "if (datagram.size() < len)",
     "unit_wireguard:*W01*"),
    ("W01", WG + "handshakes.cc", "static_cast<MessageType>(from_le32(word));\n    size_t len",
     "static_cast<MessageType>(word[0]);\n    size_t len", "unit_wireguard:*W01*"),
    ("W07", WG + "noise.cc", "zx2c4 Jason@zx2c4.com", "zx2c4 jason@zx2c4.com",
     "unit_wireguard:*W07*"),
    ("W07", WG + "noise.cc", "kdf({&chaining_key_, &tempered, &key_}",
     "kdf({&chaining_key_, &key_, &tempered}", "unit_wireguard:*W07*"),
    ("W07", WG + "noise.cc", "kdf({&keys.receive, &keys.send}", "kdf({&keys.send, &keys.receive}",
     "unit_wireguard:*W07*"),
    ("W07", WG + "primitives.cc", "byte ^= 0x36 ^ 0x5c;", "byte ^= 0x5c;",
     "unit_wireguard:*W07*"),
    ("W07", WG + "noise.cc", "        kdf({&chaining_key_}, chaining_key_, ephemeral.bytes);\n", "",
     "unit_wireguard:*W07*"),
    ("W08", WG + "primitives.cc", "return status == 0 && !shared.is_zero();",
     "return status == 0 || true;", "unit_wireguard:*W08*"),
    ("W08", WG + "device.cc", "identity && precompute(peer.remote, *identity);",
     "identity && (precompute(peer.remote, *identity) || true);", "unit_wireguard:*W08*"),
    ("W09", WG + "handshakes.cc", "!peer->sent_initiation ||\n        peer->sent_initiation->local_index"
     " != local_index)", "!peer->sent_initiation)", "unit_wireguard:*W09*"),
    ("W10", WG + "handshakes.cc", "    peer->sent_initiation.reset();  // its secrets",
     "    // its secrets", "unit_wireguard:*W10*"),
    ("W10", WG + "receiver_indices.cc", "if (owners_.try_emplace(index, peer).second)",
     "owners_.try_emplace(index, peer);", "unit_wireguard:*W10*"),
    ("W10", WG + "receiver_indices.cc", "from_le32(bytes) & ~",
     "from_le32(bytes) >> 8 & ~",
     "unit_wireguard:*W10*"),
    ("W10", WG + "receiver_indices.cc", "random | peer % nb_workers_", "random | peer % 32",
     "unit_wireguard:*W10*"),
    ("W11", WG + "device.cc", "randombytes_buf(bytes.data(), bytes.size());",
     "std::fill(bytes.begin(), bytes.end(), uint8_t{1});", "unit_wireguard:*W11*"),
    ("W12", WG + "keypair_slots.cc", "    if (next_loses(collision, window_ns)) {",
     "    if (collision == Collision::ours_wins && false) {", "unit_wireguard:*W12*"),
    ("W12", WG + "timings.h", "return rekey_timeout_ns / 5;", "return rekey_timeout_ns;",
     "unit_wireguard:*W12*"),
    ("W12", WG + "keypair_slots.cc", "result.doubtful = next_->created_ns > current_->created_ns;",
     "", "unit_wireguard:*W12*"),
    ("W12", WG + "sessions.cc", "? Collision::ours_wins : Collision::theirs_wins",
     "? Collision::ours_wins : Collision::ours_wins", "unit_wireguard:*W12*"),
    ("W12", WG + "keypair_slots.cc", "    displace(displaced, previous_);\n    previous_ = std::exchange("
     "current_, keypair);", "    displace(displaced, previous_);\n    displace(displaced, current_);\n"
     "    current_ = keypair;", "unit_wireguard:*W12*"),
    ("W13", WG + "device.cc", "    clear_sessions();\n    public_key = removed",
     "    public_key = removed", "unit_wireguard:*W13*"),
    ("W13", WG + "device.cc", "        erase_peer(*find(id));\n", "", "unit_wireguard:*W13*"),
    ("W13", WG + "device.cc", "if (identity && given.public_key == public_key)",
     "if (identity && false)", "unit_wireguard:*W13*"),
    ("W13", WG + "device.cc", "    bytes[0] &= 248;\n", "", "unit_wireguard:*W13*"),
    ("W14", WG + "timestamp.cc", "ns - ns % kStepNs", "ns", "unit_wireguard:*W14*"),
    ("W14", WG + "timestamp.cc", "0x400000000000000a", "0x4000000000000025",
     "unit_wireguard:*W14*"),
    ("W14", WG + "handshakes.cc", "        timestamp = std::max(timestamp, last.successor());\n",
     "        timestamp = std::max(timestamp, last);\n", "unit_wireguard:*W14*"),
    ("W14", WG + "handshakes.cc", "std::max(peer.last_timestamp_sent, timestamp_floor)",
     "peer.last_timestamp_sent", "unit_wireguard:*W14*"),
    ("W15", WG + "handshakes.cc", "    if (timestamp == peer.greatest_timestamp)\n",
     "    if (false)\n", "unit_wireguard:*W15*"),
    ("W15", WG + "handshakes.cc", "    if (timestamp < peer.greatest_timestamp)\n",
     "    if (false)\n", "unit_wireguard:*W15*"),
    ("W15", WG + "sessions.cc", "    peer.cookies.clear();\n",
     "    peer.cookies.clear();\n    peer.greatest_timestamp = {};\n", "unit_wireguard:*W15*"),
    ("W15", WG + "keypair_slots.cc", "    displace(displaced, next_);\n    next_ = keypair;",
     "    displace(displaced, next_);\n    displace(displaced, current_);\n    next_ = keypair;",
     "unit_wireguard:*W15*"),
    ("W16", WG + "device_impl.h", "kNsPerSecond / 50;", "kNsPerSecond / 51;",
     "unit_wireguard:*W16*"),
    ("W16", WG + "handshakes.cc", "    if (peer.last_initiation_accepted_ns &&",
     "    if (now.mono_ns() >= under_load_until_ns && peer.last_initiation_accepted_ns &&",
     "unit_wireguard:*W16*"),
    ("W17", WG + "handshakes.cc", "now.mono_ns() < *peer.last_initiation_sent_ns + timeout_ns)",
     "now.mono_ns() < *peer.last_initiation_sent_ns)", "unit_wireguard:*W17*"),
    ("W18", WG + "cookie.cc", "        return Verdict::bad_mac1;", "        (void)0;",
     "unit_wireguard:*W18*"),
    ("W18", WG + "cookie.cc", "    mac1_key_ = mac1_key(own);", "    mac1_key_ = cookie_key(own);",
     "unit_wireguard:*W18*"),
    ("W19", WG + "cookie.h", "kCookieMaxAge = 115", "kCookieMaxAge = 120", "unit_wireguard:*W19*"),
    ("W19", WG + "cookie.cc", "mac(cookie, macs.before_mac2), macs.mac2",
     "mac(cookie, macs.before_mac1), macs.mac2", "unit_wireguard:*W19*"),
    ("W20", WG + "cookie.cc", "        .update(port_be)\n", "", "unit_wireguard:*W20*"),
    ("W20", WG + "cookie.cc", ".first(source.address.bits() / 8)", ".first(0)",
     "unit_wireguard:*W20*"),
    ("W20", WG + "cookie.h", "kCookieSecretMaxAge = 120", "kCookieSecretMaxAge = 128",
     "unit_wireguard:*W20*"),
    ("W21", WG + "cookie.cc", "    awaits_reply_ = false;\n    cookie_ = cookie;",
     "    cookie_ = cookie;", "unit_wireguard:*W21*"),
    ("W21", WG + "cookie.cc", "reply.nonce, last_mac1_}, reply", "reply.nonce, {}}, reply",
     "unit_wireguard:*W21*"),
    ("W21", WG + "cookie.cc", "    fill_random_(reply.nonce);\n", "", "unit_wireguard:*W21*"),
    ("W21", WG + "handshakes.cc", "indices_.owner(from_le32(message.receiver_index));\n    Peer* peer = "
     "owner ? find(*owner) : nullptr;\n    if (peer == nullptr || !peer->cookies",
     "indices_.owner(from_le32(message.receiver_index));\n    Peer* peer = owner ? find(*owner) : "
     "peers.begin()->second.get();\n    if (peer == nullptr || !peer->cookies",
     "unit_wireguard:*W21*"),
    ("W22", WG + "device_impl.h", "kUnderLoadQueued = 512", "kUnderLoadQueued = 513",
     "unit_wireguard:*W22*"),
    ("W22", WG + "device_impl.h", "kUnderLoadLasts = kNsPerSecond;", "kUnderLoadLasts = 1;",
     "unit_wireguard:*W22*"),
    ("W23", WG + "handshakes.cc", "            return count(HandshakeEvent::bad_mac2);",
     "            count(HandshakeEvent::bad_mac2);\n            return std::nullopt;",
     "unit_wireguard:*W23*"),
    ("W23", WG + "rate_limit.h", "kInitiationsPerSecond = 20", "kInitiationsPerSecond = 21",
     "unit_wireguard:*W23*"),
    ("W23", WG + "rate_limit.h", "kInitiationsBurst = 5", "kInitiationsBurst = 6",
     "unit_wireguard:*W23*"),
    ("W23", WG + "rate_limit.cc", "source.bytes.begin() + 8", "source.bytes.begin() + 16",
     "unit_wireguard:*W23*"),
    ("W23", WG + "rate_limit.cc", "            return false;\n        if (entries_.empty())",
     "            (void)0;\n        if (entries_.empty())", "unit_wireguard:*W23*"),
    ("W23", WG + "sessions.cc", "        limiter_.collect(now.mono_ns());", "        (void)0;",
     "unit_wireguard:*W23*"),
    ("W24", WG + "handshakes.cc", "under_load ? CookieChecker::Mac2::needed",
     "true ? CookieChecker::Mac2::needed", "unit_wireguard:*W24*"),
    ("W25", WG + "handshakes.cc", "            return count(HandshakeEvent::bad_mac1);\n",
     "            actions.emplace_back(SendKeepalive{});\n            return count(HandshakeEvent::bad_mac1);\n",
     "unit_wireguard:*W25*"),
    ("W25", WG + "handshakes.cc", "        return count(HandshakeEvent::unknown_peer);",
     "        return (send_cookie_reply(bytes_of(message), 1, from, now),\n"
     "                count(HandshakeEvent::unknown_peer));", "unit_wireguard:*W25*"),
    ("W26", WG + "handshakes.cc", "        if (const auto why = refused(message, from, now))\n"
     "            return *why;\n        return receive_response", "        return receive_response",
     "unit_wireguard:*W26*"),
    ("W27", WG + "sessions.cc", "        remove_keypairs(peer, peer.slots.install_next(slot));",
     "        remove_keypairs(peer, peer.slots.install_next(slot));\n        actions.emplace_back("
     "UseForSending{peer.id, slot.local_index});", "unit_wireguard:*W27*"),
    ("W27", WG + "sessions.cc", "    actions.emplace_back(FlushStaged{peer.id, true});",
     "    actions.emplace_back(FlushStaged{peer.id, false});", "unit_wireguard:*W27*"),
    ("W27", WG + "keypair_slots.cc", "if (!next_ || next_->local_index != local_index)",
     "if (!next_)", "unit_wireguard:*W27*"),
    timing("W28", "rekey_after_time_ns = 121 * kNsPerSecond", "Timers*W28*"),
    ("W28", WG + "sessions.cc", "current->initiator == Initiator::us &&\n                     sent_ns",
     "sent_ns", "unit_wireguard:Timers*W28*"),
    ("W28", WG + "sessions.cc", "sent_ns >= current->created_ns +",
     "now.mono_ns() >= current->created_ns +", "unit_wireguard:Timers*W28*"),
    ("W28", WG + "sessions.cc", "    peer.rekeyed_on_receive = true;\n", "",
     "unit_wireguard:Timers*W28*"),
    ("W28", WG + "sessions.cc", "options.timings.rekey_on_receive_ns())",
     "options.timings.rekey_on_receive_ns() + kNsPerSecond)", "unit_wireguard:Timers*W28*"),
    timing("W29", "rekey_after_messages = uint64_t{1} << 61", "*W29*"),
    ("W29", WG + "sessions.cc", "if (used_up || old)", "if (old)", "unit_wireguard:*W29*"),
    timing("W30", "reject_after_time_ns = 181 * kNsPerSecond", "Timers*W30*"),
    ("W30", WG + "sessions.cc", "        actions.emplace_back(StopSending{peer.id});\n", "",
     "unit_wireguard:Timers*W30*"),
    timing("W31", "max_initiations = 19", "*W31*"),
    timing("W31", "rekey_timeout_jitter_ns = 0", "*W31*"),
    timing("W31", "rekey_timeout_jitter_ns = 400 * kNsPerMs", "*W31*"),
    ("W31", WG + "handshakes.cc", "peer.initiations_of_attempt = peer.sent_initiation ? 1 : 0;", "",
     "unit_wireguard:*W31*"),
    ("W31", WG + "sessions.cc", "    actions.emplace_back(PurgeStaged{peer.id});\n    count",
     "    count", "unit_wireguard:*W31*"),
    timing("W32", "keepalive_timeout_ns = 11 * kNsPerSecond", "Timers*W32*"),
    ("W32", WG + "timers.cc", "    if (at_ns <= last_any_sent_ns_)\n        return;\n", "",
     "unit_wireguard:Timers*W32*:World.W05*"),
    ("W32", WG + "timers.cc", "passive_since_ns_ <= at_ns && !passive_repeats_)", "false)",
     "unit_wireguard:Timers*W32*"),
    ("W32", WG + "timers.cc", "    if (!data_meanwhile_)\n        return;\n", "",
     "unit_wireguard:Timers*W32*"),
    ("W32", WG + "sessions.cc", "            return peer.timers.on_passive_keepalive_sent(due_ns);",
     "            return;", "unit_wireguard:Timers*W32*"),
    ("W33", WG + "timers.cc", "at_ns + timings_.dead_peer_ns() + jitter_ns",
     "at_ns + timings_.keepalive_timeout_ns + jitter_ns", "unit_wireguard:Timers*W33*"),
    ("W33", WG + "timers.cc", "dead_peer_since_ns_ < at_ns)", "false)", "unit_wireguard:Timers*W33*"),
    ("W33", WG + "timers.cc", "|| armed(Timer::dead_peer))\n        return;", ")\n        return;",
     "unit_wireguard:Timers*W33*"),
    ("W34", WG + "device.cc", "    for (const auto& [id, peer] : peers) {\n        if (peer->persistent"
     "_keepalive_s == 0)", "    for (const auto& [id, peer] : peers) {\n        if (true)",
     "unit_wireguard:Timers*W34*"),
    ("W34", WG + "timers.cc", "    last_any_received_ns_ = std::max(last_any_received_ns_, at_ns);\n    if "
     "(armed(Timer::dead_peer) && dead_peer_since_ns_ < at_ns)\n        disarm(Timer::dead_peer);\n"
     "    on_traversed(at_ns);", "    last_any_received_ns_ = std::max(last_any_received_ns_, at_ns);"
     "\n    if (armed(Timer::dead_peer) && dead_peer_since_ns_ < at_ns)\n        disarm("
     "Timer::dead_peer);", "unit_wireguard:Timers*W34*"),
    ("W34", WG + "sessions.cc", "    peer.timers.count_persistent_keepalive_from(now.mono_ns());\n",
     "", "unit_wireguard:Timers*W34*"),
    timing("W35", "zeroize_after_time_ns = 4 * kRejectAfterTime", "*W35*"),
    ("W35", WG + "sessions.cc", "            remove_keypairs(peer, peer.slots.remove_all());\n"
     "            forget_initiation(peer);", "            remove_keypairs(peer, "
     "peer.slots.remove_all());", "unit_wireguard:*W35*"),
    ("W35", WG + "sessions.cc", "    remove_keypairs(peer, peer.slots.remove_all());\n"
     "    forget_initiation(peer);", "    remove_keypairs(peer, peer.slots.remove_all());",
     "unit_wireguard:*W35*"),
    ("W35", WG + "sessions.cc", "    if (!peer.timers.armed(Timer::zeroize))\n        peer.timers.arm",
     "    if (false)\n        peer.timers.arm", "unit_wireguard:*W35*"),
    ("W35", "base/keys.cc", "    sodium_memzero(bytes_.data(), bytes_.size());", "",
     "unit_wireguard:Secrets*"),
    ("W37", WG + "keypair_slots.cc", "    previous_ = std::exchange(current_, std::exchange(next_, "
     "std::nullopt));", "    displace(result.displaced, current_);\n    current_ = std::exchange(next_, "
     "std::nullopt);", "unit_wireguard:*W37*"),
    ("W37", WG + "keypair_slots.cc", "    displace(result.displaced, previous_);\n", "",
     "unit_wireguard:*W37*"),
    ("W39", WG + "handshakes.cc", "    roam(*peer, from);\n", "", "unit_wireguard:*W39*"),
    ("W39", WG + "handshakes.cc", "    roam(peer, from);\n", "", "unit_wireguard:*W39*"),
    ("W39", WG + "sessions.cc", "addressing != nullptr && !routed", "addressing != nullptr",
     "unit_wireguard:*W39*"),
    ("W39", WG + "handshakes.cc", "    return count(HandshakeEvent::cookie_reply_received, peer);",
     "    set_endpoint(*peer, {});\n    return count(HandshakeEvent::cookie_reply_received, peer);",
     "unit_wireguard:*W39*"),
    ("W39", WG + "sessions.cc", "            forget_source(peer);\n            return initiate(peer, "
     "Attempt::retransmission, now);", "            return initiate(peer, Attempt::retransmission, now);",
     "unit_wireguard:*W39*"),
    ("W41", WG + "device.h", "kHandshakeTos = 0x88", "kHandshakeTos = 0", "unit_wireguard:*W41*"),
    ("T10", WG + "device.cc", "        remove_keypairs(*peer, peer->slots.remove_next());\n", "",
     "unit_wireguard:*T10*"),
    ("T10", WG + "device.cc", "        peer->may_send = false;\n", "", "unit_wireguard:*T10*"),
    # the packet path
    ("W01", "dataplane/path/classify_underlay.cc", "len == kInitiationLen",
     "len >= kInitiationLen", "packet_cases:*w01*"),
    ("W01", "dataplane/path/classify_underlay.cc", "len == kCookieReplyLen",
     "true", "packet_cases:*w01*"),
    ("W01", "dataplane/path/classify_underlay.cc", "len >= kMinTransportLen",
     "len >= 16", "packet_cases:*w01*"),
    ("W01", "dataplane/path/classify_underlay.cc", "switch (rte_le_to_cpu_32(type_le))",
     "switch (rte_le_to_cpu_32(type_le) & 0xff)", "packet_cases:*w01*"),
    ("W02", "dataplane/path/classify_underlay.cc", "udp_len < kUdpLen || udp_len > available",
     "udp_len > available", "packet_cases:*w02*"),
    ("W02", "dataplane/path/classify_underlay.cc",
     "narrow(mbuf, 0, static_cast<uint16_t>(outer.l4_offset + udp_len));",
     "", "packet_cases:*w02*"),
    ("W04", "dataplane/path/seal.cc",
     "std::max(inner_len, std::min<uint32_t>(aligned_len, meta_of(mbuf).mtu_bytes))",
     "aligned_len", "packet_cases:*w04*"),
    ("W04", "dataplane/path/seal.cc",
     "std::max(inner_len, std::min<uint32_t>(aligned_len, meta_of(mbuf).mtu_bytes))",
     "inner_len", "packet_cases:*w04*"),
    ("W05", "dataplane/path/seal.cc", "activity.tx_bytes.add(message_len);",
     "activity.tx_bytes.add(message_len - 16);", "packet_cases:*w05*"),
    ("W06", "dataplane/path/decap.cc", "l4_offset = rte_ipv4_hdr_len(ip);\n    }\n",
     "l4_offset = 20;\n    }\n", "packet_cases:*w06*"),
    ("W27", "dataplane/path/decap.cc", "keypair.confirmed.store(noted, std::memory_order_relaxed);",
     "", "packet_cases:*w27*"),
    ("W30", "dataplane/path/seal.cc", "worker.now_tsc >= keypair->reject_after_tsc",
     "false", "packet_cases:*w30*"),
    ("W30", "dataplane/path/index.cc", "worker.now_tsc >= keypair->reject_after_tsc ||",
     "", "packet_cases:*w30*"),
    ("W30", "dataplane/path/seal.cc", ">= kLastSafeCounter",
     ">= UINT64_MAX", "packet_cases:*w30*"),
    ("W30", "dataplane/path/seal.cc", "std::min(block.next + kCounterBlock, kLastSafeCounter)",
     "block.next + kCounterBlock", "packet_cases:*w30*"),
    ("W30", "dataplane/path/index.cc", "meta.counter >= kRejectAfterMessages",
     "false", "packet_cases:*w30*"),
    ("W36", "dataplane/path/seal.cc", "worker.punt(mbuf, Punt::no_session);",
     "worker.drop(mbuf, Drop::no_session);", "packet_cases:*w36*"),
    ("W38", "dataplane/path/replay.cc", "meta.keypair->replay.accept(meta.counter)",
     "true", "packet_cases:*w38*"),
    ("W39", "dataplane/path/decap.cc", "return udp->src_port == rte_cpu_to_be_16(link.remote.port);",
     "return true;", "packet_cases:*w39*"),
    ("W40", "dataplane/path/decap.cc", "total_len < header_len || total_len > mbuf->data_len",
     "total_len > mbuf->data_len", "packet_cases:*w40*"),
    ("W40", "dataplane/path/decap.cc", "|| total_len > mbuf->data_len",
     "", "packet_cases:*w40*"),
    ("W40", "dataplane/path/source_check.cc", "&& entry.peer == meta_of(mbuf).from_peer",
     "", "packet_cases:*w40*"),
    ("W41", "dataplane/path/seal.cc", "return ecn == kEcnCe ? kEcnEct0 : ecn;",
     "return ecn;", "packet_cases:*w41*"),
    ("W41", "dataplane/path/seal.cc", "return ecn == kEcnCe ? kEcnEct0 : ecn;",
     "return inner;", "packet_cases:*w41*"),
    ("W41", "dataplane/path/decap.cc", "== kEcnCe;\n    switch",
     "== 9;\n    switch", "packet_cases:*w41*"),
    ("W42", "dataplane/path/path.cc", "meta.error = IcmpError::no_endpoint;",
     "meta.error = IcmpError::no_route;", "packet_cases:*w42*"),
    ("W42", "dataplane/path/icmp_error.cc", "return type == kIcmpEchoRequest || type == kIcmpEchoReply;",
     "return true;", "packet_cases:*w42*"),
    ("W43", "dataplane/api/link.cc", "kGrowthIpv6 = 80;", "kGrowthIpv6 = 60;", "packet_cases:*w43*"),
    ("W43", "dataplane/path/fragment.cc", "(meta.mtu_bytes - header_len) & ~7", "meta.mtu_bytes - header_len",
     "packet_cases:*w43*"),
    ("W44", "dataplane/wire/outer.h", "udp->dgram_cksum + 2 * uint64_t", "udp->dgram_cksum + 1 * uint64_t",
     "packet_cases:*w44*"),
    ("W44", "dataplane/api/link.cc", "options.udp_checksum == UdpChecksum::never", "true", "packet_cases:*w44*"),
    ("W44", "dataplane/path/classify_underlay.cc", "outer.v6 && udp->dgram_cksum == 0",
     "false", "packet_cases:*w44*"),
    ("W45", "dataplane/path/index.cc", "if (owner == worker.id())",
     "if (owner < 99)", "packet_cases:*w45*"),
    ("T12", "dataplane/path/classify_underlay.cc",
     "return is_ours_v4(view, ip->dst_addr) ? kSound : Drop::not_for_us;",
     "return kSound;", "packet_cases:*t12*"),
    ("W30", "dataplane/path/seal.cc", "fetch_add(kCounterBlock,",
     "fetch_add(1,", "packet_cases:*w30*"),
    ("W30", "dataplane/path/seal.cc", "block.next > kMaxLag",
     "block.next > 4 * kMaxLag", "packet_cases:*w30*"),
    ("W30", "dataplane/path/seal.cc", "block.serial != keypair.serial || ",
     "", "packet_cases:*w30*"),
    # What the dataplane does for the mesh
    ("mesh", MESH + "protocol/cbor.cc", "if (major != kSimple && value < least_for(nb_bytes))",
     "if (major == kSimple && value == 0)", "unit_mesh:MeshMessages*"),
    ("mesh", MESH + "protocol/messages.cc", "(last_key && *key <= *last_key)",
     "(last_key && *key < *last_key)", "unit_mesh:MeshMessages*"),
    ("mesh", MESH + "protocol/messages.cc", "bytes.size() == kLengths[bytes[0]]",
     "bytes.size() >= kLengths[bytes[0]]", "unit_mesh:MeshMessages*"),
    ("mesh", MESH + "relays/relay_table.cc", "if (entry != nullptr && entry->target != open.target) {",
     "if (false) {", "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "relays/relay_table.cc", "if (entry != nullptr && owner_in(*entry, from) != nullptr) {\n"
     "        drop_owner", "if (entry != nullptr) {\n        drop_owner", "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "relays/relay_table.cc", "    if (!next_hop || next_hop->node == from)\n",
     "    if (!next_hop)\n",
     "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "relays/relay_table.cc", "owner.expires = now + kRelayLifetime;",
     "owner.expires = now + 2 * kRelayLifetime;", "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "relays/relay_table_entry.cc", "    if (members_.contains(to) && to != options_.self)\n", "",
     "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "relays/relay_table_entry.cc", "    ask(index, entry, *next_hop, now);\n}\n\n// Datagrams go",
     "    entry.next_hop = next_hop;\n    sync(index, entry);\n    ask(index, entry, *next_hop, now);\n}\n\n"
     "// Datagrams go", "unit_mesh:MeshRelays*"),
    ("mesh", MESH + "paths/path_selector.cc", "        if (route.selected)\n", "        if (false)\n",
     "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", " || !route.feasible ||", " ||", "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", "return path ? path : best_of(routes.to_aggregate, avoided);",
     "return path;", "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", "return path || held_down.empty() ? path : best_avoiding(routes, {});",
     "return path;", "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", "|| inputs.agreed == best->via;", "|| inputs.agreed;",
     "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", "if (!best && !inputs.in_force && inputs.handshake_link)",
     "if (!best && inputs.handshake_link)", "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/path_selector.cc", "constexpr auto kGiveUpAfter = 3s;",
     "constexpr auto kGiveUpAfter = 4s;", "unit_mesh:PathSelector*"),
    ("mesh", MESH + "paths/suspicion.cc", "    ++entry.nb_silences;\n", "", "unit_mesh:MeshSuspicion*"),
    ("mesh", MESH + "paths/suspicion.cc", "std::max(entry.until, until)", "until", "unit_mesh:MeshSuspicion*"),
    ("mesh", MESH + "paths/suspicion.cc", "entry.second.until + kMemory <= now", "entry.second.until <= now",
     "unit_mesh:MeshSuspicion*"),
    ("mesh", MESH + "paths/path_probe.cc", "constexpr unsigned kUnansweredBeforeSilent = 3;",
     "constexpr unsigned kUnansweredBeforeSilent = 4;", "unit_mesh:MeshPathProbe*"),
    ("mesh", MESH + "paths/path_probe.cc", "constexpr uint32_t kReplyWindow = 8;",
     "constexpr uint32_t kReplyWindow = 9;", "unit_mesh:MeshPathProbe*"),
    ("mesh", MESH + "paths/path_mtu_probe.h",
     "path.is_direct() ? PathMtuSearch::kNoCeiling : kRelayedCeiling", "kRelayedCeiling",
     "unit_mesh:PathMtuProbe*"),
    ("mesh", MESH + "paths/path_mtu_probe.cc", "    search.restart();\n", "",
     "unit_mesh:PathMtuProbe*"),
    ("mesh", MESH + "paths/path_mtu_probe.cc", "std::min(ceiling_of(path), search.in_force())",
     "ceiling_of(path)", "unit_mesh:PathMtuProbe*"),
    ("underlay", "control/underlay/path_mtu_search.cc", "best_ >= present || nb_rounds_ == kRounds",
     "nb_rounds_ == kRounds", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc", "if (nb_rounds_ == kRounds && best_ == 0) {",
     "if (false) {", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc", "kSearchAgain * (1U << nb_silent_)",
     "kSearchAgain", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc",
     "result.fits == most ? ceiling : result.fits", "result.fits", "unit_control:PathMtuSearch*"),
    ("mesh", MESH + "probing/candidates.cc", "search->second.nb_rounds = 0;", "(void)0;",
     "unit_mesh:MeshCandidates*"),
    ("mesh", MESH + "probing/candidates.cc", "seen.seen_as && heard_lately.contains(link)", "seen.seen_as",
     "unit_mesh:MeshCandidates*"),
    ("mesh", MESH + "probing/candidates.cc", "is_plausible(endpoint) && ", "", "unit_mesh:MeshCandidates*"),
    ("mesh", MESH + "probing/initiation_schedule.cc", "kind == Peer::leaf && !first", "!first",
     "unit_mesh:MeshInitiations*"),
    ("mesh", MESH + "relays/handshake_forwarder.cc", "    if (message.hops_left == 0)\n        return;\n", "",
     "unit_mesh:MeshHandshakes*"),
    ("mesh", MESH + "relays/handshake_forwarder.cc", " && waiting.mapped().expires > now", "",
     "unit_mesh:MeshHandshakes*"),
    ("mesh", MESH + "members/file_exchange.cc", "constexpr size_t kMaxDownloads = 3;",
     "constexpr size_t kMaxDownloads = 1;", "unit_mesh:MeshFile*"),
    ("mesh", MESH + "members/file_exchange.cc", "neighbor.nb_refused + neighbor.nb_given_up",
     "neighbor.nb_refused", "unit_mesh:MeshFile*"),
    ("mesh", MESH + "clients/client_roaming.cc", "return box != self_ && next_hop && next_hop->node == from;",
     "return box != self_;", "unit_mesh:MeshClients*"),
    ("mesh", MESH + "clients/client_roaming.cc",
     "std::chrono::ceil<std::chrono::seconds>(now - claim.said).count();", "0;",
     "unit_mesh:MeshClients*"),
    ("mesh", MESH + "clients/relayed_clients.cc", "    waiting.budget -= message.size();\n", "",
     "unit_mesh:MeshPublished*"),
    ("mesh", MESH + "clients/relayed_clients.cc", "sessions_.contains(index) || ", "",
     "unit_mesh:MeshPublished*"),
    ("relay", "dataplane/path/relay.cc", "carried.hop_limit <= 1", "carried.hop_limit == 0",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "    ip->time_to_live = carried.hop_limit - 1;",
     "    ip->time_to_live = carried.hop_limit;", "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "hop_limits = carried.hop_limit - 1;", "hop_limits = 63;",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "carried.tos = meta_of(mbuf).outer_tos;", "carried.tos = 0;",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "message_len > std::max(link.mtu_bytes, kIpv6MinMtu) + kMinTransportLen",
     "message_len > link.mtu_bytes + kMinTransportLen + 1", "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "sum += kSumModulus - carried.sum % kSumModulus;", "",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "if (carried.checksum == 0)", "if (false)",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "link == nullptr ? Drop::no_endpoint : ", "",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/relay.cc", "counters.relayed_bytes.add(message_len);", "",
     "packet_cases:*relay*"),
    ("relay", "dataplane/path/classify_underlay.cc", "== kInitiationLen ? Message::handshake",
     "== kInitiationLen ? Message::transport", "packet_cases:*relay*"),
    ("relay", "dataplane/tables/index_table.cc", "nb_reserved_ == capacity_ || find_slot(index).bucket != "
     "nullptr", "nb_reserved_ == capacity_", "packet_cases:*relay*"),
    ("relay", "dataplane/tables/index_table.cc", "    word.store(entry.word_, std::memory_order_release);\n"
     "    return true;\n}\n\nIndexEntry IndexTable::erase", "    return true;\n}\n\nIndexEntry "
     "IndexTable::erase", "packet_cases:*relay*"),
    ("relay", "dataplane/path/index.cc", "        if (Keypair* const keypair", "        if (owner != "
     "worker.id() && owner < worker.nb_workers()) {\n            worker.hand_over(mbuf, owner, "
     "Resume::open);\n            return false;\n        }\n        if (Keypair* const keypair",
     "packet_cases:*relay*"),
    ("relay", "dataplane/dataplane_tables.cc", "index_->find(receiver_index).kind() != "
     "IndexEntry::Kind::relay", "false", "unit_dataplane_facade:*Relay*"),
    ("relay", "dataplane/dataplane_tables.cc", "    Keypair* const removed = keypair(local_index);\n    if "
     "(removed == nullptr)\n        return;\n    index_->erase(local_index);", "    Keypair* const "
     "removed = index_->erase(local_index).keypair();\n    if (removed == nullptr)\n        return;",
     "unit_dataplane_facade:*Relay*"),
    ("relay", "dataplane/dataplane_tables.cc", "nb_relays_ == options_.max_relays ||", "",
     "unit_dataplane_facade:*Relay*"),
    ("relay", "dataplane/dataplane_tables.cc", "            of_worker[id].relayed_packets.set(0);\n", "",
     "unit_dataplane_facade:*Relay*"),
    ("mesh", "dataplane/dataplane_rings.cc", "    mesh_first_ = !mesh_first_;\n", "",
     "unit_dataplane_facade:*Babel*"),
    ("mesh", "dataplane/path/path.cc", "links[meta.info.link].load", "links[0].load",
     "packet_cases:*sealed_by_a_link*"),
    ("mesh", "dataplane/path/path.cc", "most == 0 ? meta.link->mtu_bytes : std::min", "most == 0 ? 1440 : "
     "std::min", "packet_cases:*sealed_by_a_link*"),
    ("mesh", "dataplane/path/seal.cc", " || policy == WithoutSession::drop", "",
     "packet_cases:*sealed_by_a_link*"),
    ("mesh", "dataplane/path/punt_mesh.cc", "udp->dgram_len == rte_cpu_to_be_16(udp_len)", "true",
     "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.cc", "is_link_local_v6(ip->src_addr) &&", "", "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.cc", "return l4_checksum(", "return true || l4_checksum(",
     "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.cc", "!is_babel(&ip) || !to_us ||", "!is_babel(&ip) ||",
     "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.cc", " || is_ours_v6(view, ip.src_addr)", "", "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.cc", ".remote = outer.remote,", ".remote = outer.local,",
     "packet_cases:*babel*"),
    ("mesh", "dataplane/path/punt_mesh.h", "(address[1] & 0xc0) == 0x80", "(address[1] & 0x80) == 0x80",
     "packet_cases:*babel*"),
    ("scope", "dataplane/path/scope.h", "for (const unsigned first : {0, 127, 169})",
     "for (const unsigned first : {0, 127})", "packet_cases:*scopes*"),
    ("scope", "dataplane/path/route.cc", "if (meta.from_peer != kNoPeer)\n        return false;",
     "if (meta.from_peer != kNoPeer && entry.kind != ForwardKind::local)\n        return false;",
     "packet_cases:*scopes*"),
    ("scope", "dataplane/path/source_check.cc", "if (theirs && !looked_up.maybe_special)", "if (theirs)",
     "packet_cases:*scopes*"),
    ("fragments", "dataplane/worker/reassembly.cc", "if (fragment.offset < one.offset + one.len && one.offset < end)",
     "if (fragment.offset < one.offset && one.offset < end)", "packet_cases:*fragments*"),
    ("fragments", "dataplane/worker/reassembly.cc", "if (nb_of_source >= kMaxPerSource)", "if (nb_of_source > kMaxPerSource)",
     "packet_cases:*fragments*"),
    ("fragments", "dataplane/worker/reassembly.cc", "    if (entry.spoiled)\n        return Drop::fragment_overlap;\n", "",
     "packet_cases:*fragments*"),
    ("fragments", "dataplane/path/reassemble.cc", "if (parsed.fragment.offset != 0 || parsed.fragment.more) {",
     "{", "packet_cases:*fragments*"),
    ("fragments", "dataplane/path/cut_outer.cc", "offset / 8 | (more", "offset / 8 | (!more", "packet_cases:*narrow*"),
    ("fragments", "dataplane/path/icmp_error.cc", "std::max(mtu, kIpv6MinMtu)", "mtu", "packet_cases:*narrow*"),
    ("mesh", "dataplane/path/source_check.cc", "        ++next;\n", "", "packet_cases:*babel*"),
    ("mesh", "dataplane/path/route.cc", "meta.from_peer != kNoPeer && takes", "takes",
     "packet_cases:*mesh_control*"),
    ("mesh", "dataplane/worker/tsc_rate.h", "        paid_until_tsc = from_tsc + cost_tsc_;\n", "",
     "packet_cases:*flood*"),
    ("mesh", "dataplane/path/punt_mesh.cc", "worker.parts.activity[meta.from_peer].mesh_paid_until_tsc",
     "worker.stage_state.punt_mesh.paid_until_tsc[0]", "packet_cases:*flood*"),
    ("relay", "dataplane/tables/peer_slot.h", " || most > link_mtu_bytes", "", "packet_cases:*mtu_of_a*"),
    ("relay", "dataplane/path/path.cc", "meta.slot->mtu_of(meta.link->mtu_bytes)", "meta.link->mtu_bytes",
     "packet_cases:*mtu_of_a*"),
    ("relay", "dataplane/path/mss_clamp.cc", "slot.mtu_of(link->mtu_bytes)", "link->mtu_bytes",
     "packet_cases:*mtu_of_a*"),
    ("mesh", "dataplane/path/decap.cc", "if (slot.path_is_fixed.load(std::memory_order_relaxed))",
     "if (false)", "packet_cases:*roam*"),
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
    # Routers that are no Meshgate.
    ("site_routers", SITE_ROUTERS + "policy.cc", "peer == kNoPeer || it->second.peer != peer",
     "peer != kNoPeer && it->second.peer != peer", "unit_control:PolicyTest.*"),
    ("site_routers", SITE_ROUTERS + "policy.cc", "to->second == filter->second.peer", "false",
     "unit_control:PolicyTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "{{0x33, 0x33, 0, 1, 0, 6}}", "{{0x33, 0x33, 0, 0, 0, 6}}",
     "unit_control:RoutersTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "        speaker_.retract(after.id(), prefix, now);",
     "        (void)prefix, (void)now;", "unit_control:RoutersTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "on_link ? change.next_hop : change.via.address",
     "on_link || true ? change.next_hop : change.via.address", "unit_control:RoutersTest.*"),
    ("site_routers", "control/routing/rib.cc", "return std::ranges::binary_search(known, route.prefix);",
     "return (void)route, false;", "unit_control:PublishTest.*"),
    # The network file, and how it comes to the daemon.
    ("network", "config/network_file.cc", "if (!verify(candidate, authority)) {", "if (false) {",
     "unit_config:*Network*"),
    ("network", "config/network_file.cc", "return crypto_sign_verify_detached(network.signature.data(), "
     "text, network.text.size(),", "return crypto_sign_verify_detached(network.signature.data(), text, "
     "network.text.size() - 1,", "unit_config:Network.*"),
    ("network", "config/authority.cc", " || crypto_core_ed25519_is_valid_point(key->bytes.data()) != 1",
     "", "unit_config:HostileNetworks.*"),
    ("network", "config/authority.cc", "address.bytes.begin() + kNetworkLen);",
     "address.bytes.begin() + 5);",
     "unit_config:Network.*"),
    ("network", "config/network_file.cc", "    const auto contents = read_file(path, "
     "std::tuple_size_v<Signature> + kMaxNetworkBytes);", "    const auto contents = read_file(path, "
     "kMaxNetworkBytes * 2);", "unit_config:NetworkFile.*"),
    ("network", "config/network_file.cc", "        ::unlink(temporary.c_str());\n", "",
     "unit_config:NetworkFile.*"),
    ("network", "config/network_file.cc", "O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY",
     "O_RDONLY | O_CLOEXEC | O_NOCTTY", "unit_config:NetworkFile.*"),
    ("network", "config/validate/validate_network.cc", "if (outer.prefix.len == 0 || (outer.kind == inner.kind",
     "if ((outer.kind == inner.kind", "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc",
     "return outer.kind != Claim::Kind::member || inner.kind != Claim::Kind::client;", "return true;",
     "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc", "        if (authority)\n", "        if (false)\n",
     "unit_config:Network.*"),
    ("network", "config/validate/validate_network.cc", "} else if (!network_.members[*relay].relay) {",
     "} else if (false) {", "unit_config:*WrongNetwork*"),
    ("network", "config/schema/network_values.cc", "!special->overlaps(prefix)", "true",
     "unit_config:*WrongNetwork*"),
    ("network", "config/schema/network_keys.cc", 'if (key.text == "policy") {', "if (false) {",
     "unit_config:*WrongNetwork*"),
    ("network", "config/validate/overlaps.h", "            around.pop_back();\n", "            break;\n",
     "unit_config:*"),
    ("network", "config/network.cc", "change.prefixes = !same_set(before.prefixes, after.prefixes);",
     "change.prefixes = before.prefixes != after.prefixes;", "unit_config:NetworkDiff.*"),
    ("network", "config/network.cc", "                const bool left_over = outer.prefix.len == 0 && "
     "inner.prefix.len != 0;", "                const bool left_over = false;",
     "unit_config:BoxInNetwork.*"),
    ("network", "config/key_file.cc", "    if (marked != (kind == KeyKind::authority))",
     "    if (false)", "unit_config:NetworkFile.*"),
    ("network", "control/api/upload.h", "return std::exchange(bytes_, {});", "return bytes_;",
     "unit_api:Mesh*"),
    ("network", "control/api/answer.cc", "    if (connection.access != Access::full)",
     "    if (request.verb == \"reload\" && connection.access != Access::full)", "unit_api:Mesh*"),
    ("network", "control/api/answer.cc",
     "upload.size() + piece->size() > config::kMaxNetworkBytes", "false", "unit_api:Mesh*"),
    ("network", "control/api/upload.h", "~Upload() { take(); }", "~Upload() {}", "unit_api:Mesh*"),
    ("network", "control/api/metrics_mesh.cc", "link.remote).second;", "link.remote).second && false;",
     "unit_api:Metrics*"),
    # The machine's kernel beside us.
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     'Setting{"ipv6", "disable_ipv6", "1"},', 'Setting{"ipv6", "disable_ipv6", "0"},',
     "unit_control:Settings.*"),
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     'word != "boot" || boot != boot_id', 'word != "boot"', "unit_control:FoundInterfaces.*"),
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     "setting.path.find(\"..\") == std::string::npos", "!setting.path.empty()",
     "unit_control:FoundInterfaces.*"),
]


class Built:
    """The tree as it is built. A mutant is compiled and linked beside it: the mutated file stands in
    a folder before the tree's own, its objects before the libraries that hold the unbroken ones."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        commands = json.loads((build / "compile_commands.json").read_text())
        self.compilers = {entry["output"]: shlex.split(entry["command"]) for entry in commands}
        self.links, self.objects = {}, {}

    def ninja(self, *words):
        return subprocess.run(["ninja", "-C", self.build, *words], capture_output=True, text=True,
                              check=False)

    def prepare(self, program):
        """Builds a program, and learns how; returns what went wrong."""
        done = self.ninja(PROGRAMS[program][0])
        if done.returncode != 0:
            return done.stdout
        needed = self.ninja("-t", "commands", PROGRAMS[program][0]).stdout.splitlines()
        self.links[program] = shlex.split(needed[-1])
        outputs = {words[words.index("-o") + 1] for words in map(shlex.split, needed[:-1])
                   if "-o" in words}
        self.objects[program] = sorted(outputs & set(self.compilers))
        return ""

    def objects_of(self, program, name):
        """The objects of a program that are made of a source, or of all that include a header."""
        wanted = os.path.relpath(ROOT / name, self.build)
        if name.endswith(".cc"):
            return [one for one in self.objects[program] if self.compilers[one][-1] == wanted]
        deps = self.ninja("-t", "deps", *self.objects[program]).stdout
        return [lines[0].split(":")[0] for lines in map(str.split, deps.split("\n\n"))
                if wanted in lines]

    def compile(self, output, name, mutated):
        words = [word for word in self.compilers[output] if word not in ("ccache", "-Werror", "-MD")]
        for flag in ("-MQ", "-MF"):
            at = words.index(flag)
            del words[at:at + 2]
        target = self.folder / output.replace("/", "_")
        words[words.index("-o") + 1] = str(target)
        if name.endswith(".cc"):
            words[-1] = str(mutated)
        else:
            words.insert(1, f"-I{self.folder}")
        return target, subprocess.run(words, cwd=self.build, capture_output=True, text=True,
                                      check=False)

    def test(self, program, tests, path=None):
        """The number of tests that ran, and whether all passed."""
        built, arguments = PROGRAMS[program]
        try:
            done = subprocess.run([path or self.build / built, *arguments,
                                   f"--gtest_filter={tests}"], cwd=ROOT, capture_output=True,
                                  text=True, check=False, timeout=120)
        except subprocess.TimeoutExpired:
            return 1, False
        return done.stdout.count("[ RUN"), done.returncode == 0

    def try_row(self, row):
        _, name, old, new, test = row
        program, tests = test.split(":", 1)
        mutated = self.folder / name
        mutated.parent.mkdir(parents=True, exist_ok=True)
        mutated.write_text((ROOT / name).read_text().replace(old, new))
        link = list(self.links[program])
        at = link.index("-o") + 1
        link[at] = str(self.folder / program)
        try:
            for output in self.objects_of(program, name):
                target, done = self.compile(output, name, mutated)
                if done.returncode != 0:
                    return "does not build: " + done.stderr[-400:]
                link = [word for word in link if word != output]
                link.insert(at + 1, str(target))
            done = subprocess.run(link, cwd=self.build, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                return "does not link: " + done.stderr[-400:]
            ran, passed = self.test(program, tests, self.folder / program)
            if ran == 0:
                return f"no test matches {tests}"
            return "SURVIVES" if passed else "killed"
        finally:
            mutated.unlink()


def stale(rows, root=ROOT):
    """Rows whose text no longer stands once in its file: they would break nothing."""
    for row in rows:
        path = root / row[1]
        count = path.read_text().count(row[2]) if path.is_file() else 0
        if count != 1:
            yield f"{row[1]}: {row[0]}: the text stands {count} times: {row[2][:60]!r}"


def sample(rows, number, seed):
    """Some rows, others for each seed; of sources alone, since a header is compiled many times."""
    cheap = [row for row in rows if row[1].endswith(".cc")]
    return random.Random(seed).sample(cheap, min(number, len(cheap)))


def of_today():
    """The commit, so that a sample can be drawn again."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() or str(datetime.date.today())


def run(built, rows):
    for test in sorted({row[4] for row in rows}):
        program, tests = test.split(":", 1)
        if program not in built.links and (wrong := built.prepare(program)):
            sys.exit("the unbroken tree does not build:\n" + wrong[-2000:])
        ran, passed = built.test(program, tests)
        if ran == 0 or not passed:
            sys.exit(f"{test}: {ran} tests, and they do not pass unbroken")
    bad = 0
    for row in rows:
        verdict = built.try_row(row)
        bad += verdict != "killed"
        broken = [line.strip() for line in row[3].splitlines() if line not in row[2].splitlines()]
        print(f"{row[0]}  {row[1]}: {(broken or ['(line removed)'])[0][:60]}: {verdict}", flush=True)
    print(f"{len(rows) - bad} killed, {bad} not")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--seed", default=of_today())
    arguments = parser.parse_args()
    if findings := list(stale(ROWS)):
        sys.exit("\n".join(findings))
    rows = [row for row in ROWS
            if not arguments.words or any(w in row[0] or w in row[1] for w in arguments.words)]
    if arguments.sample:
        rows = sample(rows, arguments.sample, arguments.seed)
        print(f"mutations.py --sample {arguments.sample} --seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="meshgate-mutations-") as folder:
        return run(Built(arguments.build.resolve(), Path(folder)), rows)


if __name__ == "__main__":
    sys.exit(main())
