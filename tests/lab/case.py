# SPDX-License-Identifier: Apache-2.0
"""Runs one test function of one file in a lab of its own: case.py FILE FUNCTION.

After the function itself, what must hold in every test is checked of every box: it still answers,
its packets add up, it ends cleanly, and its log names no bug.
"""

import importlib.util
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lab import Lab, claimed_processor  # noqa: E402 (the path comes first)


def main():
    file, function = Path(sys.argv[1]), sys.argv[2]
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with claimed_processor(), Lab() as lab:
        try:
            getattr(module, function)(lab)
            for box in lab.boxes:
                box.check_invariants()
            return 0
        except Exception:
            traceback.print_exc()
            print(lab.logs())
            return 1


if __name__ == "__main__":
    sys.exit(main())
