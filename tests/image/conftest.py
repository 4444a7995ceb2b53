"""The image under test, and the box that these tests share.

Nothing here runs with the other tests: an image has to be built first. `make check-image` names it in LINEKEEP_IMAGE.
The first boot is lived once, with an owner and a call; what lasts of it is the body from which the others start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.recorder.ear.signals import Pcm
from tests.image.body import Body, new_body
from tests.image.box import Box, Label, settings
from tests.image.inside import ask_census
from tests.system.sounds import as_on_the_line, conversation, write_wav

IMAGE = os.environ.get("LINEKEEP_IMAGE", "")

if not IMAGE:
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBoot:
    """What the first boot was like, and what is left of it. `call`: the one that was had, `said` what was said."""

    body: Body
    label: Label
    authority: str
    call: str
    said: Pcm
    wav: bytes
    settled: str
    took_s: float
    stages: dict[str, float]


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Pcm:
    """A conversation, as it is on the line."""
    return as_on_the_line(write_wav(tmp_path_factory.mktemp("said") / "said.wav", conversation(15)))[:, 0]


@pytest.fixture(scope="session")
def first_boot(tmp_path_factory: pytest.TempPathFactory, said: Pcm) -> FirstBoot:
    body = new_body(tmp_path_factory.mktemp("image") / "first", Path(IMAGE))
    body.put_on_stick("linekeep.toml", settings())
    began_s = time.monotonic()
    with Box(body) as box:
        box.wait_until_up()
        label = box.label(timeout_s=180)
        took_s = time.monotonic() - began_s
        settled = box.wait_until_settled()
        authority = box.authority()
        box.trust(authority, label.name)
        claimed = box.visitor.claim(label.claim_code)
        assert claimed.status == 303, claimed.text
        call = box.call(said)
        wav = box.visitor.download(call)
        stages = box.stages()
        box.power_off()
    return FirstBoot(
        body=body,
        label=label,
        authority=authority,
        call=call,
        said=said,
        wav=wav,
        settled=settled,
        took_s=took_s,
        stages=stages,
    )


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory, first_boot: FirstBoot) -> Iterator[Box]:
    """A box with an owner and a call, switched on for the second time. Tests that use it leave it as it is."""
    with Box(first_boot.body.fork(tmp_path_factory.mktemp("image") / "shared")) as box:
        box.wait_until_up()
        box.wait_until_settled()
        box.wait_for("vault", "vault_ready")
        box.trust(first_boot.authority, first_boot.label.name)
        box.log_in()
        yield box


@pytest.fixture(scope="session")
def census(box: Box) -> dict[str, Any]:
    return ask_census(box)
