"""When something about the machine is wrong: the box records if it can, loses nothing, and says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.recorder.ear.signals import Pcm
from tests.image.box import STATE, Box
from tests.image.conftest import FirstBoot
from tests.image.machine import SLOWER, Hardware
from tests.system.house import until

Switch = Callable[..., Box]


@pytest.fixture
def switched_on(first_boot: FirstBoot, tmp_path: Path) -> Iterator[Switch]:
    """The box of the first boot, in other circumstances."""
    with ExitStack() as stack:

        def switch(hardware: Hardware | None = None, prepare: Callable[[Box], None] = lambda box: None) -> Box:
            box = Box(first_boot.body.fork(tmp_path / "box"), hardware)
            prepare(box)
            stack.enter_context(box)
            box.wait_until_up()
            box.trust(first_boot.authority, first_boot.label.name)
            return box

        yield switch


def wait_until_page_says(box: Box, sentence: str) -> None:
    box.log_in()
    until(lambda: sentence in box.visitor.ask("/").text, 60 * SLOWER)


def test_with_another_machines_tpm_nothing_opens_and_nothing_is_made_anew(
    switched_on: Switch, first_boot: FirstBoot
) -> None:
    box = switched_on(prepare=lambda box: box.body.with_another_tpm())
    box.wait_until_settled()
    assert box.run("test", "-e", "/dev/mapper/data").code != 0
    assert not box.run("test", "-e", f"{STATE}/catalogue.sqlite")
    header = box.sh("blkid -p -o value -s TYPE $(readlink -f /dev/disk/by-partlabel/linekeep-data)").strip()
    assert header == "crypto_LUKS"
    assert box.label(says="TPM")


WHERE_ON_DISK = """
import fcntl, glob, os, struct, sys
path = sys.argv[1]
asked = bytearray(struct.pack("<QQIIII", 0, 2**40, 0, 0, 1, 0) + bytes(56))
with open(path, "rb") as file:
    fcntl.ioctl(file, 0xC020660B, asked)  # FS_IOC_FIEMAP
(root,) = [dm for dm in glob.glob("/sys/block/dm-*") if open(f"{dm}/dm/name").read().strip() == "root"]
starts = {name: int(open(f"/sys/class/block/{name}/start").read()) for name in os.listdir(f"{root}/slaves")}
sizes = {name: int(open(f"/sys/class/block/{name}/size").read()) for name in starts}
data = max(sizes, key=sizes.get)
print(starts[data] * 512 + int.from_bytes(asked[40:48], "little"))
"""
"""The byte of the whole disk at which a file of the root begins (fiemap, Documentation/filesystems/fiemap.rst)."""


def test_a_flipped_byte_of_the_root_is_noticed_and_not_read(switched_on: Switch) -> None:
    box = switched_on()
    path = "/usr/sbin/mkfs.ext4" if box.run("test", "-e", "/usr/sbin/mkfs.ext4") else "/usr/bin/perl"
    before = box.sh(f"sha256sum {path}")
    at = int(box.python(WHERE_ON_DISK, path))
    box.monitor("human-monitor-command", **{"command-line": f'qemu-io disk "write -P 90 {at + 100} 1"'})
    box.run("/bin/sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
    done = box.run("sha256sum", path, timeout_s=20)
    assert not done, (before, done)
    assert "verity" in box.sh("dmesg | tail -20"), done


def test_without_a_network_it_records(switched_on: Switch, said: Pcm) -> None:
    box = switched_on(Hardware(network=False))
    box.wait_for("recorder", "device_opened", timeout_s=120)
    box.call(said)
    assert box.label(says="no address in the network")


def test_without_a_sound_card_the_page_says_so(switched_on: Switch) -> None:
    box = switched_on(Hardware(sound=False))
    wait_until_page_says(box, "There is no sound device")


def test_with_a_clock_of_1970_it_records_and_keeps_what_it_has(
    switched_on: Switch, said: Pcm, first_boot: FirstBoot
) -> None:
    box = switched_on(Hardware(clock="1970-01-01T00:00:00"))
    box.wait_for("recorder", "device_opened", timeout_s=120)
    call = box.call(said)
    assert int(box.sh("date +%Y")) >= 2026, "it goes on from where it was"
    box.log_in()
    assert set(box.visitor.calls()) == {call, first_boot.call}
    print([chip for chip in box.visitor.live()["chips"] if chip["name"] == "clock"])


def test_with_a_disk_full_up_to_the_reserve_it_says_so_and_forgets_all_the_same(
    switched_on: Switch, first_boot: FirstBoot
) -> None:
    box = switched_on()
    box.wait_for("vault", "vault_ready", timeout_s=120)
    box.sh("fallocate -l $(($(df -B1 --output=avail /data | tail -1) - (32 << 20))) /data/filler")
    wait_until_page_says(box, "The disk is full up to its reserve, so nothing is recorded.")
    box.visitor.delete(first_boot.call)
    assert first_boot.call not in box.visitor.calls()


def test_on_a_disk_that_cannot_be_written_it_says_so(switched_on: Switch) -> None:
    box = switched_on(Hardware(read_only_disk=True))
    box.wait_until_settled()
    assert box.label(says="can be read but not written")


def test_without_a_tpm_it_says_so(switched_on: Switch) -> None:
    box = switched_on(Hardware(tpm=False))
    box.wait_until_settled()
    assert box.label(says="TPM")


def test_a_tpm_that_dies_while_it_runs_stops_no_running_recording(switched_on: Switch, said: Pcm) -> None:
    box = switched_on()
    box.wait_for("recorder", "device_opened", timeout_s=120)
    box.wait_for("vault", "vault_ready", timeout_s=120)
    end = box.say(said)
    box.wait_for("recorder", "call_recording_begun")
    box.kill_tpm()
    assert end.get(timeout=120 * SLOWER)
    box.wait_for("vault", "call_ended", timeout_s=120)
