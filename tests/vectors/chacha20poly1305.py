# SPDX-License-Identifier: Apache-2.0
"""Writes chacha20poly1305.txt. Run: python3 chacha20poly1305.py > chacha20poly1305.txt

Ciphertexts and tags come from OpenSSL (Debian's python3-cryptography), which shares no code with
the engines under test, and which first has to reproduce the two AEAD vectors of RFC 8439.
"""
import hashlib
import struct

from cryptography import __version__
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

P = 2**130 - 5


def random_bytes(label, length):
    return hashlib.shake_256(label.encode()).digest(length)


def nonce_of(counter):
    return bytes(4) + struct.pack("<Q", counter)


def seal(key, counter, plain):
    return ChaCha20Poly1305(key).encrypt(nonce_of(counter), plain, None)


def keystream(key, counter, length, block):
    nonce = struct.pack("<I", block) + nonce_of(counter)
    return Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(bytes(length))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def plain_for(key, counter, ciphertext):
    """The plaintext that encrypts to `ciphertext`."""
    return xor(ciphertext, keystream(key, counter, len(ciphertext), 1))


def poly_blocks(r, ciphertext):
    h = 0
    for i in range(0, len(ciphertext), 16):
        h = (h + int.from_bytes(ciphertext[i:i + 16], "little") + 2**128) * r % P
    return h


def ciphertext_reaching(key, counter, nb_blocks, target):
    """`nb_blocks` blocks for which Poly1305 ends at `target` before the last addition, or None."""
    r = int.from_bytes(keystream(key, counter, 16, 0), "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    head = random_bytes(f"head {counter} {target}", 16 * (nb_blocks - 1))
    lengths = (16 * nb_blocks << 64) + 2**128
    inverse = pow(r, -1, P)
    before_last = (target * inverse - lengths) * inverse % P
    last = (before_last - poly_blocks(r, head)) % P - 2**128
    if not 0 <= last < 2**128:
        return None
    return head + last.to_bytes(16, "little")


def emit(comment, key, counter, plain):
    sealed = seal(key, counter, plain)
    print(f"\n# {comment}\nKEY: {key.hex()}\nCOUNTER: {counter}")
    print(f"PLAIN: {plain.hex()}".rstrip())
    print(f"SEALED: {sealed.hex()}")


def check_rfc8439():
    sunscreen = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
                 b"the future, sunscreen would be it.")
    out = ChaCha20Poly1305(bytes(range(0x80, 0xA0))).encrypt(
        bytes.fromhex("070000004041424344454647"), sunscreen,
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))  # section 2.8.2
    assert out[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    key = bytes.fromhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0")
    sealed = bytes.fromhex(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e38"
        "2d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f9"
        "82b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d"
        "46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04"
        "b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049"
        "e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b"
        "eead9d67890cbb22392336fea1851f38")  # appendix A.5
    plain = ChaCha20Poly1305(key).decrypt(bytes.fromhex("000000000102030405060708"), sealed,
                                          bytes.fromhex("f33388860000000000004e91"))
    assert plain.startswith(b"Internet-Drafts are draft documents")
    return key, 0x0807060504030201, plain


def main():
    key, counter, plain = check_rfc8439()
    print("# SPDX-License-Identifier: Apache-2.0")
    print("# ChaCha20-Poly1305 as WireGuard uses it: nonce 4 zero bytes and COUNTER (LE64), no")
    print("# associated data. SEALED is ciphertext and tag. Written by chacha20poly1305.py with")
    print(f"# {backend.openssl_version_text()}, python3-cryptography {__version__}.")
    emit("RFC 8439 A.5 without its associated data: the ciphertext is the RFC's", key, counter,
         plain)
    for length in list(range(0, 136)) + [191, 192, 193, 255, 256, 257, 319, 320, 321, 511, 512, 513,
                                         575, 576, 577, 767, 768, 769, 1023, 1024, 1025, 1279,
                                         1280, 1419, 1420, 1421, 1500, 2047, 2048]:
        emit(f"length {length}", random_bytes(f"key {length}", 32), length * 0x0123456789ABCDEF %
             2**64, random_bytes(f"plain {length}", length))
    for counter in [0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1]:
        emit(f"counter {counter}", random_bytes("counter key", 32), counter,
             random_bytes("counter plain", 80))
    for key in [bytes(32), b"\xff" * 32]:
        for plain in [bytes(96), b"\xff" * 96]:
            emit("uniform key and plaintext", key, 7, plain)
    for fill in ["00", "ff", "fb", "01", "80"]:
        for length in [16, 48, 64, 256, 1024]:
            key = random_bytes(f"fill {fill} {length}", 32)
            ciphertext = bytes.fromhex(fill) * length
            emit(f"ciphertext all {fill}", key, 3, plain_for(key, 3, ciphertext))
    for name, target in [("0", 0), ("1", 1), ("5", 5), ("2^128 - 1", 2**128 - 1), ("2^128", 2**128),
                         ("2^130 - 6", 2**130 - 6), ("2^130 - 7", 2**130 - 7), ("2^129", 2**129),
                         ("2^64 - 1", 2**64 - 1), ("2^26 - 1", 2**26 - 1), ("2^44", 2**44)]:
        for nb_blocks in [1, 4, 5, 16, 17]:
            key = random_bytes(f"reach {name} {nb_blocks}", 32)
            counter = next(c for c in range(1000)
                           if ciphertext_reaching(key, c, nb_blocks, target) is not None)
            ciphertext = ciphertext_reaching(key, counter, nb_blocks, target)
            addend = int.from_bytes(keystream(key, counter, 32, 0)[16:], "little")
            tag = seal(key, counter, plain_for(key, counter, ciphertext))[-16:]
            assert int.from_bytes(tag, "little") == (target + addend) % 2**128
            emit(f"Poly1305 accumulator ends at {name}", key, counter,
                 plain_for(key, counter, ciphertext))


main()
