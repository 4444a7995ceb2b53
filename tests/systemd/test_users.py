"""Each cell of the files' table, tried as the real user while the real daemons run; and a call through all of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.terms import RATE_HZ
from tests.recorder.conftest import spoken  # noqa: F401 - a fixture
from tests.systemd.installed import Installed, may_make_namespaces
from tests.systemd.matrix import DAEMONS, table

GROWING = "/var/lib/linekeep/recordings/growing"
SOFTWARE_TPM = "/var/lib/linekeep/tpm/"
"""Of the test alone; a box has a chip."""

FILES = table("Files and sockets")
NEEDED = ("systemd-sysusers", "systemd-tmpfiles", "unshare", "nsenter", "setpriv", "ip", "swtpm")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the daemons' users"),
    *(pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed") for name in NEEDED),
    pytest.mark.skipif(not may_make_namespaces(), reason="root may not make namespaces here"),
]

TRY = """
import errno, os, socket, sys
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}

def may(act):
    try:
        act()
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return False
    return True

def create(folder):
    path = os.path.join(folder, "tried-" + str(os.getpid()))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    os.unlink(path)

def connect(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)

for path in sys.argv[1:]:
    if path.endswith(".sock"):
        rights = "c" * may(lambda: connect(path))
    elif path.endswith("/"):
        rights = "r" * may(lambda: os.listdir(path)) + "w" * may(lambda: create(path))
    else:
        rights = "r" * may(lambda: os.close(os.open(path, os.O_RDONLY)))
        rights += "w" * may(lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)))
    print(path, rights or "–")
"""

CLAIM = """
import http.client, ssl, sys, urllib.parse
PASSWORD = "a long password"
context = ssl.create_default_context(cafile="/var/lib/linekeep/tls/ca.pem")
page = http.client.HTTPSConnection("localhost", 443, context=context, timeout=30)
form = urllib.parse.urlencode({"code": sys.argv[1], "name": "Owner", "password": PASSWORD,
    "password_again": PASSWORD})
page.request("POST", "/claim", form, {"Content-Type": "application/x-www-form-urlencoded",
    "Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"})
answer = page.getresponse()
print(answer.status, answer.headers.get("Set-Cookie", "").split("=")[0])
"""

PLAIN = """
import http.client
page = http.client.HTTPConnection("localhost", 80, timeout=30)
page.request("GET", "/calls?x=1")
answer = page.getresponse()
print(answer.status, answer.headers["Location"])
"""


@pytest.fixture(scope="module")
def box(spoken: np.ndarray) -> Iterator[Installed]:  # noqa: F811
    quiet = np.random.default_rng(5).normal(0, 15, 6 * RATE_HZ).astype(np.int16)
    feed = np.concatenate((spoken[: 8 * RATE_HZ], quiet))[:, np.newaxis]
    with tempfile.TemporaryDirectory(prefix="lk-") as stage:
        installed = Installed(Path(stage), feed)
        try:
            installed.start()
            installed.wait_until(lambda: "vault_ready" in installed.log("vault"))
            installed.wait_until(lambda: "call_ended" in installed.log("vault"))
            yield installed
        finally:
            installed.stop()


@pytest.fixture(scope="module")
def rights(box: Installed) -> dict[str, dict[str, str]]:
    """Daemon -> path -> what its user may, as tried."""
    found = {}
    for daemon in DAEMONS:
        tried = box.python(f"linekeep-{daemon}", TRY, *FILES)
        assert tried.returncode == 0, tried.stderr
        found[daemon] = dict(line.rsplit(" ", 1) for line in tried.stdout.splitlines())
    return found


@pytest.mark.parametrize("daemon", DAEMONS)
@pytest.mark.parametrize("path", FILES)
def test_a_user_may_what_the_table_says_and_nothing_else(
    path: str, daemon: str, rights: dict[str, dict[str, str]]
) -> None:
    assert rights[daemon][path] == FILES[path][daemon]


def test_what_the_table_does_not_name_is_its_owners_alone(box: Installed) -> None:
    places = ("/var/lib/linekeep", "/run/linekeep", "/etc/linekeep")
    listed = box.run("root", "find", *places, "-printf", "%p%y %m %u\n").stdout.replace("d ", "/ ")
    for line in listed.splitlines():
        named, mode, user = line.split()
        path = named if named[-1] == "/" else named[:-1]
        if path not in FILES and not path.startswith((f"{GROWING}/", SOFTWARE_TPM)):
            assert int(mode, 8) & 0o077 == 0, line
            assert user != "root", line


@pytest.mark.parametrize("daemon", ["recorder", "vault", "webui"])
def test_what_a_daemon_remembers_goes_into_no_core_and_is_root_s_to_read(box: Installed, daemon: str) -> None:
    """And not its own user's: of a process that may be dumped, that reads the memory, and the surroundings too."""
    process = box.process(daemon)
    assert str(process.uids().real) == box.run("root", "id", "-u", f"linekeep-{daemon}").stdout.strip()
    reads = box.run(f"linekeep-{daemon}", "head", "-c1", f"/proc/{process.pid}/environ")
    assert (reads.returncode, reads.stdout) == (1, "")
    assert "Permission denied" in reads.stderr
    limits = Path(f"/proc/{process.pid}/limits").read_text("utf-8")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_a_call_goes_through_all_of_them_and_the_box_is_whole(box: Installed) -> None:
    box.wait_until(lambda: box.run("root", "ls", "/var/lib/linekeep/recordings/finished").stdout)
    checked = box.linekeep("check")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert "fault" not in box.log("vault") + box.log("recorder")


def test_root_reads_the_label_and_the_owner_claims_the_box_over_its_own_tls(box: Installed) -> None:
    label = json.loads(box.linekeep("claim-code", "--json").stdout)
    assert label["addresses"] == ["https://localhost/", "https://127.0.0.1/"]
    page = box.run(
        "root", "openssl", "x509", "-in", "/var/lib/linekeep/tls/ca.pem", "-noout", "-fingerprint", "-sha256"
    )
    assert page.stdout.strip().rpartition("=")[2].replace(":", "").lower() == label["page_fingerprint"]
    claimed = box.python("root", CLAIM, label["claim_code"])
    assert claimed.stdout == "303 __Host-login\n", claimed.stderr
    assert json.loads(box.linekeep("claim-code", "--json").stdout)["claim_code"] is None
    assert "has an owner already" in box.linekeep("claim-code").stdout


def test_a_visitor_without_tls_is_sent_to_the_page(box: Installed) -> None:
    assert box.python("root", PLAIN).stdout == "308 https://localhost/calls?x=1\n"


def test_what_root_does_alone_is_left_to_the_vault(box: Installed) -> None:
    box.kill("vault")
    box.kill("tpm")
    alone = box.linekeep("check")
    assert (alone.returncode, alone.stderr) == (0, "")
    roots = box.run("root", "find", "/var/lib/linekeep", "-user", "root")
    assert roots.stdout == ""
    box.start_tpm()
    box.start_daemon("vault")
    box.wait_until(lambda: box.log("vault").count("vault_ready") == 2)


def test_a_recorder_that_bars_its_folder_does_not_keep_the_vault_from_starting(box: Installed) -> None:
    """Or nothing would be forgotten any more. The last test here, since it leaves no recording."""
    for daemon in ("recorder", "vault"):
        box.kill(daemon)
    box.run("root", "find", "/var/lib/linekeep/recordings/finished", "-type", "f", "-delete")
    assert box.run("linekeep-recorder", "mkdir", f"{GROWING}/{'0' * 32}").returncode == 0
    assert box.run("linekeep-recorder", "chmod", "700", GROWING).returncode == 0
    box.start_daemon("vault")
    box.wait_until(lambda: box.log("vault").count("vault_ready") == 3)
    assert box.linekeep("claim-code").returncode == 0
