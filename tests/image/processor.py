"""The processors that images are built for, and the machine that QEMU makes around each.

The one in question is the image's, named by LINEKEEP_ARCH as Debian writes it (amd64 if nobody says).
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """
    Args:
        native: what this processor is called by the kernel that runs on it.
        translated: the least of it that the image's programs ask for. Of wider registers translation makes only work.
        firmware: starts a kernel that QEMU was given, and hands the credentials on; empty: QEMU's own does.
        console: the kernel's name of the serial port, where the image's command line has none.
        has_tpm_driver: whether Debian's kernel sees a TPM of QEMU's; see tests/image/port_tpm.py.
    """

    native: str
    qemu: str
    machine: str
    translated: str
    firmware: str = ""
    console: str = ""
    has_tpm_driver: bool = True


_PROCESSORS = {
    "amd64": Processor(
        native="x86_64",
        qemu="qemu-system-x86_64",
        machine="q35",
        translated="Nehalem,+aes,+pclmulqdq,+popcnt,+rdrand",
    ),
    "arm64": Processor(
        native="aarch64",
        qemu="qemu-system-aarch64",
        machine="virt",
        translated="cortex-a72",
        firmware="/usr/share/qemu-efi-aarch64/QEMU_EFI.fd",
        console="ttyAMA0",
        has_tpm_driver=False,
    ),
}

PROCESSOR = _PROCESSORS[os.environ.get("LINEKEEP_ARCH", "amd64")]
