"""Nothing leaves: what was on the cable since power-on, as seen from outside the machine."""

from __future__ import annotations

from tests.image.box import Box
from tests.image.conftest import FirstBoot
from tests.image.packets import sent

TO_HAVE_AN_ADDRESS = {
    "ARP",
    "DHCP",
    "DHCPv6",
    "router solicitation",
    "neighbour solicitation",
    "neighbour advertisement",
    "MLD report",
    "IGMP report",
}
TO_BE_FOUND = {"mDNS"}
TO_ANSWER = {"TCP answer of port 443", "TCP answer of port 80"}


def test_whatever_the_box_sent_it_was_asked_for(box: Box) -> None:
    kinds = sent(box.packets(), box.hardware.mac)
    print(dict(kinds))
    assert set(kinds) <= TO_HAVE_AN_ADDRESS | TO_BE_FOUND | TO_ANSWER


def test_it_answers_to_its_own_name_in_the_network(box: Box, first_boot: FirstBoot) -> None:
    labels = first_boot.label.name.encode().split(b".")
    assert b"".join(bytes([len(label)]) + label for label in labels) in box.packets().read_bytes()


def test_the_capture_sees_what_is_sent(box: Box) -> None:
    kinds = sent(box.packets(), box.hardware.mac)
    assert kinds["ARP"] > 0
    assert kinds["TCP answer of port 443"] > 0
