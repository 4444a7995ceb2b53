"""Prints those requirements of a locked list that are meant for another Python than the one that runs this.

pip takes environment markers from the Python that it runs under, also when it downloads for another
(`--python-version`). So they are decided here, and lines that are left have none.
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement


def requirements_for(python: str, locked: str) -> str:
    """The list without the requirements that `python` (a version such as 3.13) does not need, and without markers."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    kept = []
    for entry in locked.replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        named, *hashes = entry.split("--hash=")
        requirement = Requirement(named.strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            kept.append(" ".join([str(requirement), *(f"--hash={each.strip()}" for each in hashes)]))
    return "".join(f"{line}\n" for line in kept)


if __name__ == "__main__":
    print(requirements_for(sys.argv[1], Path(sys.argv[2]).read_text("utf-8")), end="")  # noqa: T201 - its output
