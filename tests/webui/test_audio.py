"""A call's sound, whole, in parts and as a file: every byte against the stream in the vault."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from appliance.boundary import verbs
from appliance.terms import DamagedRecording
from tests.simulators.vault_stub import (
    NOW_MS,
    StubCall,
    VaultStub,
    made_up_facts,
    murmur,
    speaking_call,
    trouble,
)
from webui.pages.audio import DECODED_AT_ONCE_BYTES
from webui.ranges import RANGE_LIMIT_BYTES
from webui.wav import wav_pieces

BIG = StubCall(
    facts=made_up_facts(1, NOW_MS),
    audio=np.random.default_rng(1).bytes(2 * RANGE_LIMIT_BYTES + 12_345),
    frames=1,
)
SPOKEN = speaking_call(made_up_facts(2, NOW_MS, seconds=2.5))
BIG_AUDIO = f"/calls/{BIG.facts.call}/audio.ogg"
SPOKEN_AT = f"/calls/{SPOKEN.facts.call}"


@pytest.fixture(autouse=True)
def kept(stub: VaultStub) -> None:
    stub.keep(BIG, SPOKEN)


def reads(stub: VaultStub) -> list[verbs.Read]:
    return [request for request in stub.requests(verbs.Read) if isinstance(request, verbs.Read)]


def test_whole_stream_comes_in_pieces_that_one_answer_holds(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.get(BIG_AUDIO)
    assert answer.status_code == 200
    assert answer.mimetype == "audio/ogg"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.content_length == len(BIG.audio)
    assert answer.data == BIG.audio
    assert [(read.offset, read.length) for read in reads(stub)] == [
        (0, RANGE_LIMIT_BYTES),
        (RANGE_LIMIT_BYTES, RANGE_LIMIT_BYTES),
        (2 * RANGE_LIMIT_BYTES, 12_345),
    ]
    assert {read.purpose for read in reads(stub)} == {verbs.Purpose.LISTEN}


# The vault's calls stay as they are while hypothesis tries its examples.
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.integers(min_value=0, max_value=len(BIG.audio) - 1),
    length=st.none() | st.integers(min_value=1, max_value=2 * RANGE_LIMIT_BYTES),
)
def test_part_is_the_bytes_that_its_header_names(owner: FlaskClient, first: int, length: int | None) -> None:
    last = "" if length is None else first + length - 1
    answer = owner.get(BIG_AUDIO, headers={"Range": f"bytes={first}-{last}"})
    expected = BIG.audio[first : first + min(length or len(BIG.audio), RANGE_LIMIT_BYTES)]
    assert answer.status_code == 206
    assert answer.data == expected
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(BIG.audio)}"


def test_range_behind_the_end_is_refused_with_the_length(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.get(BIG_AUDIO, headers={"Range": f"bytes={len(BIG.audio)}-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BIG.audio)}"
    assert reads(stub) == []


def test_condition_that_we_never_gave_means_the_whole(owner: FlaskClient) -> None:
    answer = owner.get(BIG_AUDIO, headers={"Range": "bytes=0-9", "If-Range": '"tag"'})
    assert (answer.status_code, answer.content_length) == (200, len(BIG.audio))


@pytest.mark.parametrize("way", ["audio.ogg", "download.ogg", "download.wav"])
def test_head_tells_the_length_and_opens_nothing(way: str, owner: FlaskClient, stub: VaultStub) -> None:
    head = owner.head(f"{SPOKEN_AT}/{way}")
    assert reads(stub) == []
    got = owner.get(f"{SPOKEN_AT}/{way}")
    assert head.status_code == got.status_code == 200
    assert head.content_length == got.content_length == len(got.data)
    assert head.data == b""


def test_head_of_a_part_opens_nothing(owner: FlaskClient, stub: VaultStub) -> None:
    head = owner.head(BIG_AUDIO, headers={"Range": "bytes=5-"})
    assert (head.status_code, head.content_length) == (206, RANGE_LIMIT_BYTES)
    assert reads(stub) == []


def test_ogg_download_is_the_stream_under_a_name_that_sorts(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.get(f"{SPOKEN_AT}/download.ogg", headers={"Range": "bytes=0-1"})
    assert answer.status_code == 200
    assert answer.data == SPOKEN.audio
    expected = 'attachment; filename="front-desk_2026-11-22_14-05-00.ogg"'
    assert answer.headers["Content-Disposition"] == expected
    assert {read.purpose for read in reads(stub)} == {verbs.Purpose.DOWNLOAD}


def test_wav_download_holds_every_frame_of_the_call(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.get(f"{SPOKEN_AT}/download.wav")
    assert answer.mimetype == "audio/wav"
    assert answer.content_length == len(answer.data) == 44 + 2 * SPOKEN.frames
    assert answer.headers["Content-Disposition"].endswith('_14-05-00.wav"')
    assert {read.purpose for read in reads(stub)} == {verbs.Purpose.DOWNLOAD}
    with wave.open(io.BytesIO(answer.data)) as sound:
        assert sound.getparams()[:4] == (1, 2, 8000, SPOKEN.frames)
        heard = np.frombuffer(sound.readframes(SPOKEN.frames), dtype="<i2").astype(float)
    spoken = murmur(2.5).astype(float)
    # The codec is lossy; anything but the same words at the same place is near 0.
    assert np.corrcoef(heard, spoken)[0, 1] > 0.7


def test_wav_of_two_sides_has_the_near_one_on_the_left(owner: FlaskClient, stub: VaultStub) -> None:
    voice = murmur(2.5)
    sides = np.stack((voice, np.zeros_like(voice)), axis=1)
    call = speaking_call(made_up_facts(4, NOW_MS, seconds=2.5), sides)
    stub.keep(call)
    answer = owner.get(f"/calls/{call.facts.call}/download.wav")
    assert answer.content_length == len(answer.data) == 44 + 4 * call.frames
    with wave.open(io.BytesIO(answer.data)) as sound:
        assert sound.getparams()[:4] == (2, 2, 8000, len(voice))
        near, far = np.frombuffer(sound.readframes(call.frames), dtype="<i2").reshape(-1, 2).T
    assert np.corrcoef(near, voice)[0, 1] > 0.7
    assert np.abs(far).max() <= 3


def test_stream_of_other_channels_than_its_facts_never_becomes_a_file() -> None:
    with pytest.raises(DamagedRecording, match="channels"):
        b"".join(wav_pieces([SPOKEN.audio], SPOKEN.frames, 2))


def test_long_wav_is_decoded_in_small_pieces(owner: FlaskClient, stub: VaultStub) -> None:
    long = speaking_call(made_up_facts(3, NOW_MS, seconds=60))
    stub.keep(long)
    answer = owner.get(f"/calls/{long.facts.call}/download.wav")
    assert len(answer.data) == 44 + 2 * long.frames
    assert len(reads(stub)) == -(-len(long.audio) // DECODED_AT_ONCE_BYTES) > 1


def test_stream_that_is_shorter_than_its_facts_never_becomes_a_whole_file() -> None:
    pieces = wav_pieces([SPOKEN.audio], SPOKEN.frames + 1, 1)
    assert len(next(pieces)) == 44 + 2 * SPOKEN.frames
    with pytest.raises(DamagedRecording):
        next(pieces)


def test_stream_that_is_longer_than_its_facts_is_cut_to_them() -> None:
    assert len(b"".join(wav_pieces([SPOKEN.audio], 800, 1))) == 44 + 2 * 800


def test_call_without_a_frame_is_an_empty_wav() -> None:
    assert len(b"".join(wav_pieces([], 0, 1))) == 44


def test_stream_that_is_no_opus_is_said_before_anything_is_sent(owner: FlaskClient) -> None:
    answer = owner.get(f"/calls/{BIG.facts.call}/download.wav")
    assert answer.status_code == 500
    assert "This recording is damaged" in answer.text
    assert "Content-Disposition" not in answer.headers


@pytest.mark.parametrize("way", ["audio.ogg", "download.ogg", "download.wav"])
def test_opening_that_the_vault_refuses_is_a_page_and_not_a_broken_sound(
    way: str, owner: FlaskClient, stub: VaultStub
) -> None:
    stub.troubles[verbs.Read] = trouble("TooManyOpenings", wait_s=90)
    answer = owner.get(f"{SPOKEN_AT}/{way}")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "90"
    assert answer.mimetype == "text/html"


def test_login_that_ends_while_listening_breaks_the_stream_off(owner: FlaskClient, stub: VaultStub) -> None:
    answer = owner.get(BIG_AUDIO, buffered=False)
    pieces = iter(answer.iter_encoded())
    assert next(pieces) == BIG.audio[:RANGE_LIMIT_BYTES]
    stub.end_logins()
    with pytest.raises(Exception, match="No"):
        next(pieces)
