"""The image as it is, started by firmware: no shell in it, only what its owner sees by stick and page.

A body of its own: the data partition is bound to what the firmware says of itself (register 7), so what was made under
one firmware stays shut under another.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import ssl
import subprocess
from pathlib import Path

from tests.image.body import new_body
from tests.image.box import Box, settings
from tests.image.conftest import IMAGE, FirstBoot
from tests.image.machine import SLOWER, Hardware
from tests.system.house import until


def shown_certificates(box: Box) -> list[str]:
    """Those that the page shows (PEM), unchecked, as a browser's warning does; the authority's is the last."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{box.https_port}", "-showcerts"]
    shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return list(re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", shown.stdout, re.DOTALL))


def answers(box: Box, path: str, status: int) -> bool:
    try:
        return box.visitor.ask(path).status == status
    except OSError:
        return False


def test_firmware_starts_another_box_and_lets_nobody_in_but_its_owner(first_boot: FirstBoot, tmp_path: Path) -> None:
    body = new_body(tmp_path / "box", Path(IMAGE))
    body.put_on_stick("linekeep.toml", settings())
    with Box(body, dataclasses.replace(Hardware(), direct=None)) as box:
        label = box.label(timeout_s=180)
        assert label.name != first_boot.label.name, "two boxes of one name in a house"
        until(lambda: shown_certificates(box), 60 * SLOWER)
        authority = shown_certificates(box)[-1]
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority)).hexdigest() == label.fingerprint
        box.trust(authority, label.name)
        until(lambda: answers(box, "/claim", 200), 60 * SLOWER)
        assert box.visitor.claim(label.claim_code).status == 303
        # The bench's unit was offered, and is not there.
        assert not box.said_ready()
        # And again, now that there is a data partition to open.
        box.cut_power()
        box.power_on()
        box.log_in()
        assert box.visitor.calls() == []
        assert not box.said_ready()
