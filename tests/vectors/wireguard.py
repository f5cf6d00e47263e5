#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes blake2s.txt and noise.txt: WireGuard's primitives and handshake, computed by other code
than ours: hashlib's BLAKE2s and hmac, python3-cryptography's X25519 and ChaCha20-Poly1305 (which
are OpenSSL's), and an HChaCha20 written here from draft-irtf-cfrg-xchacha.

Run once, by hand, in this directory; the output is committed."""

import hashlib
import hmac as hmac_module
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

SEQUENCE = bytes(range(256))


def hash32(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac16(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac(key, data):
    return hmac_module.new(key, data, hashlib.blake2s).digest()


def kdf(key, data, count):
    extracted, out, last = hmac(key, data), [], b""
    for n in range(1, count + 1):
        last = hmac(extracted, last + bytes([n]))
        out.append(last)
    return out


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def dh(private, peer):
    return X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(peer))


def seal(key, plaintext, additional):
    return ChaCha20Poly1305(key).encrypt(bytes(12), plaintext, additional)


def hchacha20(key, nonce16):
    state = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key)) + \
        list(struct.unpack("<4I", nonce16))

    def rotate(value, bits):
        return ((value << bits) | (value >> (32 - bits))) & 0xffffffff

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xffffffff
            state[z] = rotate(state[z] ^ state[x], bits)

    for _ in range(10):
        for lane in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                     (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*lane)
    return struct.pack("<8I", *(state[0:4] + state[12:16]))


def xseal(key, nonce24, plaintext, additional):
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).encrypt(
        bytes(4) + nonce24[16:], plaintext, additional)


def tai64n(seconds, ns):
    return struct.pack(">QI", 0x400000000000000a + seconds, ns - ns % (1 << 24))


def handshake(name, psk, seed):
    """One whole handshake; every input is derived from `seed`, every output written down."""
    rnd = lambda label: hashlib.sha256(f"{seed}/{label}".encode()).digest()
    si, sr, ei, er = (rnd(x) for x in ("static i", "static r", "ephemeral i", "ephemeral r"))
    index_i, index_r = (struct.unpack("<I", rnd(x)[:4])[0] for x in ("index i", "index r"))
    seconds, ns = 1700000000 + seed, 123456789
    cookie, nonce = rnd("cookie")[:16], rnd("nonce")[:24]

    construction = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
    identifier = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
    ck = hash32(construction)
    h = hash32(hash32(ck, identifier), public(sr))
    # initiation: e, es, s, ss, {t}
    h = hash32(h, public(ei))
    ck, = kdf(ck, public(ei), 1)
    ck, key = kdf(ck, dh(ei, public(sr)), 2)
    sealed_static = seal(key, public(si), h)
    h = hash32(h, sealed_static)
    ck, key = kdf(ck, dh(si, public(sr)), 2)
    sealed_time = seal(key, tai64n(seconds, ns), h)
    h = hash32(h, sealed_time)
    initiation = struct.pack("<II", 1, index_i) + public(ei) + sealed_static + sealed_time
    initiation += mac16(hash32(b"mac1----", public(sr)), initiation)
    initiation += mac16(cookie, initiation)
    # response: e, ee, se, psk, {}
    h = hash32(h, public(er))
    ck, = kdf(ck, public(er), 1)
    ck, _ = kdf(ck, dh(er, public(ei)), 2)
    ck, _ = kdf(ck, dh(er, public(si)), 2)
    ck, tempered, key = kdf(ck, psk, 3)
    h = hash32(h, tempered)
    response = struct.pack("<III", 2, index_r, index_i) + public(er) + seal(key, b"", h)
    response += mac16(hash32(b"mac1----", public(si)), response) + bytes(16)
    initiator_sends, responder_sends = kdf(ck, b"", 2)
    # the cookie that the responder would send for this initiation
    reply = struct.pack("<II", 3, index_i) + nonce + xseal(
        hash32(b"cookie--", public(sr)), nonce, cookie, initiation[116:132])

    fields = [("name", name.encode().hex()), ("static_i", si), ("static_r", sr),
              ("ephemeral_i", ei), ("ephemeral_r", er), ("psk", psk),
              ("index_i", f"{index_i:08x}"), ("index_r", f"{index_r:08x}"),
              ("wall_ns", f"{seconds * 10**9 + ns:016x}"), ("cookie", cookie),
              ("initiation", initiation), ("response", response), ("cookie_reply", reply),
              ("initiator_sends", initiator_sends), ("responder_sends", responder_sends)]
    return "".join(f"{k} {v.hex() if isinstance(v, bytes) else v}\n" for k, v in fields) + "\n"


HEADER = "# SPDX-License-Identifier: Apache-2.0\n# Written by wireguard.py with {}.\n"

with open("blake2s.txt", "w") as out:
    out.write(HEADER.format("hashlib.blake2s and hmac"))
    out.write("# hash LEN DIGEST, keyed LEN DIGEST (key 00..1f), mac KEYLEN LEN DIGEST16: the input is "
              "00 01 02 ..\n# kdf KEY INPUT T1 T2 T3 (- is empty)\n")
    for n in range(256):
        out.write(f"hash {n} {hash32(SEQUENCE[:n]).hex()}\n")
    for n in range(256):
        out.write(f"keyed {n} {hashlib.blake2s(SEQUENCE[:n], key=SEQUENCE[:32]).hexdigest()}\n")
    for key_len in (16, 32):
        for n in (0, 1, 63, 64, 65, 116, 132):
            out.write(f"mac {key_len} {n} {mac16(SEQUENCE[:key_len], SEQUENCE[:n]).hex()}\n")
    for n in (0, 1, 31, 32, 33, 64, 65, 200):
        key = hash32(b"kdf", bytes([n]))
        text = SEQUENCE[:n].hex() or "-"
        out.write(f"kdf {key.hex()} {text} {' '.join(t.hex() for t in kdf(key, SEQUENCE[:n], 3))}\n")

with open("noise.txt", "w") as out:
    out.write(HEADER.format("python3-cryptography and hashlib"))
    for seed in range(1, 9):
        psk = bytes(32) if seed % 2 else hashlib.sha256(b"psk%d" % seed).digest()
        out.write(handshake(f"handshake {seed}", psk, seed))
