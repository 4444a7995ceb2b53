"""A machine in QEMU that runs the image as it is: power, console, network and a root shell in it.

Promises: kernel, initrd, root and data are the image's own. The shell comes in by systemd's own door, a credential in
the firmware's strings (SMBIOS type 11; systemd.system-credentials(7)), which names one more unit. The image shuts that
door by a word on the command line that its boot loader gives, so the bench starts the same kernel itself, with all
words but this one; test_firmware.py starts the image as it is. The network reaches nothing (`restrict`), each of its
packets is kept in a file, and only the forwarded ports lead in. Pulling the plug is kill -9 of QEMU: what the guest had
not flushed is lost, in the overlay's own tables too.

Accelerated by KVM where /dev/kvm opens and works, else by translation (slow, the same result).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import platform
import queue
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import TracebackType
from typing import Any, Self

from tests.image import port_tpm
from tests.image.body import Body
from tests.image.processor import PROCESSOR
from tests.system.house import free_port

AGENT = Path(__file__).parent / "guest" / "agent.py"
_PORT_NAME = "linekeep.bench"
_FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
_PROBE_S = 1.5
_ACCEPTS = 0x10000
"""Among the flags in /proc/net/unix: it listens (Linux, include/linux/net.h, __SO_ACCEPTCON)."""
"""After so long a KVM that cannot run firmware has said so."""

_AGENT_UNIT = f"""
[Unit]
Description=The bench's hand
DefaultDependencies=no
After=systemd-udevd.service
[Service]
ExecStart=/usr/bin/python3 /run/credentials/@system/bench.agent /dev/virtio-ports/{_PORT_NAME}
StandardOutput=null
"""

_LOOPBACK_UNIT = """
[Unit]
Description=The bench's telephone line
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/modprobe snd-aloop
"""

_TPM_PATIENCE = "[Unit]\nJobRunningTimeoutSec=600s\n"
"""The image gives the TPM a minute, and a slow machine may take longer to ask. The drop-in that sorts last counts."""


@functools.cache
def has_kvm() -> bool:
    """Whether a machine really runs under KVM: some open the device, and stop at the firmware's first steps."""
    if {platform.machine(), PROCESSOR.native} != {"x86_64"}:
        return False  # not tried on others
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35,accel=kvm", "-cpu", "host"]
    command += ["-drive", f"if=pflash,format=raw,readonly=on,file={_FIRMWARE}", "-qmp", "stdio"]
    ask = '{"execute": "qmp_capabilities"}\n{"execute": "query-status"}\n'
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True) as probe:
        assert probe.stdin is not None
        time.sleep(_PROBE_S)
        with contextlib.suppress(BrokenPipeError):
            probe.stdin.write(ask)
            probe.stdin.flush()
            time.sleep(0.5)
        probe.kill()
        return '"status": "running"' in probe.communicate()[0]


_ACCELERATION = ("kvm", "host") if has_kvm() else ("tcg,thread=multi,tb-size=512", PROCESSOR.translated)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectKernel:
    """A kernel that QEMU loads itself, for a disk without a boot loader."""

    kernel: Path
    initrd: Path
    command_line: str


_PATIENCE = "systemd.default_device_timeout_sec=600 systemd.default_timeout_start_sec=600"
"""For a processor that is always translated: what does not come at all is found out by the tests."""


def direct_kernel() -> DirectKernel | None:
    """Of the image that LINEKEEP_IMAGE names: what lies beside it."""
    folder = Path(os.environ.get("LINEKEEP_IMAGE", "")).parent
    if not (folder / "cmdline").exists():
        return None
    words = (folder / "cmdline").read_text("utf-8").strip()
    if PROCESSOR.console:
        words += f" console={PROCESSOR.console} {_PATIENCE}"
    return DirectKernel(kernel=folder / "vmlinuz", initrd=folder / "initrd.img", command_line=words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the machine has. The default is a box as it should be.

    clock: what the battery clock says at power-on, as QEMU's -rtc base.
    direct: without firmware and boot loader; None: with them.
    cores: one where code is translated: QEMU 7.2 crashes a kernel that patches itself while another core runs it.
    """

    network: bool = True
    tpm: bool = True
    sound: bool = True
    stick: bool = True
    read_only_disk: bool = False
    clock: str = "utc"
    mac: str = "52:54:00:12:34:56"
    direct: DirectKernel | None = field(default_factory=direct_kernel)
    cores: int = field(default_factory=lambda: 2 if has_kvm() else 1)
    memory_mib: int = 1024
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    def __bool__(self) -> bool:
        return self.code == 0


SLOWER = 1 if has_kvm() else 6
"""Time-outs are for KVM; translation takes about so many times longer."""

BOOTS_WITHIN_S = 90.0 * SLOWER


class Machine:
    """One body with the power on, as a context manager; power can come and go within it."""

    def __init__(self, body: Body, hardware: Hardware | None = None) -> None:
        self.body = body
        self.hardware = hardware or Hardware()
        self.https_port = free_port()
        self.http_port = free_port()
        self.powered_at_s = 0.0
        self._qemu: subprocess.Popen[bytes] | None = None
        self._swtpm: subprocess.Popen[bytes] | None = None
        self._hand: _Hand | None = None

    def __enter__(self) -> Self:
        try:
            self.power_on()
        except BaseException:
            self.cut_power()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()

    # power

    def power_on(self) -> None:
        """Switch it on; `wait_until_up` waits for what comes of it."""
        folder = self.body.folder
        for stale in ("tpm.sock", "qmp.sock", "hand.sock"):
            (folder / stale).unlink(missing_ok=True)
        if self.hardware.tpm:
            self._swtpm = _start_swtpm(self.body)
        self.powered_at_s = time.monotonic()
        self._qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _wait_for(folder / "hand.sock", self._qemu)
            self._hand = _Hand(folder / "hand.sock")
        except BaseException:
            self.cut_power()
            raise

    def cut_power(self) -> None:
        """Pull the plug. Nothing is said to the guest."""
        for process in (self._qemu, self._swtpm):
            if process is not None:
                process.kill()
                process.wait()
                if process.stderr is not None:
                    process.stderr.close()
        if self._hand is not None:
            self._hand.close()
        self._qemu = self._swtpm = self._hand = None

    def power_off(self) -> None:
        """Shut down in order, and wait for the end."""
        assert self._qemu is not None
        self.run("systemctl", "poweroff", "--no-block")
        self._qemu.wait(60 * SLOWER)
        self.cut_power()

    def reboot(self) -> None:
        """Restart in order, and wait until it is up again."""
        self.run("systemctl", "reboot", "--no-block")
        self.wait_until_up()

    def reset(self) -> None:
        """The reset button: the processor starts again, the disk's cache lives."""
        self.monitor("system_reset")
        self.wait_until_up()

    def kill_tpm(self) -> None:
        assert self._swtpm is not None
        self._swtpm.kill()
        self._swtpm.wait()

    @property
    def is_on(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    def wait_until_up(self, timeout_s: float = BOOTS_WITHIN_S) -> str:
        """Until there is a root shell; that is early in a boot. Returns: the boot's id."""
        assert self._hand is not None
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up and self.is_on:
            if boot := self._hand.said_ready(within_s=1.0):
                return boot
        ends = self._last_words()
        raise AssertionError(f"no shell within {timeout_s} s, or the power went; the console ends with:\n{ends}")

    def said_ready(self) -> bool:
        """Whether the bench has got in."""
        assert self._hand is not None
        return self._hand.said_ready(within_s=1.0) is not None

    def wait_until_settled(self, timeout_s: float = BOOTS_WITHIN_S) -> str:
        """Until systemd has nothing more to start. Returns: running, or degraded."""
        return self.run("systemctl", "is-system-running", "--wait", timeout_s=timeout_s).out.strip()

    # inside

    def run(self, *argv: str, typed: bytes = b"", timeout_s: float = 60.0) -> Done:
        """A command as root, to its end."""
        assert self._hand is not None, "the power is off"
        return self._hand.run(argv, typed, timeout_s * SLOWER)

    def sh(self, script: str, timeout_s: float = 60.0) -> str:
        """A line of shell that must succeed. Returns: what it prints."""
        done = self.run("/bin/sh", "-ec", script, timeout_s=timeout_s)
        assert done, (script, done)
        return done.out

    def python(
        self, script: str, *arguments: str, interpreter: str = "/usr/bin/python3", timeout_s: float = 60.0
    ) -> str:
        """A Python program that must succeed. Returns: what it prints."""
        done = self.run(interpreter, "-", *arguments, typed=script.encode(), timeout_s=timeout_s)
        assert done, (script[:200], done)
        return done.out

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        where = shlex.quote(path)
        script = f"mkdir -p $(dirname {where}); cat > {where}; chmod {mode:o} {where}"
        done = self.run("/bin/sh", "-ec", script, typed=content)
        assert done, done

    def background(self, *argv: str, typed: bytes = b"", timeout_s: float = 600.0) -> queue.SimpleQueue[Done]:
        """A command that goes on by itself. Returns: where its end will be told."""
        assert self._hand is not None, "the power is off"
        return self._hand.start(argv, typed, timeout_s * SLOWER)

    # outside

    def console(self) -> str:
        path = self.body.folder / "console.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _last_words(self) -> str:
        if self._qemu is not None and self._qemu.poll() is not None and self._qemu.stderr is not None:
            return self._qemu.stderr.read().decode("utf-8", "replace")
        return self.console()[-3000:]

    def packets(self) -> Path:
        """All that was on the network since power-on, as pcap."""
        return self.body.folder / "network.pcap"

    def monitor(self, command: str, **arguments: Any) -> Any:
        """One command to QEMU itself (QMP)."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(20)
            line.connect(str(self.body.folder / "qmp.sock"))
            with line.makefile("rw") as talk:
                json.loads(talk.readline())
                for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    talk.write(json.dumps(order) + "\n")
                    talk.flush()
                    while "event" in (said := json.loads(talk.readline())):
                        pass
                assert "return" in said, said
                return said["return"]

    # how it is built

    def _command(self) -> list[str]:
        folder, hardware = self.body.folder, self.hardware
        command = [PROCESSOR.qemu, "-nodefaults", "-no-user-config", "-display", "none"]
        command += ["-machine", PROCESSOR.machine, "-accel", _ACCELERATION[0], "-cpu", _ACCELERATION[1]]
        command += ["-smp", str(hardware.cores), "-m", str(hardware.memory_mib)]
        command += ["-rtc", f"base={hardware.clock}", "-device", "virtio-rng-pci"]
        command += ["-chardev", f"file,id=console,path={folder}/console.log,append=on", "-serial", "chardev:console"]
        command += ["-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off"]
        locked = "on" if hardware.read_only_disk else "off"
        command += ["-drive", f"if=none,id=disk,file={self.body.disk},format=qcow2,discard=unmap,readonly={locked}"]
        command += ["-device", "virtio-blk-pci,drive=disk,serial=bench,bootindex=1"]
        command += ["-chardev", f"socket,id=hand,path={folder}/hand.sock,server=on,wait=off"]
        command += ["-device", "virtio-serial-pci"]
        command += ["-device", f"virtserialport,chardev=hand,name={_PORT_NAME}"]
        return [*command, *self._boot(), *self._tpm(), *self._stick(), *self._network(), *self._credentials()]

    def _boot(self) -> list[str]:
        direct = self.hardware.direct
        if direct is not None:
            command = ["-kernel", str(direct.kernel), "-initrd", str(direct.initrd), "-append", direct.command_line]
            return [*command, "-bios", PROCESSOR.firmware] if PROCESSOR.firmware else command
        flash = "if=pflash,format=raw"
        return ["-drive", f"{flash},readonly=on,file={_FIRMWARE}", "-drive", f"{flash},file={self.body.firmware}"]

    def _tpm(self) -> list[str]:
        if not self.hardware.tpm:
            return []
        if not PROCESSOR.has_tpm_driver:
            return port_tpm.devices(self.body.folder / "tpm.sock")
        command = ["-chardev", f"socket,id=tpm,path={self.body.folder}/tpm.sock"]
        return [*command, "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]

    def _stick(self) -> list[str]:
        if not (self.hardware.stick and self.body.stick.exists()):
            return []
        node = f"driver=raw,node-name=stick,file.driver=file,file.filename={self.body.stick}"
        plug = "usb-storage,id=stick-plug,drive=stick,removable=on"
        return ["-device", "qemu-xhci", "-blockdev", node, "-device", plug]

    def _network(self) -> list[str]:
        if not self.hardware.network:
            return []
        ports = ((self.https_port, 443), (self.http_port, 80))
        lan = "user,id=lan,restrict=on" + "".join(f",hostfwd=tcp:127.0.0.1:{a}-:{b}" for a, b in ports)
        command = ["-netdev", lan, "-device", f"virtio-net-pci,netdev=lan,mac={self.hardware.mac}"]
        return [*command, "-object", f"filter-dump,id=ear,netdev=lan,file={self.packets()}"]

    def _credentials(self) -> list[str]:
        units = {"bench-agent.service": _AGENT_UNIT, **self.hardware.units}
        if self.hardware.sound:
            units["bench-line.service"] = _LOOPBACK_UNIT
        secrets = {"bench.agent": AGENT.read_bytes()}
        drop_ins = {"dev-tpmrm0.device~patience": _TPM_PATIENCE} if self.hardware.tpm and not has_kvm() else {}
        if self.hardware.tpm and not PROCESSOR.has_tpm_driver:
            units[port_tpm.UNIT_NAME] = port_tpm.UNIT
            secrets |= port_tpm.secrets(self.body.folder)
        drop_ins["sysinit.target~bench"] = "[Unit]\nWants=" + " ".join(units) + "\n"
        secrets |= {f"systemd.extra-unit.{name}": text.encode() for name, text in units.items()}
        secrets |= {f"systemd.unit-dropin.{name}": text.encode() for name, text in drop_ins.items()}
        command: list[str] = []
        for number, (name, secret) in enumerate(secrets.items()):
            path = self.body.folder / f"credential-{number}"
            path.write_text(f"io.systemd.credential.binary:{name}={base64.b64encode(secret).decode()}")
            command += ["-smbios", f"type=11,path={path}"]
        return command


class _Hand:
    """The agent's other end."""

    def __init__(self, path: Path) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(path))
        self._waiting: dict[int, queue.SimpleQueue[Done]] = {}
        self._ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._speaking = threading.Lock()
        self._last = 0
        threading.Thread(target=self._hear, daemon=True).start()

    def said_ready(self, within_s: float) -> str | None:
        """The id of a boot that has got as far as a shell."""
        try:
            return self._ready.get(timeout=within_s)
        except queue.Empty:
            return None

    def run(self, argv: Sequence[str], typed: bytes, timeout_s: float) -> Done:
        end = self.start(argv, typed, timeout_s)
        try:
            return end.get(timeout=timeout_s + 10)
        except queue.Empty:
            raise AssertionError(f"no answer to {argv} in {timeout_s} s") from None

    def start(self, argv: Sequence[str], typed: bytes, timeout_s: float) -> queue.SimpleQueue[Done]:
        end: queue.SimpleQueue[Done] = queue.SimpleQueue()
        with self._speaking:
            self._last += 1
            self._waiting[self._last] = end
            order = {"id": self._last, "argv": list(argv), "timeout_s": timeout_s}
            order["typed"] = base64.b64encode(typed).decode()
            self._line.sendall(json.dumps(order).encode() + b"\n")
        return end

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()

    def _hear(self) -> None:
        with contextlib.suppress(OSError), self._line.makefile("rb") as heard:
            for line in heard:
                told = _parsed(line)
                if "ready" in told:
                    self._ready.put(told["ready"])
                elif (end := self._waiting.pop(told.get("id", 0), None)) is not None:
                    out, err = (base64.b64decode(told[name]).decode("utf-8", "replace") for name in ("out", "err"))
                    end.put(Done(code=told["code"], out=out, err=err))


def _parsed(line: bytes) -> dict[str, Any]:
    """A line of the agent's; what a reset cut off is nothing."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _start_swtpm(body: Body) -> subprocess.Popen[bytes]:
    path = body.folder.absolute() / "tpm.sock"
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={body.tpm.absolute()}", "--terminate"]
    ends = ["--ctrl", f"type=unixio,path={path}"] if PROCESSOR.has_tpm_driver else port_tpm.swtpm_server(path)
    process = subprocess.Popen([*command, *ends], stdin=subprocess.DEVNULL)
    _wait_for(path, process)
    return process


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process hears on its socket: the file is there a moment before."""
    give_up = time.monotonic() + 20
    while not _is_heard_on(path):
        if process.poll() is not None or time.monotonic() > give_up:
            said = process.stderr.read().decode() if process.stderr else ""
            raise AssertionError(f"{process.args!r} did not start: {said}")
        time.sleep(0.01)


def _is_heard_on(path: Path) -> bool:
    sockets = [line.split() for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]]
    return any(int(each[3], 16) & _ACCEPTS for each in sockets if each[-1] == str(path))


@contextlib.contextmanager
def running(body: Body, hardware: Hardware | None = None) -> Iterator[Machine]:
    """A machine that is up."""
    with Machine(body, hardware) as machine:
        machine.wait_until_up()
        yield machine
