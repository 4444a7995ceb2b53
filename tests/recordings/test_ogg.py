"""Pages as RFC 3533 has them: the fast checksum is the slow one, and only whole, unchanged pages are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recordings import ogg
from appliance.recordings.ogg import OggOpusStream
from appliance.terms import DamagedRecording
from tests.recordings.samples import frames_in, ogg_pages


@given(st.binary(max_size=600))
def test_fast_checksum_is_the_one_computed_bit_by_bit(content: bytes) -> None:
    register = 0
    for byte in content:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    assert ogg.checksum(content) == register


def test_head_pages_are_those_of_rfc_7845() -> None:
    head, tags = OggOpusStream(0x01020304, pre_skip=312).head_pages()
    # "OggS", version 0, first page, granule 0, serial, sequence 0, checksum, one packet of 19 bytes.
    assert head[:22] == b"OggS\0\2" + bytes(8) + b"\4\3\2\1" + bytes(4)
    assert head[26:] == b"\1\x13OpusHead\1\1\x38\1\x40\x1f\0\0\0\0\0"
    assert tags[5:22] == bytes(9) + b"\4\3\2\1\1\0\0\0"
    assert tags[26:] == b"\1\x18OpusTags\x08\0\0\0linekeep\0\0\0\0"


@given(st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=20), min_size=1, max_size=5))
def test_packets_of_any_size_come_back_page_by_page(pages: list[list[bytes]]) -> None:
    stream = OggOpusStream(1, pre_skip=0)
    written = b"".join(stream.page(packets, 960 * number, False) for number, packets in enumerate(pages))
    found = list(ogg.whole_pages(written))
    assert [page.granule for page in found] == [960 * number for number in range(len(pages))]
    assert sum(page.length for page in found) == len(written)
    assert [ogg.page_packets(written[page.offset : page.offset + page.length]) for page in found] == pages


def test_packets_that_overflow_a_page_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        OggOpusStream(1, pre_skip=0).page([b""] * 256, 0, False)


def test_incomplete_page_is_left_out_wherever_it_is_cut() -> None:
    first, second = ogg_pages(0)
    for length in range(len(second)):
        assert [page.length for page in ogg.whole_pages(first + second[:length])] == [len(first)]


def test_changed_page_is_refused_and_those_before_it_found() -> None:
    first, second = ogg_pages(0)
    for place in range(len(second)):
        changed = first + second[:place] + bytes([second[place] ^ 0x10]) + second[place + 1 :]
        pages = ogg.whole_pages(changed)
        assert next(pages).length == len(first)
        # A changed length may make the page look as if more of it were to come; it is never taken for whole.
        try:
            assert list(pages) == []
        except DamagedRecording:
            continue
        assert place >= 26


@given(st.binary(max_size=200))
def test_any_bytes_are_pages_or_refused(untrusted: bytes) -> None:
    try:
        pages = list(ogg.whole_pages(untrusted))
    except DamagedRecording:
        return
    assert pages == []


def test_last_page_keeps_everything_but_its_flag_and_checksum() -> None:
    page = ogg_pages(2)[2]
    last = ogg.as_last_page(page)
    assert [found.eos for found in ogg.whole_pages(page + last)] == [False, True]
    assert (last[:5], last[6:22], last[26:]) == (page[:5], page[6:22], page[26:])
    assert ogg.as_last_page(last) == last


@pytest.mark.parametrize("last", [False, True])
def test_torn_page_gives_its_whole_packets(last: bool) -> None:
    # One of 20 ms, one of 40 ms, and so on.
    packets = [bytes([8 + 8 * (packet % 2), packet]) * (1 + packet * 50) for packet in range(6)]
    granules = [0, 960, 2880, 3840, 5760, 6720, 8640]
    # As a last page it ends 500 granules before its last packet does.
    page = OggOpusStream(5, pre_skip=312).page(packets, 48_000 + granules[6] - (500 if last else 0), last)
    table_end = 27 + page[26]
    for length in range(len(page)):
        whole = 0
        while whole < 6 and length >= table_end + sum(len(packet) for packet in packets[: whole + 1]):
            whole += 1
        torn = ogg.salvage(page[:length], 48_000)
        if whole == 0:
            assert torn is None
            continue
        assert torn is not None
        found, content = torn
        assert ogg.page_packets(content) == packets[:whole]
        assert list(ogg.whole_pages(content)) == [found]
        assert (found.granule, found.eos) == (48_000 + granules[whole], False)
        assert content[14:22] == page[14:22]


@pytest.mark.parametrize(
    ("packet", "ms"),
    [
        (b"\x00", 10),
        (b"\x08", 20),
        (b"\x10", 40),
        (b"\x18", 60),
        (b"\x38", 60),
        (b"\x60", 10),
        (b"\x78", 20),
        (b"\x80", 2.5),
        (b"\xf8", 20),
        (b"\x09", 40),
        (b"\x0a", 40),
        (b"\x0b\x03", 60),
        (b"\x13\x41", 40),  # one frame of 40 ms, padded
        (b"\x83\x30", 120),
    ],
)
def test_packet_says_itself_how_long_it_plays(packet: bytes, ms: float) -> None:
    assert ogg.packet_granules(packet + bytes(9)) == 48 * ms


def test_torn_page_of_packets_that_say_nothing_is_refused() -> None:
    for packet in (b"", b"\x0b"):
        page = OggOpusStream(5, pre_skip=312).page([packet, b"\x08" * 9], 960, False)
        with pytest.raises(DamagedRecording):
            ogg.salvage(page[:-1], 0)


def test_packet_that_runs_over_two_pages_is_refused() -> None:
    page = ogg_pages(1)[2]
    continued = page[:5] + b"\1" + page[6:]
    running_on = page[:26] + b"\1\xff" + bytes(255)
    for odd in (continued, running_on):
        with pytest.raises(DamagedRecording):
            ogg.page_packets(odd)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"OpusTags" + bytes(11),
        b"OpusHead\2\1\0\0" + bytes(7),
        b"OpusHead\1\3\0\0" + bytes(7),
        b"OpusHead\1\0\0\0" + bytes(7),
        b"OpusHead\1\1\0\0" + bytes(6) + b"\1",
        b"OpusHead\1\1\0\0" + bytes(8),
    ],
)
def test_head_of_another_kind_of_stream_is_refused(head: bytes) -> None:
    with pytest.raises(DamagedRecording):
        ogg.parse_head(head)


def test_frames_are_counted_from_the_pre_skip_on() -> None:
    assert ogg.frames_at(48_312, 312) == 8000
    assert ogg.frames_at(312, 312) == 0
    assert ogg.frames_at(0, 312) < 0


def test_the_length_that_a_stream_tells_is_found_from_both_its_ends() -> None:
    pages = ogg_pages(5)
    assert ogg.frames_told(pages[0], pages[-1]) == (frames_in(5), 1)
    stream = b"".join(pages)
    assert ogg.frames_told(stream, stream) == (frames_in(5), 1)


def test_the_channels_that_a_stream_tells_are_found_in_its_head() -> None:
    pages = ogg_pages(5, channels=2)
    assert ogg.frames_told(pages[0], pages[-1]) == (frames_in(5), 2)


def test_letters_of_a_page_in_a_packet_are_no_page() -> None:
    stream = OggOpusStream(7, pre_skip=312)
    head, tags = stream.head_pages()
    last = stream.page([b"OggS\0" * 20, b"OggS\0"], 960 * 2, True)
    assert ogg.frames_told(head, head + tags + last) == (ogg.frames_at(960 * 2, 312), 1)


@pytest.mark.parametrize("end", [b"", b"OggS\0", b"no page at all" * 9], ids=["nothing", "letters", "noise"])
def test_a_stream_without_a_last_page_tells_no_length(end: bytes) -> None:
    pages = ogg_pages(5)
    with pytest.raises(DamagedRecording):
        ogg.frames_told(pages[0], b"".join(pages[:-1]) + end)
    with pytest.raises(DamagedRecording):
        ogg.frames_told(end, pages[-1])
