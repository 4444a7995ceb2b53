"""What is in an image, by name, version and licence: a CycloneDX 1.6 file, and a list for people.

Debian's packages are those that dpkg knows in the tree, and of the parts kernel and firmware; their licences
are the short names in their copyright files where these can be read by programs (DEP-5), else the file is named.
Python's are the wheels that were installed.
Source: CycloneDX 1.6 (ECMA-424); Package URL types deb and pypi.
"""

from __future__ import annotations

import argparse
import json
import re
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.parser import Parser
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Component:
    """A package in the image. purl: its Package URL."""

    name: str
    version: str
    purl: str
    licences: tuple[str, ...]


def debian_packages(tree: Path, only: re.Pattern[str] | None = None) -> Iterator[Component]:
    """What dpkg says is installed in a tree."""
    for paragraph in (tree / "var/lib/dpkg/status").read_text("utf-8").split("\n\n"):
        fields = Parser().parsestr(paragraph)
        name, version = fields["Package"], fields["Version"]
        if name is None or "ok installed" not in fields["Status"] or (only and not only.fullmatch(name)):
            continue
        purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A')}?arch={fields['Architecture']}&distro=trixie"
        yield Component(name=name, version=version, purl=purl, licences=_debian_licences(tree, name))


def python_packages(wheels: Path) -> Iterator[Component]:
    """What is in a folder of wheels."""
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            entry = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            fields = Parser().parsestr(archive.read(entry).decode("utf-8"))
        name, version = fields["Name"].lower().replace("_", "-"), fields["Version"]
        yield Component(name=name, version=version, purl=f"pkg:pypi/{name}@{version}", licences=_wheel_licences(fields))


def cyclonedx(components: Iterable[Component], *, version: str, serial: uuid.UUID, made_at: int) -> str:
    """The list for programs."""
    listed = [
        {
            "type": "library",
            "bom-ref": each.purl,
            "name": each.name,
            "version": each.version,
            "purl": each.purl,
            "licenses": [{"license": {"name": licence}} for licence in each.licences],
        }
        for each in components
    ]
    whole = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial.urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(made_at, UTC).isoformat(),
            "component": {"type": "firmware", "bom-ref": "linekeep", "name": "linekeep", "version": version},
        },
        "components": listed,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def licence_list(components: Iterable[Component]) -> str:
    """The list for people."""
    return "".join(f"{each.name} {each.version}: {', '.join(each.licences)}\n" for each in components)


def _debian_licences(tree: Path, name: str) -> tuple[str, ...]:
    copyright_file = tree / "usr/share/doc" / name / "copyright"
    try:
        text = copyright_file.read_text("utf-8", "replace")
    except OSError:
        text = ""
    found = re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)
    return tuple(sorted(set(found))) or (f"see /usr/share/doc/{name}/copyright",)


def _wheel_licences(fields: object) -> tuple[str, ...]:
    get = fields.get_all  # type: ignore[attr-defined]
    named = get("License-Expression") or [
        each.rpartition(" :: ")[2] for each in get("Classifier", []) if each.startswith("License ::")
    ]
    return tuple(named) or tuple(each.partition("\n")[0] for each in get("License", [])) or ("not stated",)


def main() -> None:
    """Write sbom.cdx.json and licences.txt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--serial", type=uuid.UUID, required=True)
    parser.add_argument("--made-at", type=int, required=True)
    parsed = parser.parse_args()
    from_parts = re.compile(r"linux-image-[0-9].*|systemd-boot-efi|raspi-firmware")
    components = sorted(
        {
            *debian_packages(parsed.stages / "base"),
            *debian_packages(parsed.stages / "parts", from_parts),
            *python_packages(parsed.stages / "wheels"),
        }
    )
    (parsed.stages / "sbom.cdx.json").write_text(
        cyclonedx(components, version=parsed.version, serial=parsed.serial, made_at=parsed.made_at), "utf-8"
    )
    (parsed.stages / "licences.txt").write_text(licence_list(components), "utf-8")


if __name__ == "__main__":
    main()
