"""The published vectors: this implementation gives every outcome they name, and makes them anew byte for byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from appliance.recordings import sealing
from appliance.recordings.container import encode_closing
from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.terms import DamagedRecording, parse_call_id
from tests.recordings.make_vectors import VECTORS, make_vectors

FILE: dict[str, list[dict[str, Any]]] = json.loads(VECTORS.read_text())


@pytest.mark.parametrize("vector", FILE["recordings"], ids=lambda vector: vector["what"])
def test_recording_has_the_outcome_its_vector_names(tmp_path: Path, vector: dict[str, Any]) -> None:
    path = tmp_path / vector["call"]
    path.write_bytes(_bytes(vector["sealed"]))
    assert _outcome(path, vector) == vector["outcome"]


def _outcome(path: Path, vector: dict[str, Any]) -> str:
    try:
        with RecordingReader(path, call=parse_call_id(vector["call"]), key=bytes.fromhex(vector["key"])) as reader:
            reader.verify()
            audio = reader.read_audio(0, reader.audio_bytes)
    except RecordingCutOff:
        return "cut_off"
    except DamagedRecording:
        return "damaged"
    assert hashlib.sha256(audio).hexdigest() == vector["audio_sha256"]
    assert encode_closing(reader.closing, reader.opening.format)[:-8].decode() == vector["closing"]
    return "valid"


@pytest.mark.parametrize("vector", FILE["cards"])
def test_card_opens_to_its_plaintext(vector: dict[str, Any]) -> None:
    opened = sealing.open_card(bytes.fromhex(vector["key"]), vector["call"], _bytes(vector["sealed"]))
    assert opened == _bytes(vector["plaintext"])


@pytest.mark.parametrize("vector", FILE["wrapped_keys"])
def test_wrapped_key_unwraps(vector: dict[str, Any]) -> None:
    bucket_key, wrapped = bytes.fromhex(vector["bucket_key"]), bytes.fromhex(vector["wrapped"])
    unwrapped = sealing.unwrap_key(bucket_key, vector["call"], vector["bucket_id"], wrapped)
    assert unwrapped.hex() == vector["call_key"]


@pytest.mark.parametrize("vector", FILE["number_tokens"])
def test_number_has_its_token(vector: dict[str, Any]) -> None:
    assert sealing.number_token(bytes.fromhex(vector["bucket_key"]), vector["digits"]).hex() == vector["token"]


def test_every_outcome_is_among_the_vectors() -> None:
    assert {vector["outcome"] for vector in FILE["recordings"]} == {"valid", "cut_off", "damaged"}


def test_vectors_are_made_anew_byte_for_byte() -> None:
    assert make_vectors() == VECTORS.read_text()


def _bytes(lines: list[str]) -> bytes:
    return bytes.fromhex("".join(lines))
