"""Every range that a browser may ask for, against slices of real bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.ranges import RANGE_LIMIT_BYTES, ByteRange, OutsideTheAudio, parse_range

TOTAL = 3 * RANGE_LIMIT_BYTES
SIZES = st.integers(min_value=0, max_value=10_000)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-499", 0, 499),
        ("bytes=500-999", 500, 999),
        ("BYTES=7-7", 7, 7),
        ("bytes=-500", TOTAL - 500, TOTAL - 1),
        (f"bytes={TOTAL - 1}-", TOTAL - 1, TOTAL - 1),
        (f"bytes={TOTAL - 5}-{TOTAL + 5}", TOTAL - 5, TOTAL - 1),
    ],
)
def test_range_inside_the_audio_is_taken_as_asked(header: str, first: int, last: int) -> None:
    assert parse_range(header, TOTAL) == ByteRange(first=first, last=last)


@pytest.mark.parametrize("header", ["bytes=0-", f"bytes=0-{TOTAL}", f"bytes=-{TOTAL}", f"bytes=-{2 * TOTAL}"])
def test_range_that_asks_for_more_than_the_limit_is_cut_to_it(header: str) -> None:
    assert parse_range(header, TOTAL) == ByteRange(first=0, last=RANGE_LIMIT_BYTES - 1)


@pytest.mark.parametrize("header", [f"bytes={TOTAL}-", f"bytes={TOTAL}-{TOTAL + 9}", "bytes=-0"])
def test_range_behind_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(OutsideTheAudio):
        parse_range(header, TOTAL)


def test_no_range_of_an_empty_stream_can_be_satisfied() -> None:
    with pytest.raises(OutsideTheAudio):
        parse_range("bytes=0-", 0)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-3", "bytes=0-1,5-6", "items=0-3", "bytes=+1-2"],
)
def test_malformed_or_several_ranges_mean_the_whole(header: str) -> None:
    assert parse_range(header, TOTAL) is None


@given(total=SIZES, first=SIZES, last=st.none() | SIZES)
def test_range_names_exactly_the_bytes_that_slicing_gives(total: int, first: int, last: int | None) -> None:
    audio = bytes(at % 251 for at in range(total))
    header = f"bytes={first}-{'' if last is None else last}"
    expected = audio[first : None if last is None else last + 1]
    if last is not None and last < first:
        assert parse_range(header, total) is None
    elif not expected:
        with pytest.raises(OutsideTheAudio):
            parse_range(header, total)
    else:
        found = parse_range(header, total)
        assert found is not None
        assert audio[found.first : found.last + 1] == expected
        assert found.length == len(expected)
        assert found.content_range(total) == f"bytes {first}-{first + len(expected) - 1}/{total}"


@given(total=SIZES, suffix=st.integers(min_value=1, max_value=20_000))
def test_suffix_range_names_the_last_bytes(total: int, suffix: int) -> None:
    audio = bytes(at % 251 for at in range(total))
    if not total:
        with pytest.raises(OutsideTheAudio):
            parse_range(f"bytes=-{suffix}", total)
        return
    found = parse_range(f"bytes=-{suffix}", total)
    assert found is not None
    assert audio[found.first : found.last + 1] == audio[-suffix:]


@given(st.text(max_size=40))
def test_any_text_in_the_header_is_a_range_or_none(text: str) -> None:
    try:
        found = parse_range(text, TOTAL)
    except OutsideTheAudio:
        return
    assert found is None or 0 <= found.first <= found.last < TOTAL
