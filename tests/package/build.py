#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the Debian package from the tree as it is: `./run package`.

The files that git knows (with their changes) are copied to a folder of their own and built there, so
that nothing of the build tree gets in. The last line is the package's path.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build/package"


def version():
    return re.match(r"meshgate \((\S+)\)", (ROOT / "debian/changelog").read_text())[1]


def copy_tree(target):
    """The files of the tree, without what git ignores."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, check=True, capture_output=True).stdout.split(b"\0")
    for name in map(os.fsdecode, filter(None, names)):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def build(folder, environment, log):
    """Builds below `folder`; the package's path."""
    shutil.rmtree(folder, ignore_errors=True)
    tree = folder / f"meshgate-{version()}"
    tree.mkdir(parents=True)
    copy_tree(tree)
    with open(log, "w", encoding="utf-8") as out:
        done = subprocess.run(["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=tree, stdout=out,
                              stderr=subprocess.STDOUT, env={**os.environ, **environment},
                              check=False)
    if done.returncode != 0:
        lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
        raise SystemExit("\n".join(lines[-40:]) + f"\npackage: the build failed; {log} has it all")
    return folder / f"meshgate_{version()}_amd64.deb"


def with_cache():
    """An environment in which the compiler's cache serves the build, if there is one."""
    cache = os.environ.get("CCACHE_DIR", str(Path.home() / ".cache/ccache"))
    return {"CCACHE_DIR": cache, "CCACHE_BASEDIR": str(OUT), "CCACHE_NOHASHDIR": "1",
            "CCACHE_SLOPPINESS": "pch_defines,time_macros"}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    made = build(OUT / "work", with_cache(), OUT / "build.log")
    for path in sorted((OUT / "work").glob("meshgate*_*.*")):
        shutil.move(path, OUT / path.name)
    shutil.rmtree(OUT / "work")
    print(OUT / made.name)


if __name__ == "__main__":
    sys.exit(main())
