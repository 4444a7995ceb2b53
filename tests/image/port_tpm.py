"""A TPM for a machine whose kernel has no driver for QEMU's: swtpm at the end of a virtio port.

Debian's arm64 kernel is built with CONFIG_TCG_TIS off, the driver of the virt machine's tpm-tis-device. It has
tpm_vtpm_proxy, by which a program may play a TPM, and a port is what that program (guest/tpm.c) plays it from. Program
and module come in as credentials, as the bench's hand does, and are there before the initrd asks for the TPM.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).parent / "guest" / "tpm.c"
_NAME = "linekeep.tpm"
_MODULE = "tpm_vtpm_proxy"

UNIT_NAME = "bench-tpm.service"
UNIT = f"""
[Unit]
Description=The bench's TPM
DefaultDependencies=no
IgnoreOnIsolate=yes
SurviveFinalKillSignal=yes
[Service]
ExecStartPre=insmod /run/credentials/@system/bench.tpm-module
ExecStartPre=cp /run/credentials/@system/bench.tpm /run/bench-tpm
ExecStartPre=chmod 700 /run/bench-tpm
CPUSchedulingPolicy=rr
ExecStart=@/run/bench-tpm @bench-tpm /dev/virtio-ports/{_NAME}
StandardOutput=null
"""
"""It must outlive the change of root: hence the @ (systemd's rule for daemons of the root's storage) and two words.
The kernel waits two seconds for some answers, on a machine that is not as fast as it thinks: hence its priority."""

DROP_IN_NAME = "dev-tpmrm0.device~patience"
DROP_IN = "[Unit]\nJobRunningTimeoutSec=600s\n"
"""The image gives the TPM a minute, in which a slow machine does not get so far. The drop-in that sorts last counts."""

SWTPM_FLAGS = ("--flags", "not-need-init", "--locality", "allow-set-locality")
"""Nobody resets it but its own start; the kernel says for which locality it speaks."""


def swtpm_server(path: Path) -> list[str]:
    return ["--server", f"type=unixio,path={path}", *SWTPM_FLAGS]


def devices(path: Path) -> list[str]:
    """QEMU's end of it; needs a virtio-serial bus."""
    return ["-chardev", f"socket,id=tpm,path={path}", "-device", f"virtserialport,chardev=tpm,name={_NAME}"]


def secrets(folder: Path) -> dict[str, bytes]:
    """Program and module, by the names of their credentials. The program is compiled into this folder."""
    program = folder / "tpm-program"
    command = ["aarch64-linux-gnu-gcc", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,-z,max-page-size=4096"]
    subprocess.run([*command, "-o", str(program), str(_SOURCE)], check=True, timeout=60)
    parts = Path(os.environ["LINEKEEP_IMAGE"]).parent / "parts"
    (module,) = parts.glob(f"usr/lib/modules/*/kernel/drivers/char/tpm/{_MODULE}.ko.xz")
    return {"bench.tpm": program.read_bytes(), "bench.tpm-module": module.read_bytes()}
