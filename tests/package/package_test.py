#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the Debian package is and does to a machine: `./run test package`.

Builds it, builds it again elsewhere without the compiler's cache, and lets Debian's own tools judge. A
machine of Debian's packages is made for that; nothing of this one is changed.
"""

import gzip
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import build

MAX_BYTES = 5_000_000
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


class Failure(Exception):
    pass


def run(*command, seconds=1800, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=seconds, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                      f"{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done.stdout


class Package:
    def __init__(self, folder, path):
        self.folder, self.path = folder, path
        self.machine = build.OUT / "base.tar.gz"

    def is_small(self):
        size = self.path.stat().st_size
        if size > MAX_BYTES:
            raise Failure(f"{size} bytes, more than {MAX_BYTES}")
        return f"{size} bytes"

    def has_no_lint(self):
        out = run("lintian", "--allow-root", "--fail-on", "error,warning", self.path)
        return out.strip() or "0 errors, 0 warnings"

    def has_pages_without_lint(self):
        names = run("dpkg-deb", "-c", self.path)
        pages = re.findall(r"\./(usr/share/man/man\d/\S+\.gz)", names)
        tree = self.folder / "tree"
        run("dpkg-deb", "-x", self.path, tree)
        for page in pages:
            plain = self.folder / "page"
            plain.write_bytes(gzip.decompress((tree / page).read_bytes()))
            run("mandoc", "-T", "lint", "-W", "error", plain)
        if len(pages) != 3:
            raise Failure(f"pages: {pages}")
        return f"{len(pages)} pages"

    def completes_in_three_shells(self):
        checker = build.ROOT / "tests/check/completion.py"
        run(sys.executable, checker, build.ROOT / "build/cli/meshgate", "bash", "zsh", "fish")

    def make_machine(self):
        """A bare Debian 12, for the two below."""
        # The lists of packages stay: apt is to install more.
        run("mmdebstrap", "--variant=apt", "--mode=root", "--skip=cleanup/apt/lists",
            "--include=systemd,iproute2,apt-utils",
            "--aptopt=Acquire::Check-Valid-Until \"false\"", "--aptopt=Acquire::Check-Date \"false\"",
            "bookworm", self.machine, *([SOURCES] if SOURCES.exists() else []))

    def installs_upgrades_and_purges(self):
        """piuparts: what is left after a purge, what is broken by an upgrade."""
        # A folder of apt's own, from looking whether the package asks questions.
        run("piuparts", "--basetgz", self.machine, "--distribution", "bookworm", "--no-eatmydata",
            "--skip-logrotatefiles-test", "--ignore=/var/cache/debconf/tmp.ci/", self.path, seconds=3000)

    def works_installed(self):
        """autopkgtest, in a chroot."""
        chroot = self.folder / "chroot"
        chroot.mkdir()
        run("tar", "-xf", self.machine, "-C", chroot)
        source = self.folder / "source"  # it copies all of it
        build.copy_tree(source)
        done = subprocess.run(["autopkgtest", "--no-built-binaries", self.path, source, "--",
                               "chroot", chroot], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(done.stdout[-5000:] + done.stderr[-5000:])

    def is_built_alike_twice(self):
        """Another folder, no cache, other locale, time zone and umask."""
        environment = {"CCACHE_DISABLE": "1", "TZ": "Pacific/Apia", "LC_ALL": "C.UTF-8"}
        os.umask(0o002)
        again = build.build(self.folder / "elsewhere", environment, build.OUT / "again.log")
        first, second = self.path.read_bytes(), again.read_bytes()
        if first != second:
            raise Failure(f"{self.path} and {again} differ; diffoscope says where")
        return run("sha256sum", self.path).split()[0]


CASES = ("is_small", "has_no_lint", "has_pages_without_lint", "completes_in_three_shells",
         "make_machine", "installs_upgrades_and_purges", "works_installed", "is_built_alike_twice")


def main():
    build.main()
    path = build.OUT / f"meshgate_{build.version()}_amd64.deb"
    failed = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        package = Package(Path(name), path)
        for case in CASES:
            started = time.monotonic()
            try:
                note = getattr(package, case)() or ""
                print(f"ok      package/{case}  {note}  {time.monotonic() - started:.1f} s", flush=True)
            except (Failure, OSError, subprocess.SubprocessError) as reason:
                failed.append(case)
                print(f"FAILED  package/{case}\n{reason}", flush=True)
    print(f"{len(CASES) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
