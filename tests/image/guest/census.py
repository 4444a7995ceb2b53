"""Looks at the machine from inside and prints what it saw, as one JSON object. Runs as root in the guest.

It asks the kernel (/proc, /sys, the TPM) and not the unit files: what is written there is a wish, what stands in
/proc/PID/status is so. questions.py says what each answer must be. Standard library only.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

UNITS = ("linekeep-recorder", "linekeep-vault", "linekeep-webui", "linekeep-front")
NAMESPACES = ("mnt", "net", "pid", "ipc", "uts", "user", "cgroup")
TREES = ("/var/lib/linekeep", "/etc/linekeep", "/run/linekeep", "/data")
PROGRAM = ("/opt/linekeep", "/usr", "/etc")
SYSCTLS = [
    "kernel/core_pattern",
    "kernel/kptr_restrict",
    "kernel/dmesg_restrict",
    "kernel/unprivileged_bpf_disabled",
    "kernel/yama/ptrace_scope",
    "kernel/kexec_load_disabled",
    "kernel/sysrq",
    "kernel/perf_event_paranoid",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/randomize_va_space",
    "kernel/tainted",
    "kernel/hostname",
    "fs/suid_dumpable",
    "fs/protected_symlinks",
    "fs/protected_hardlinks",
    "fs/protected_fifos",
    "fs/protected_regular",
    "net/core/bpf_jit_harden",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/conf/all/send_redirects",
    "net/ipv4/conf/all/accept_source_route",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv6/conf/all/accept_redirects",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/tcp_syncookies",
    "dev/tty/ldisc_autoload",
    "vm/unprivileged_userfaultfd",
    "vm/mmap_min_addr",
    "user/max_user_namespaces",
]

TPM_PERMANENT, TPM_STARTUP_CLEAR = 0x200, 0x201


def text(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError as error:
        return f"! {error.strerror}"


def said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"! {error}"
    return done.stdout.strip()


def process(pid: int) -> dict[str, Any]:
    home = Path(f"/proc/{pid}")
    status = dict(line.split(":\t", 1) for line in text(home / "status").splitlines() if ":\t" in line)
    return {
        "pid": pid,
        "status": status,
        "namespaces": {kind: os.readlink(home / "ns" / kind) for kind in NAMESPACES},
        "mounts": mounts(home / "mountinfo"),
        "limits": {line[:26].strip(): line[26:47].strip() for line in text(home / "limits").splitlines()[1:]},
        # The kernel gives the files of a process that cannot be dumped to root.
        "dumpable": (home / "environ").stat().st_uid != 0,
        "interfaces": sorted(line.split(":")[0].strip() for line in text(home / "net/dev").splitlines()[2:]),
        "devices": sorted(os.listdir(home / "root/dev")),
        "state": listed(home / "root/var/lib/linekeep"),
        "oom": int(text(home / "oom_score_adj")),
        "command": text(home / "cmdline").replace("\0", " "),
        "program": os.readlink(home / "exe"),
        "sockets": sorted({os.readlink(fd) for fd in (home / "fd").iterdir() if is_socket(fd)}),
    }


def listed(folder: Path) -> list[str]:
    """What a process finds in a folder; nothing if the folder is not there for it."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def is_socket(fd: Path) -> bool:
    try:
        return stat.S_ISSOCK(fd.stat().st_mode)
    except OSError:
        return False


def mounts(path: Path) -> list[dict[str, str]]:
    found = []
    for line in text(path).splitlines():
        before, after = line.split(" - ")
        fields, kind = before.split(), after.split()
        names = ("at", "options", "root", "kind", "from", "super")
        found.append(dict(zip(names, (fields[4], fields[5], fields[3], *kind[:3]), strict=True)))
    return found


def unit(name: str) -> dict[str, Any]:
    group = f"/sys/fs/cgroup/system.slice/{name}.service"
    pids = [int(pid) for pid in text(f"{group}/cgroup.procs").split() if pid.isdigit()]
    asked = "ActiveState,SubState,NRestarts,MainPID,WatchdogUSec,Type,ExecMainStartTimestampMonotonic,Result"
    shown = said("systemctl", "show", f"{name}.service", "-p", asked)
    return {
        "processes": [process(pid) for pid in pids],
        "swap_max": text(f"{group}/memory.swap.max"),
        "shown": dict(line.split("=", 1) for line in shown.splitlines() if "=" in line),
    }


def entry(path: Path) -> dict[str, Any]:
    seen = path.lstat()
    kinds = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "socket": stat.S_ISSOCK, "link": stat.S_ISLNK}
    kind = next((name for name, fits in kinds.items() if fits(seen.st_mode)), "other")
    return {
        "kind": kind,
        "mode": f"{stat.S_IMODE(seen.st_mode):04o}",
        "user": name_of(pwd.getpwuid, seen.st_uid),
        "group": name_of(grp.getgrgid, seen.st_gid),
        "bytes": seen.st_size,
    }


def name_of(look_up: Any, number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def tree(top: str) -> dict[str, Any]:
    return {str(path): entry(path) for path in [Path(top), *sorted(Path(top).rglob("*"))] if os.path.lexists(path)}


def strange_files() -> dict[str, list[str]]:
    """Of the whole root: what runs as another than who starts it, and what everybody may write."""
    found: dict[str, list[str]] = {"suid": [], "capable": [], "world_writable": [], "foreign_program": []}
    for folder, names, files in os.walk("/", followlinks=False):
        here = os.stat(folder).st_dev
        names[:] = [n for n in names if os.lstat(f"{folder}/{n}").st_dev == here]
        for name in [*names, *files]:
            path = f"{folder}/{name}".replace("//", "/")
            mode = os.lstat(path)
            if stat.S_ISREG(mode.st_mode) and mode.st_mode & 0o6000:
                found["suid"].append(path)
            if stat.S_ISREG(mode.st_mode) and "security.capability" in os.listxattr(path, follow_symlinks=False):
                found["capable"].append(path)
            if mode.st_mode & 0o002 and not stat.S_ISLNK(mode.st_mode) and not mode.st_mode & stat.S_ISVTX:
                found["world_writable"].append(path)
            if path.startswith(PROGRAM) and mode.st_uid != 0 and not path.startswith("/etc/linekeep"):
                found["foreign_program"].append(path)
    return found


def listening() -> list[dict[str, Any]]:
    """Sockets of the host's network namespace that wait for strangers: TCP that listens, every UDP, raw and packet."""
    found = []
    owners = inode_owners()
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in text(f"/proc/net/{kind}").splitlines()[1:]:
            fields = line.split()
            if kind.startswith("tcp") and fields[3] != "0A":
                continue
            address, port = fields[1].rsplit(":", 1)
            program = owners.get(f"socket:[{fields[9]}]", "?")
            found.append({"kind": kind, "address": readable(address), "port": int(port, 16), "by": program})
    packets = [line.split() for line in text("/proc/net/packet").splitlines()[1:]]
    found += [{"kind": "packet", "address": "", "port": 0, "by": owners.get(f"socket:[{f[-1]}]", "?")} for f in packets]
    return found


def readable(address: str) -> str:
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def inode_owners() -> dict[str, str]:
    owners = {}
    for home in Path("/proc").iterdir():
        if home.name.isdigit():
            try:
                for fd in (home / "fd").iterdir():
                    owners[os.readlink(fd)] = text(home / "comm")
            except OSError:
                continue
    return owners


def tpm() -> dict[str, Any]:
    """What the TPM says of itself, in its own bytes (TPM 2.0 Part 3, 30.2 TPM2_GetCapability)."""
    try:
        properties: dict[int, int] = {}
        for first in (TPM_PERMANENT, 0x20E):
            said_bytes = capability(6, first, 8)
            (count,) = struct.unpack_from(">I", said_bytes, 0)
            properties |= dict(struct.iter_unpack(">II", said_bytes[4 : 4 + 8 * count]))
        handles = {}
        kinds = {"persistent": 0x81000000, "nv": 0x01000000, "loaded_session": 0x02000000, "transient": 0x80000000}
        for name, first in kinds.items():
            said_bytes = capability(1, first, 64)
            (count,) = struct.unpack_from(">I", said_bytes, 0)
            handles[name] = [f"{h:#x}" for h in struct.unpack_from(f">{count}I", said_bytes, 4)]
    except OSError as error:
        return {"trouble": str(error)}
    permanent, clear = properties[TPM_PERMANENT], properties[TPM_STARTUP_CLEAR]
    bits = {"owner_auth": 0, "endorsement_auth": 1, "lockout_auth": 2, "disable_clear": 8, "in_lockout": 9}
    startup = {"storage": 1, "endorsement": 2, "platform_nv": 3, "orderly": 31}
    return {
        **{name: bool(permanent >> bit & 1) for name, bit in bits.items()},
        **{name: bool(clear >> bit & 1) for name, bit in startup.items()},
        "platform_obeys_everybody": platform_obeys_everybody(),
        "lockout_counter": properties.get(0x20E, -1),
        "max_auth_fail": properties.get(0x20F, -1),
        **handles,
    }


def capability(kind: int, first: int, count: int) -> bytes:
    code, answer = transact(struct.pack(">HIIIII", 0x8001, 22, 0x17A, kind, first, count))
    if code:
        raise OSError(f"the TPM said {code:#x}")
    return answer[5:]


def platform_obeys_everybody() -> bool:
    """Whether an empty password rules the platform hierarchy (TPM2_HierarchyControl, which leaves it as it is)."""
    password = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
    command = struct.pack(">II", 0x4000000C, len(password)) + password + struct.pack(">IB", 0x4000000C, 1)
    code, _ = transact(struct.pack(">HII", 0x8002, 10 + len(command), 0x121) + command)
    return code == 0


def transact(command: bytes) -> tuple[int, bytes]:
    """Returns: the response code, and what follows it."""
    device = os.open("/dev/tpmrm0", os.O_RDWR)
    try:
        os.write(device, command)
        answer = os.read(device, 4096)
    finally:
        os.close(device)
    return int.from_bytes(answer[6:10], "big"), answer[10:]


def mapped() -> list[dict[str, str]]:
    """Device mapper: name and what made it (CRYPT-VERITY-..., CRYPT-LUKS2-...), and whether it can be written."""
    asked = {"name": "dm/name", "uuid": "dm/uuid", "read_only": "ro"}
    devices_there = sorted(Path("/sys/block").glob("dm-*"))
    return [{name: text(device / file) for name, file in asked.items()} for device in devices_there]


def units_listed(*how: str) -> list[str]:
    listed = said("systemctl", "list-units", "--plain", "--no-legend", *how)
    return sorted(line.split()[0] for line in listed.splitlines() if line)


def census() -> dict[str, Any]:
    return {
        "units": {name: unit(name) for name in UNITS},
        "init": {kind: os.readlink(f"/proc/1/ns/{kind}") for kind in NAMESPACES},
        "mounts": mounts(Path("/proc/1/mountinfo")),
        "mapped": mapped(),
        "swaps": text("/proc/swaps").splitlines()[1:],
        "command_line": text("/proc/cmdline"),
        "sysctls": {name.replace("/", "."): text(f"/proc/sys/{name}") for name in SYSCTLS},
        "lockdown": text("/sys/kernel/security/lockdown"),
        "modules": sorted(line.split()[0] for line in text("/proc/modules").splitlines()),
        "users": {u.pw_name: [u.pw_uid, u.pw_shell, u.pw_dir] for u in pwd.getpwall()},
        "passwords": {line.split(":")[0]: line.split(":")[1] for line in text("/etc/shadow").splitlines()},
        "groups": {g.gr_name: sorted(g.gr_mem) for g in grp.getgrall()},
        "group_names": {str(g.gr_gid): g.gr_name for g in grp.getgrall()},
        "trees": {top: tree(top) for top in TREES},
        "strange": strange_files(),
        "devices": {str(path): entry(path) for path in devices()},
        "listening": listening(),
        "failed": units_listed("--failed"),
        "running": units_listed("--type=service", "--state=running"),
        "timers": units_listed("--type=timer"),
        "firewall": said("nft", "list", "ruleset"),
        "counters": counters(),
        "tpm": tpm(),
        "programs": sorted(os.listdir("/usr/bin") + os.listdir("/usr/sbin")),
        "wireless": [str(path) for path in Path("/sys/class/ieee80211").glob("*")],
        "terminals": sorted(home.name for home in Path("/proc").iterdir() if has_terminal(home)),
        "machine_id": text("/etc/machine-id"),
        "time": text("/proc/uptime"),
        "core_files": [str(path) for path in Path("/var/lib/systemd/coredump").glob("*")],
        "memory_total": text("/proc/meminfo").splitlines()[0],
    }


def devices() -> list[Path]:
    wanted = ("tpm*", "snd/*", "gpiochip*", "mem", "kmsg", "port", "vd?*", "sd?*", "mapper/*", "kvm", "fuse", "uinput")
    return [path for pattern in wanted for path in sorted(Path("/dev").glob(pattern))]


def has_terminal(home: Path) -> bool:
    try:
        return os.readlink(home / "fd/0").startswith("/dev/tty")
    except OSError:
        return False


def counters() -> dict[str, int]:
    try:
        listed = json.loads(said("nft", "-j", "list", "counters"))["nftables"]
    except (ValueError, KeyError):
        return {}
    return {each["counter"]["name"]: each["counter"]["packets"] for each in listed if "counter" in each}


if __name__ == "__main__":
    json.dump(census(), sys.stdout)
