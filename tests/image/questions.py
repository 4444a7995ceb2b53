"""What the machine is asked, and what it must answer: a table.

A question has a sentence, a way to look into the census (guest/census.py) and the answer that is right. The rights
of the daemons are rows of `RIGHTS`, the same table as in systemd/README.md; each row makes the same questions, so a
unit more is some thirty questions more. Answers are what the kernel shows, not what a unit file wishes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.systemd import matrix

Census = dict[str, Any]

CAPABILITIES = {"CAP_NET_BIND_SERVICE": 1 << 10}
STATE = "/var/lib/linekeep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    asked: str
    look: Callable[[Census], object]
    right: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A daemon's column of the matrix, as the kernel has to show it.

    groups: all of its own.
    capabilities: all it has, and all it can ever get.
    network: whether it sees the box's network; without, it is alone with a loopback interface.
    own_users: whether its user namespace knows nobody but itself.
    private_devices: it finds none of the box's devices in /dev.
    writes: where it may write that lasts, and to sockets; sees_state: what it finds in /var/lib/linekeep (None: all).
    holds_secrets: it must not be dumpable, for others of its user neither.
    """

    daemon: str
    groups: frozenset[str]
    capabilities: int
    network: bool
    own_users: bool
    private_devices: bool
    writes: frozenset[str]
    sees_state: frozenset[str] | None
    watchdog: bool
    holds_secrets: bool


def rights_of(daemon: str) -> Rights:
    """From the tables of systemd/README.md."""
    settings = {setting: cells[daemon] for setting, cells in matrix.table("What the kernel allows").items()}
    (groups,) = matrix.table("Groups").values()
    return Rights(
        daemon=daemon,
        groups=frozenset({f"linekeep-{daemon}", *groups[daemon].split()}),
        capabilities=sum(CAPABILITIES[name] for name in settings["CapabilityBoundingSet"].split()),
        network=settings["PrivateNetwork"] != "yes",
        own_users=settings["PrivateUsers"] == "yes",
        private_devices=settings["PrivateDevices"] == "yes",
        writes=frozenset(_box_paths(settings["ReadWritePaths"], settings["BindPaths"])),
        sees_state=_seen(settings),
        watchdog=bool(settings["WatchdogSec"]),
        holds_secrets=bool(settings["LimitMEMLOCK"]),
    )


def _box_paths(*settings: str) -> Iterator[str]:
    for path in " ".join(settings).split():
        if "linekeep" in path:
            yield path


def _seen(settings: dict[str, str]) -> frozenset[str] | None:
    """The first folders below the state that are there for it."""
    if STATE in settings["InaccessiblePaths"].split():
        return frozenset()
    if f"{STATE}:ro" not in settings["TemporaryFileSystem"].split():
        return None
    bound = _box_paths(settings["BindPaths"], settings["BindReadOnlyPaths"])
    return frozenset(path.removeprefix(f"{STATE}/").split("/")[0] for path in bound)


RIGHTS = tuple(rights_of(daemon) for daemon in matrix.DAEMONS)

SYSCTLS = {
    "kernel.core_pattern": "|/bin/false",
    "kernel.kptr_restrict": "2",
    "kernel.dmesg_restrict": "1",
    "kernel.yama.ptrace_scope": "3",
    "kernel.kexec_load_disabled": "1",
    "kernel.sysrq": "0",
    "kernel.perf_event_paranoid": "3",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "kernel.randomize_va_space": "2",
    "kernel.unprivileged_bpf_disabled": "1",
    "fs.suid_dumpable": "0",
    "fs.protected_symlinks": "1",
    "fs.protected_hardlinks": "1",
    "fs.protected_fifos": "2",
    "fs.protected_regular": "2",
    "net.core.bpf_jit_harden": "2",
    "net.ipv4.ip_forward": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv6.conf.all.accept_redirects": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "dev.tty.ldisc_autoload": "0",
    "vm.unprivileged_userfaultfd": "0",
    "vm.mmap_min_addr": "65536",
}

OPEN_PORTS = {
    ("tcp", 80): "nginx",
    ("tcp", 443): "nginx",
    ("tcp6", 80): "nginx",
    ("tcp6", 443): "nginx",
    ("udp", 5353): "systemd-resolve",
    ("udp6", 5353): "systemd-resolve",
    ("udp", 68): "systemd-network",
    ("udp6", 546): "systemd-network",
    ("raw6", 58): "systemd-network",
}
"""All that a stranger on the network finds, and whose it is."""

TPM_STATES = {
    "owner_auth": True,
    "lockout_auth": True,
    "in_lockout": False,
    "platform_obeys_everybody": False,
    "storage": True,
    "lockout_counter": 0,
    "loaded_session": [],
    "transient": [],
}

ABSENT_PROGRAMS = (
    "sshd", "ssh", "gcc", "cc", "make", "apt-get", "curl", "wget", "nc", "telnetd", "tcpdump", "gdb", "strace",
    "wpa_supplicant", "iw", "rfkill", "bluetoothd", "avahi-daemon", "cron", "at", "sudo", "mount.nfs",
)  # fmt: skip

STATE_RIGHTS = {
    "/etc/linekeep": ("0750", "root", "linekeep"),
    "/etc/linekeep/linekeep.toml": ("0640", "root", "linekeep"),
    "/var/lib/linekeep": ("0751", "linekeep-vault", "linekeep-vault"),
    "/var/lib/linekeep/recordings": ("0751", "linekeep-vault", "linekeep-vault"),
    "/var/lib/linekeep/recordings/growing": ("2770", "linekeep-recorder", "linekeep-vault"),
    "/var/lib/linekeep/tls": ("2750", "linekeep-vault", "linekeep-front"),
    "/var/lib/linekeep/tls/ca.pem": ("0644", "linekeep-vault", "linekeep-front"),
    "/var/lib/linekeep/tls/front.pem": ("0644", "linekeep-vault", "linekeep-front"),
    "/var/lib/linekeep/tls/front.key": ("0640", "linekeep-vault", "linekeep-front"),
    "/run/linekeep": ("0755", "root", "root"),
    "/run/linekeep/disk-key.sock": ("0600", "linekeep-vault", "linekeep-vault"),
    "/run/linekeep/recover.sock": ("0600", "root", "root"),
    "/run/linekeep/vault": ("0751", "linekeep-vault", "linekeep-vault"),
    "/run/linekeep/vault/recorder": ("2750", "linekeep-vault", "linekeep-recorder"),
    "/run/linekeep/vault/recorder/vault.sock": ("0660", "linekeep-vault", "linekeep-recorder"),
    "/run/linekeep/vault/webui": ("2750", "linekeep-vault", "linekeep-webui"),
    "/run/linekeep/vault/webui/vault.sock": ("0660", "linekeep-vault", "linekeep-webui"),
    "/run/linekeep/vault/console": ("0700", "linekeep-vault", "linekeep-vault"),
    "/run/linekeep/webui": ("0750", "linekeep-webui", "linekeep-front"),
    "/run/linekeep/webui/http.sock": ("0660", "linekeep-webui", "linekeep-front"),
    "/run/linekeep/front": ("0700", "linekeep-front", "linekeep-front"),
}


def questions() -> Iterator[Question]:
    for rights in RIGHTS:
        yield from _of_daemon(rights)
    yield from _of_people()
    yield from _of_files()
    yield from _of_disk()
    yield from _of_kernel()
    yield from _of_network()
    yield from _of_tpm()
    yield from _of_systemd()


# the daemons


def _of_daemon(rights: Rights) -> Iterator[Question]:
    daemon, user = rights.daemon, f"linekeep-{rights.daemon}"

    def ask(what: str, look: Callable[[Census, dict[str, Any]], object], right: object) -> Question:
        """Of every process of the unit; the answers must all be the same."""
        return Question(asked=f"{daemon}: {what}", look=lambda census: _of_all(census, user, look), right=right)

    def status(field: str, what: str, right: str) -> Question:
        return ask(what, lambda _, process: process["status"][field], right)

    bits = f"{rights.capabilities:016x}"
    yield ask("how is the unit?", lambda census, _: census["units"][user]["shown"]["ActiveState"], "active")
    yield ask("how often was it started again?", lambda census, _: census["units"][user]["shown"]["NRestarts"], "0")
    yield ask("who is it?", _user_names, user)
    yield ask("in which groups?", _group_names, rights.groups)
    yield status("CapEff", "which capabilities?", bits)
    yield status("CapPrm", "which may it take?", bits)
    yield status("CapBnd", "which may a program of its get?", bits)
    yield status("CapAmb", "which does it hand on?", bits)
    yield status("NoNewPrivs", "may it gain rights by starting a program? (1: no)", "1")
    yield status("Seccomp", "are its system calls filtered? (2: yes)", "2")
    yield status("Umask", "its umask", "0077")
    yield ask("what of it is in swap?", lambda _, process: process["status"]["VmSwap"].strip(), "0 kB")
    yield status("TracerPid", "does somebody trace it?", "0")
    if rights.holds_secrets:
        yield ask("may its memory be dumped?", lambda _, process: process["dumpable"], False)
    yield ask("how long may a core dump be?", lambda _, process: process["limits"]["Max core file size"], "0")
    yield ask("may the unit swap?", lambda census, _: census["units"][user]["swap_max"], "0")
    yield ask("does it see the box's mounts?", _shares("mnt"), False)
    yield ask("does it see the box's network?", _shares("net"), rights.network)
    yield ask("does it share memory with others?", _shares("ipc"), False)
    yield ask("does it know other users?", _shares("user"), not rights.own_users)
    if not rights.network:
        yield ask("its network interfaces", lambda _, process: process["interfaces"], ["lo"])
    yield ask("where may it write that lasts?", _writable_state, rights.writes)
    yield ask("is the root writable for it?", lambda _, process: _is_writable(process, "/"), False)
    yield ask("are others hidden in its /proc?", _hides_others, True)
    if rights.sees_state is not None:
        yield ask("what of the state is there for it?", _seen_state, rights.sees_state)
    if rights.private_devices:
        devices = {"tpm0", "tpmrm0", "snd", "vda", "mapper", "mem", "gpiochip0", "kmsg"}
        yield ask("the box's devices in its /dev", lambda _, process: devices & set(process["devices"]), set())
    yield ask("kernel tunables, writable?", _has_tunables, False)
    yield ask("control groups, writable?", lambda _, process: _is_writable(process, "/sys/fs/cgroup"), False)
    yield ask("the program, writable?", lambda _, process: _is_writable(process, "/opt"), False)
    yield ask("is it watched?", _is_watched, rights.watchdog)


def _is_watched(census: Census, process: dict[str, Any]) -> bool:
    """By systemd's watchdog, in microseconds, or "infinity"."""
    units = [unit for unit in census["units"].values() if process in unit["processes"]]
    return all(unit["shown"]["WatchdogUSec"] not in {"0", "infinity", ""} for unit in units)


def _has_tunables(_: Census, process: dict[str, Any]) -> bool:
    """Whether /proc/sys is there and can be written; with "subset=pid" it is not there."""
    return "subset=pid" not in _mount(process, "/proc")["super"] and _is_writable(process, "/proc/sys")


def _hides_others(_: Census, process: dict[str, Any]) -> bool:
    return "invisible" in _mount(process, "/proc")["super"]


def _of_all(census: Census, unit: str, look: Callable[[Census, dict[str, Any]], object]) -> object:
    found = [look(census, process) for process in census["units"][unit]["processes"]]
    if not found:
        return "no process"
    return found[0] if all(each == found[0] for each in found) else found


def _user_names(census: Census, process: dict[str, Any]) -> object:
    names = {str(entry[0]): name for name, entry in census["users"].items()}
    found = {names.get(number, number) for number in process["status"]["Uid"].split()}
    return found.pop() if len(found) == 1 else found


def _group_names(census: Census, process: dict[str, Any]) -> object:
    numbers = set(process["status"]["Gid"].split()) | set(process["status"]["Groups"].split())
    return {census["group_names"].get(number, number) for number in numbers}


def _shares(kind: str) -> Callable[[Census, dict[str, Any]], bool]:
    return lambda census, process: bool(process["namespaces"][kind] == census["init"][kind])


def _mount(process: dict[str, Any], path: str) -> dict[str, str]:
    """The mount on which this path lies for the process; of several over one another the last."""
    over = [each for each in process["mounts"] if path == each["at"] or path.startswith(each["at"].rstrip("/") + "/")]
    longest = max(len(each["at"]) for each in over)
    found: dict[str, str] = [each for each in over if len(each["at"]) == longest][-1]
    return found


def _is_writable(process: dict[str, Any], path: str) -> bool:
    mount = _mount(process, path)
    return "rw" in mount["options"].split(",")


def _writable_state(census: Census, process: dict[str, Any]) -> frozenset[str]:
    """Mounts of the state and of the sockets' folders that it may write to."""
    tops = ("/var/lib/linekeep", "/run/linekeep", "/etc/linekeep", "/data")
    writable = {each["at"] for each in process["mounts"] if "rw" in each["options"].split(",")}
    return frozenset(at for at in writable if at.startswith(tops))


def _seen_state(census: Census, process: dict[str, Any]) -> frozenset[str]:
    return frozenset(process["state"])


# everything else


def _of_people() -> Iterator[Question]:
    def with_password(census: Census) -> list[str]:
        return [name for name, kept in census["passwords"].items() if kept and kept[0] not in "!*"]

    yield Question(asked="who has a password?", look=with_password, right=[])
    yield Question(
        asked="whose password is empty?",
        look=lambda census: [name for name, kept in census["passwords"].items() if not kept],
        right=[],
    )
    yield Question(
        asked="who else has the number 0?",
        look=lambda census: [name for name, entry in census["users"].items() if entry[0] == 0],
        right=["root"],
    )
    for rights in RIGHTS:
        user = f"linekeep-{rights.daemon}"
        yield Question(
            asked=f"with which shell does {user} log in?",
            look=lambda census, user=user: census["users"][user][1],  # type: ignore[misc]
            right="/usr/sbin/nologin",
        )
    for group, members in {"audio": ["linekeep-recorder"], "tss": ["linekeep-vault"], "disk": [], "kmem": []}.items():
        yield Question(
            asked=f"who is in the group {group}?",
            look=lambda census, group=group: census["groups"].get(group, []),  # type: ignore[misc]
            right=members,
        )
    yield Question(asked="who sits at a terminal?", look=lambda census: census["terminals"], right=[])


def _of_files() -> Iterator[Question]:
    for path, right in STATE_RIGHTS.items():
        yield Question(
            asked=f"whose is {path}?",
            look=lambda census, path=path: _owner(census, path),  # type: ignore[misc]
            right=right,
        )
    yield Question(asked="what of the state may others read?", look=_readable_by_all, right=[])
    yield Question(asked="whose is everything else in the state?", look=_owners_of_state, right={"linekeep-vault"})
    for kind, asked in {
        "suid": "which programs run as their owner?",
        "capable": "which programs have capabilities of their own?",
        "world_writable": "what may everybody write?",
        "foreign_program": "what of the program is not root's?",
    }.items():
        yield Question(asked=asked, look=lambda census, kind=kind: census["strange"][kind], right=[])  # type: ignore[misc]
    for name in ABSENT_PROGRAMS:
        yield Question(
            asked=f"is there a program {name}?",
            look=lambda census, name=name: name in census["programs"],  # type: ignore[misc]
            right=False,
        )


def _owner(census: Census, path: str) -> object:
    for tree in census["trees"].values():
        if path in tree:
            entry = tree[path]
            return entry["mode"], entry["user"], entry["group"]
    return "not there"


_MAY_BE_SEEN = {"/var/lib/linekeep", "/var/lib/linekeep/recordings"}
_CERTIFICATES = ".pem"


def _readable_by_all(census: Census) -> list[str]:
    state = census["trees"]["/var/lib/linekeep"]
    readable = [path for path, entry in state.items() if int(entry["mode"], 8) & 0o006 and path not in _MAY_BE_SEEN]
    return [path for path in readable if not path.endswith(_CERTIFICATES)]


def _owners_of_state(census: Census) -> set[str]:
    state = census["trees"]["/var/lib/linekeep"]
    return {entry["user"] for path, entry in state.items() if "/growing" not in path}


def _of_disk() -> Iterator[Question]:
    yield Question(asked="what is the root?", look=lambda census: _at(census, "/")["kind"], right="erofs")
    yield Question(asked="is it read-only?", look=lambda c: "ro" in _at(c, "/")["super"].split(","), right=True)
    yield Question(asked="is it checked (verity)?", look=lambda c: _mapped(c, "CRYPT-VERITY"), right=["1"])
    yield Question(asked="is the data encrypted (LUKS2)?", look=lambda c: _mapped(c, "CRYPT-LUKS2"), right=["0"])
    yield Question(asked="from where is /data?", look=lambda c: _at(c, "/data")["from"], right="/dev/mapper/data")
    for path in ("/data", "/var", "/var/lib/linekeep", "/etc/linekeep", "/run", "/tmp", "/dev/shm"):  # noqa: S108
        for option in ("nosuid", "nodev", "noexec"):
            if path == "/run" and option == "noexec":
                continue
            yield Question(
                asked=f"{path}: {option}?",
                look=lambda census, path=path, option=option: option in _at(census, path)["options"].split(","),  # type: ignore[misc]
                right=True,
            )
    for path in ("/var/lib/linekeep", "/etc/linekeep"):
        yield Question(
            asked=f"{path}: on the encrypted partition?",
            look=lambda census, path=path: _at(census, path)["from"],  # type: ignore[misc]
            right="/dev/mapper/data",
        )
    yield Question(asked="where does it swap?", look=lambda census: census["swaps"], right=[])
    yield Question(asked="are there core dumps?", look=lambda census: census["core_files"], right=[])
    yield Question(asked="has it a name of its own?", look=_has_own_name, right=True)
    yield Question(asked="has it an id of its own?", look=lambda c: len(c["machine_id"]), right=32)


def _at(census: Census, path: str) -> dict[str, str]:
    return _mount({"mounts": census["mounts"]}, path)


def _has_own_name(census: Census) -> bool:
    return re.fullmatch(r"linekeep-[0-9a-f]{4}", census["sysctls"]["kernel.hostname"]) is not None


def _mapped(census: Census, kind: str) -> list[str]:
    return [each["read_only"] for each in census["mapped"] if each["uuid"].startswith(kind)]


def _of_kernel() -> Iterator[Question]:
    for name, right in SYSCTLS.items():
        yield Question(
            asked=f"sysctl {name}?",
            look=lambda census, name=name: census["sysctls"][name],  # type: ignore[misc]
            right=right,
        )
    for word in ("module.sig_enforce=1", "init_on_alloc=1", "slab_nomerge"):
        yield Question(
            asked=f"was it started with {word}?",
            look=lambda census, word=word: word in census["command_line"].split(),  # type: ignore[misc]
            right=True,
        )
    yield Question(asked="is the kernel locked against root?", look=lambda c: "[none]" in c["lockdown"], right=False)
    yield Question(asked="is the kernel tainted?", look=lambda c: c["sysctls"]["kernel.tainted"], right="0")
    yield Question(asked="which radios has it?", look=lambda census: census["wireless"], right=[])
    yield Question(asked="radio drivers loaded?", look=_radio, right=[])


def _radio(census: Census) -> list[str]:
    radio = ("cfg80211", "mac80211", "bluetooth", "nfc", "btusb")
    return [name for name in census["modules"] if name in radio]


def _of_network() -> Iterator[Question]:
    yield Question(
        asked="which ports does a stranger find besides?", look=lambda c: _ports(c) - set(OPEN_PORTS), right=set()
    )
    for kind, port in (("tcp", 443), ("tcp", 80), ("udp", 5353)):
        yield Question(
            asked=f"does he find {port}/{kind}?",
            look=lambda census, kind=kind, port=port: (kind, port) in _ports(census),  # type: ignore[misc]
            right=True,
        )
    yield Question(asked="whose are they?", look=_strange_owners, right=[])
    yield Question(asked="who reads packets past the firewall?", look=_packet_readers, right={"systemd-network"})
    for chain in ("input", "output", "forward"):
        policy = f"hook {chain} priority filter; policy drop;"
        yield Question(
            asked=f"firewall, {chain}: what happens to what nobody named?",
            look=lambda census, policy=policy: policy in census["firewall"],  # type: ignore[misc]
            right=True,
        )
    yield Question(
        asked="how many packets wanted out that may not?", look=lambda c: c["counters"]["out_refused"], right=0
    )
    yield Question(asked="do rules of the owner's open anything?", look=_owners_rules, right=[])


def _ports(census: Census) -> set[tuple[str, int]]:
    local = {"127.0.0.53", "127.0.0.54", "127.0.0.1", "::1"}
    strange = [each for each in census["listening"] if each["address"] not in local and each["kind"] != "packet"]
    return {(each["kind"], each["port"]) for each in strange}


def _strange_owners(census: Census) -> list[object]:
    listening = [each for each in census["listening"] if (each["kind"], each["port"]) in OPEN_PORTS]
    return [each for each in listening if not each["by"].startswith(OPEN_PORTS[each["kind"], each["port"]][:12])]


def _packet_readers(census: Census) -> set[str]:
    return {each["by"] for each in census["listening"] if each["kind"] == "packet"} | {"systemd-network"}


def _owners_rules(census: Census) -> list[str]:
    opened = []
    for chain in ("allowed_in", "allowed_out"):
        _, _, rest = census["firewall"].partition(f"chain {chain} {{")
        body, _, _ = rest.partition("}")
        opened += [line.strip() for line in body.splitlines() if line.strip()]
    return opened


def _of_tpm() -> Iterator[Question]:
    for name, right in TPM_STATES.items():
        yield Question(
            asked=f"TPM: {name}?",
            look=lambda census, name=name: census["tpm"].get(name, census["tpm"]),  # type: ignore[misc]
            right=right,
        )
    for device, right in {"/dev/tpm0": ("0660", "root"), "/dev/tpmrm0": ("0660", "tss")}.items():
        yield Question(
            asked=f"who may open {device}?",
            look=lambda census, device=device: _device(census, device),  # type: ignore[misc]
            right=right,
        )


def _device(census: Census, path: str) -> tuple[str, str]:
    entry = census["devices"][path]
    return entry["mode"], entry["group"]


def _of_systemd() -> Iterator[Question]:
    yield Question(asked="which units have failed?", look=lambda census: census["failed"], right=[])
    for unit in ("getty", "ssh", "cron", "avahi", "rpcbind", "apt-daily", "debug-shell", "rescue", "emergency"):
        yield Question(
            asked=f"does a unit {unit} run?",
            look=lambda census, unit=unit: [each for each in census["running"] if each.startswith(unit)],  # type: ignore[misc]
            right=[],
        )
    yield Question(
        asked="what is started by the clock?",
        look=lambda census: [each for each in census["timers"] if "tmpfiles-clean" not in each],
        right=[],
    )
