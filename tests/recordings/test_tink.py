"""A second implementation agrees: Tink (tests only) opens what we seal, byte for byte, and we open what it seals."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pytest
import tink
from tink import aead, cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, aes_gcm_pb2, common_pb2, tink_pb2

from appliance.recordings import container, sealing
from appliance.recordings.reader import RecordingReader
from appliance.terms import CallId
from tests.recordings.samples import CALL, KEY, OTHER_CALL, SEGMENT, ogg_pages, write_recording

ASSOCIATED = CALL.encode()


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    aead.register()
    streaming_aead.register()


@pytest.mark.parametrize("channels", [1, 2])
def test_tink_decrypts_our_recording_byte_for_byte(tmp_path: Path, channels: Literal[1, 2]) -> None:
    sealed = write_recording(tmp_path / CALL, pages=12, gaps=40, channels=channels)
    plaintext = _tink_opened(KEY, sealed, CALL)
    audio = b"".join(ogg_pages(12, channels=channels))
    opening = container.decode_opening(plaintext[:968])
    assert (opening.call, opening.channels) == (CALL, channels)
    assert plaintext[968 : 968 + len(audio)] == audio
    assert container.decode_closing(plaintext[968 + len(audio) : -8], 3).audio_bytes == len(audio)
    assert int.from_bytes(plaintext[-8:], "big") == 968 + len(audio)


@pytest.mark.parametrize("extra", range(-2, 3))
def test_tink_decrypts_our_recording_whatever_its_last_segment_holds(tmp_path: Path, extra: int) -> None:
    plaintext = bytes(968 + 1008 + 1008 + extra)
    sealer = sealing.SegmentSealer(KEY, ASSOCIATED)
    pieces = [plaintext[:968], plaintext[968:1976], plaintext[1976:2984], plaintext[2984:]]
    whole = [piece for piece in pieces if piece]
    sealed = b"".join(sealer.seal(number, piece, number == len(whole) - 1) for number, piece in enumerate(whole))
    assert _tink_opened(KEY, sealer.header + sealed, CALL) == plaintext
    assert len(sealer.header + sealed) == container.file_bytes_of(len(plaintext))


def test_our_reader_opens_what_tink_sealed(tmp_path: Path) -> None:
    plaintext = _tink_opened(KEY, write_recording(tmp_path / "ours"), CALL)
    (tmp_path / "tinks").write_bytes(_tink_sealed(KEY, plaintext))
    with RecordingReader(tmp_path / "tinks", call=CALL, key=KEY) as reader:
        reader.verify()
        assert reader.read_audio(0, reader.audio_bytes) == b"".join(ogg_pages(4))


def test_our_opener_opens_every_segment_that_tink_sealed() -> None:
    plaintext = bytes(range(256)) * 20
    sealed = _tink_sealed(KEY, plaintext)
    opener = sealing.SegmentOpener(KEY, ASSOCIATED, sealed[:40])
    count = container.segments_in(len(sealed))
    opened = [
        opener.open(number, sealed[container.file_start(number) : (number + 1) * SEGMENT], number == count - 1)
        for number in range(count)
    ]
    assert b"".join(opened) == plaintext


def test_tink_refuses_our_recording_for_another_call(tmp_path: Path) -> None:
    sealed = write_recording(tmp_path / CALL)
    with pytest.raises(tink.TinkError):
        _tink_opened(KEY, sealed, OTHER_CALL)


def test_tink_opens_the_known_card() -> None:
    sealed = sealing._KNOWN_HEADER[:12] + sealing._KNOWN_CARD
    derived = sealing._derive(sealing._KNOWN_KEY, salt=None, info=b"linekeep card 1")
    padded = _aes_gcm(derived).decrypt(sealed, sealing._KNOWN_CALL.encode())
    assert padded == b"\0\0\0\4card" + bytes(248)


def test_tink_unwraps_our_wrapped_key() -> None:
    bucket_key = bytes(range(32))
    wrapped = sealing.wrap_key(bucket_key, CALL, "day-1", KEY)
    assert _aes_gcm(bucket_key).decrypt(wrapped, b"linekeep call key 1\0" + ASSOCIATED + b"\0day-1") == KEY


def _tink_opened(key: bytes, sealed: bytes, call: CallId) -> bytes:
    primitive = _streaming(key)
    with primitive.new_decrypting_stream(io.BytesIO(sealed), call.encode()) as stream:
        plaintext: bytes = stream.read()
    return plaintext


def _tink_sealed(key: bytes, plaintext: bytes) -> bytes:
    target = _Kept()
    with _streaming(key).new_encrypting_stream(target, ASSOCIATED) as stream:
        stream.write(plaintext)
    return target.content


class _Kept(io.BytesIO):
    """Keeps its content when Tink closes it."""

    content = b""

    def close(self) -> None:
        if not self.closed:
            self.content = self.getvalue()
        super().close()


def _streaming(key: bytes) -> streaming_aead.StreamingAead:
    proto = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        key_value=key,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
    )
    return _handle("AesGcmHkdfStreamingKey", proto.SerializeToString()).primitive(streaming_aead.StreamingAead)


def _aes_gcm(key: bytes) -> aead.Aead:
    proto = aes_gcm_pb2.AesGcmKey(version=0, key_value=key)
    return _handle("AesGcmKey", proto.SerializeToString()).primitive(aead.Aead)


def _handle(kind: str, serialized: bytes) -> tink.KeysetHandle:
    key_data = tink_pb2.KeyData(
        type_url=f"type.googleapis.com/google.crypto.tink.{kind}",
        value=serialized,
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    key = tink_pb2.Keyset.Key(key_data=key_data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW)
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[key])
    return cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
