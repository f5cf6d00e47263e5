#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the AEAD kernels for what could make their time depend on a secret: constant_time.py FILE...

The kernels hold secrets in vector registers only, so nothing that a branch or an address depends on
can be secret as long as nothing leaves those registers but to memory. In archives (*.a) this refuses
machine instructions that make flags, masks, addresses or general registers from vectors, all of
division, and calls of anything but each other and memcpy (which copies ciphertext by its length); masks
made of lengths may be tested. In sources (*.cc) it refuses the intrinsics that do the same, since the
compiler may take the way over memory. Exit status 1 names what it found.
"""

import re
import subprocess
import sys

# Vector contents to flags or general registers, or used as addresses; and what takes time by its operands.
FORBIDDEN = re.compile(
    r"^(v?ptest|vtestp|v?pmovmsk|v?movmskp|v?u?comis|vptestn?m|vpmov[bwdq]2m|vfpclass|v?p?gather|vp?scatter|v?pextr|vextractps"
    r"|v?pcmp[ei]str|i?div|vdiv|vsqrt|v?maskmov|vpmaskmov|vcvtt?s[sd]2u?si)")
COMPARISON = re.compile(r"^v?p?cmp")
FROM_VECTOR = re.compile(r"^%[xyz]mm[0-9]+,%(r|e)")
INTRINSICS = re.compile(r"_mm\d*_(?:cvtsi\d+_s\w+|cvts[sd]_\w+|extract_epi\w+|movemask\w*|movepi\d+_mask|test\w*"
                        r"|mask_test\w*|cmp\w+_mask|reduce_\w+|\w*gather\w*|\w*scatter\w*)")
MAY_CALL = {"memcpy"}


def instructions(archive):
    """(function, mnemonic, operands, where a relocation points) of each instruction."""
    out = subprocess.run(["objdump", "--disassemble", "--reloc", "--no-show-raw-insn", archive], check=True, capture_output=True, text=True).stdout
    function, pending = None, None
    for line in out.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        reloc = re.match(r"^\s+[0-9a-f]+: R_X86_64_\S+\s+(\S+?)([-+]0x[0-9a-f]+)?$", line)
        code = re.match(r"^\s+[0-9a-f]+:\s+(?:[a-z]+ )*?([a-z][a-z0-9.]*)\s*(.*)$", line)
        if reloc and pending:
            pending[3] = reloc.group(1)
            continue
        if pending:
            yield tuple(pending)
            pending = None
        if head:
            function = head.group(1)
        elif code:
            pending = [function, code.group(1), code.group(2).split("#")[0].strip(), None]
    if pending:
        yield tuple(pending)


def fault_of(mnemonic, operands, target, ours):
    if FORBIDDEN.match(mnemonic):
        return "may make a branch or an address of a vector, or takes time by its operands"
    if COMPARISON.match(mnemonic) and "mm" in operands and re.search(r"%k[0-7]", operands):
        return "makes a mask of a vector"
    if FROM_VECTOR.match(operands):
        return "moves a vector's contents into a general register"
    local = re.search(r"<([^+>]+)>$", operands)
    callee = target or (local.group(1) if local else operands)
    if mnemonic == "call" and callee not in MAY_CALL | ours:
        return f"calls {callee}"
    return None


def faults_of_source(source):
    for number, line in enumerate(open(source, encoding="utf-8"), 1):
        for word in INTRINSICS.findall(line):
            yield f"{source}:{number}: {word} takes a vector's contents to a general register or a mask"


def main():
    nb_instructions = 0
    faults = []
    for source in (name for name in sys.argv[1:] if name.endswith(".cc")):
        faults += faults_of_source(source)
    for archive in (name for name in sys.argv[1:] if name.endswith(".a")):
        code = list(instructions(archive))
        count = len(code)
        ours = {function for function, *_ in code}
        for function, mnemonic, operands, target in code:
            fault = fault_of(mnemonic, operands, target, ours)
            if fault:
                faults.append(f"{archive}: {function}: {mnemonic} {operands}: {fault}")
        if count < 100:
            faults.append(f"{archive}: only {count} instructions were read")
        nb_instructions += count
    print("\n".join(faults) if faults else f"{nb_instructions} instructions, none of them carries a secret away")
    return 1 if faults or not sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
