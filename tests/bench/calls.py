"""How many of the calls of random working days are told as they were.

    OPENBLAS_NUM_THREADS=1 python -m tests.bench.calls --calls 200 --seed 1 [--keep DIR] [--only KIND ...]
        [--country de] [--consent opt_in] [--line N] [--processes 2]

Lines of eight calls each (tests.simulators.random_calls) are written as sound files and heard by `linekeep replay`;
what it tells is compared with the truth. JSON goes to standard output, a table and every miss to standard error.
A moment is right within 0.5 s of the truth, or of the span in which nobody could hear it. --keep writes the sound of
lines with a miss; --line hears one of them alone.

    lost       nothing was told of the call; a missed call was not told as one
    split      more than one call was told for it; merged: one for it and a neighbour
    clipped    the recording begins after the first word does
    ghost      a call or a missed call that never was; also rings, caller IDs and keys that nobody sent. Of these some
               are lost, too, which counts against no call by itself
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from appliance.recorder.replay import replay
from appliance.settings import COUNTRY_CODES, ConsentMode, CountryCode, LineSettings, RecorderSettings
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ
from tests.simulators.exchange import Span
from tests.simulators.random_calls import CONSENT_WITHIN_S, CONSENTS, Kind, RandomLine, TrueCall, random_line

CALLS_A_LINE = 8
WITHIN_S = 0.5
HOLD_OVER_S = 30.0
_MISSED_TOLD_AFTER_S = 20.0
_FACTS = ("lost", "split", "merged", "begin", "end", "seconds", "direction", "number", "kept", "why", "clipped")

Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldCall:
    begin: Told
    end: Told

    def overlaps(self, call: TrueCall) -> bool:
        return bool(self.begin["t"] < call.end[1] + WITHIN_S and self.end["t"] > call.begin[0] - WITHIN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """expected, told: as text. at_s: where in the line's sound."""

    fact: str
    expected: str
    told: str
    at_s: float


@dataclass(slots=True)
class Judged:
    """One true call and what was told of it. Errors are signed seconds from the nearest true moment."""

    call: TrueCall
    misses: list[Miss] = field(default_factory=list)
    begin_error_s: float | None = None
    end_error_s: float | None = None
    spare_s: float | None = None

    def miss(self, fact: str, expected: object, told: object, at_s: float | None = None) -> None:
        at = self.call.begin[0] if at_s is None else at_s
        self.misses.append(Miss(fact=fact, expected=str(expected), told=str(told), at_s=round(at, 2)))


@dataclass(slots=True)
class JudgedLine:
    number: int
    story: str
    sorts: tuple[str, ...]
    seconds: float
    took_s: float = 0.0
    calls: list[Judged] = field(default_factory=list)
    ghosts: list[Miss] = field(default_factory=list)


def judge(line: RandomLine, told: Sequence[Told]) -> tuple[list[Judged], list[Miss]]:
    """Each true call compared with what was told of it; and what was told and never was."""
    pairs = list(_pairs(told))
    missed = [one for one in told if one["what"] == "missed_call"]
    judged = [Judged(call) for call in line.calls]
    claimed: dict[int, list[Judged]] = defaultdict(list)
    for one in judged:
        for index, pair in enumerate(pairs):
            if pair.overlaps(one.call):
                claimed[index].append(one)
    own = {id(one): [index for index, owners in claimed.items() if one in owners] for one in judged}
    claimed_missed: set[int] = set()
    next_begins = [one.call.begin[0] for one in judged[1:]] + [math.inf]
    for one, before_s in zip(judged, next_begins, strict=True):
        if one.call.kind is Kind.MISSED:
            as_calls = [pairs[index] for index in own[id(one)]]
            claimed_missed |= _judge_missed(one, missed, as_calls, before_s=before_s)
        else:
            merged = any(owner is not one for index in own[id(one)] for owner in claimed[index])
            _judge_call(one, [pairs[index] for index in own[id(one)]], merged=merged)
    ghosts = [
        Miss(fact="ghost call", expected="nothing", told=_brief(pair), at_s=pair.begin["t"])
        for index, pair in enumerate(pairs)
        if index not in claimed
    ]
    ghosts += [
        Miss(fact="ghost missed call", expected="nothing", told=str(one), at_s=one["t"])
        for index, one in enumerate(missed)
        if index not in claimed_missed
    ]
    return judged, [*ghosts, *_rings(line, told), *_callers(line, told), *_keys(line, told)]


def _pairs(told: Sequence[Told]) -> Iterator[ToldCall]:
    begin: Told | None = None
    for one in told:
        if one["what"] == "call_begin":
            begin = one
        elif one["what"] == "call_end" and begin is not None:
            yield ToldCall(begin=begin, end=one)
            begin = None


def _judge_missed(one: Judged, missed: Sequence[Told], as_calls: Sequence[ToldCall], *, before_s: float) -> set[int]:
    """before_s: what is told later belongs to the next call."""
    call = one.call
    if as_calls:
        one.miss("split", "a missed call", f"a call {_brief(as_calls[0])}", as_calls[0].begin["t"])
    told = _missed_in(call, missed, before_s)
    if not told:
        one.miss("lost", f"missed_call {call.number}", "nothing")
    elif len(told) > 1:
        one.miss("split", "one missed call", [missed[index]["t"] for index in told])
    elif missed[told[0]]["number"] != call.number:
        one.miss("number", call.number, missed[told[0]]["number"])
    return set(told)


def _missed_in(call: TrueCall, missed: Sequence[Told], before_s: float) -> list[int]:
    until = min(call.end[1] + _MISSED_TOLD_AFTER_S, before_s)
    return [index for index, each in enumerate(missed) if call.begin[0] - 3 <= each["t"] <= until]


def _judge_call(one: Judged, told: Sequence[ToldCall], *, merged: bool) -> None:
    call = one.call
    if not told:
        one.miss("lost", f"a call {call.begin[0]:.1f} to {call.end[1]:.1f}", "nothing")
        return
    if merged:
        one.miss("merged", f"a call {call.begin[0]:.1f} to {call.end[1]:.1f}", [_brief(each) for each in told])
        return
    if len(told) > 1:
        one.miss("split", f"one call {call.begin[0]:.1f} to {call.end[1]:.1f}", [_brief(each) for each in told])
        return
    begin, end = told[0].begin, told[0].end
    one.begin_error_s = _outside(begin["t"], call.begin)
    one.end_error_s = _outside(end["t"], call.end)
    if abs(one.begin_error_s) > WITHIN_S:
        one.miss("begin", _written(call.begin), begin["t"])
    if abs(one.end_error_s) > WITHIN_S:
        one.miss("end", _written(call.end), f"{end['t']} {end.get('why')}", call.end[0])
    if abs(end["seconds"] - (end["t"] - begin["t"])) > 0.01:
        one.miss("seconds", round(end["t"] - begin["t"], 3), end["seconds"])
    for fact, expected in (("direction", call.direction), ("number", call.number)):
        if begin[fact] != expected:
            one.miss(fact, expected, begin[fact])
    _judge_kept(one, end)
    if call.kept and call.first_word_s is not None:
        from_s: float = begin["audio_from"] if "audio_from" in begin else begin["t"]
        one.spare_s = round(call.first_word_s - from_s, 3)
        if one.spare_s < 0:
            one.miss("clipped", call.first_word_s, from_s, call.first_word_s)


def _judge_kept(one: Judged, end: Told) -> None:
    call = one.call
    if end.get("kept") is not call.kept:
        one.miss("kept", f"{call.kept} {_any_of(call)}", f"{end.get('kept')} {end.get('why')}", call.answered_s)
    elif not call.kept and end.get("why") not in [why.value for why in call.why]:
        one.miss("why", _any_of(call), end.get("why"), call.answered_s)


def _any_of(call: TrueCall) -> str:
    return " or ".join(call.why)


def _rings(line: RandomLine, told: Sequence[Told]) -> Iterator[Miss]:
    on_s = [one["t"] for one in told if one["what"] == "ring" and one["state"] == "on"]
    for t in on_s:
        if not any(first - 0.3 < t < end for first, end in line.rings):
            yield Miss(fact="ghost ring", expected="nothing", told="ring", at_s=t)
    for first, end in line.rings:
        if not any(first - 0.3 < t < end for t in on_s):
            yield Miss(fact="lost ring", expected=f"{end - first:.2f} s", told="nothing", at_s=first)


def _callers(line: RandomLine, told: Sequence[Told]) -> Iterator[Miss]:
    heard = [(one["t"], one["number"], one["withheld"]) for one in told if one["what"] == "caller_id"]
    sent = [(one.end_s, one.number, one.withheld) for one in line.callers]
    yield from _unmatched(heard, sent, 3, "ghost caller ID")
    yield from _unmatched(sent, heard, 3, "lost caller ID")


def _keys(line: RandomLine, told: Sequence[Told]) -> Iterator[Miss]:
    shown = [one.end_s for one in line.callers if one.standard == "dtmf"]
    heard = [(one["t"], one["digit"]) for one in told if one["what"] == "dtmf"]
    in_calls = [key for key in heard if not any(-5 < key[0] - end_s < 1 for end_s in shown)]
    yield from _unmatched(in_calls, list(line.keys), 0.15, "ghost key")
    yield from _unmatched(list(line.keys), heard, 0.15, "lost key")


def _unmatched(these: Sequence[Any], those: Sequence[Any], within_s: float, fact: str) -> Iterator[Miss]:
    """What of these (each a time, then what it is) has no like among those."""
    for one in these:
        if not any(abs(one[0] - other[0]) < within_s and one[1:] == other[1:] for other in those):
            yield Miss(fact=fact, expected="", told=str(one[1:]), at_s=one[0])


def _outside(t: float, span: Span) -> float:
    return round(t - min(max(t, span[0]), span[1]), 3)


def _written(span: Span) -> str:
    return f"{span[0]:.2f}" if span[1] - span[0] < 0.01 else f"{span[0]:.2f} to {span[1]:.2f}"


def _brief(pair: ToldCall) -> str:
    begin, end = pair.begin, pair.end
    kept = end.get("kept")
    return f"{begin['t']:.1f} to {end['t']:.1f} {begin['direction']} {begin['number']} {end.get('why')} kept {kept}"


def settings_for(line: RandomLine, folder: Path) -> RecorderSettings:
    announcement = folder / "announcement.wav"
    if line.consent == "announced":
        write_wav(announcement, line.announcement[:, np.newaxis])
    return RecorderSettings(
        country=line.plant.country.code,
        hold_over_s=HOLD_OVER_S,
        lines=(
            LineSettings(
                name="line1",
                alsa="simulated",
                ground="a simulation",
                consent=line.consent,
                consent_within_s=CONSENT_WITHIN_S,
                announcement=str(announcement) if line.consent == "announced" else "",
                never_numbers=tuple(line.never),
                always_numbers=tuple(line.always),
            ),
        ),
    )


def hear_line(
    seed: int,
    number: int,
    calls: int,
    *,
    country: CountryCode,
    consent: ConsentMode | None = None,
    kinds: Sequence[Kind] = tuple(Kind),
    keep: Path | None = None,
) -> JudgedLine:
    """Make the line, write it, hear it, judge."""
    line = random_line((seed, number), calls, country=country, consent=consent, kinds=kinds)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "line.wav"
        write_wav(wav, line.pcm[:, np.newaxis])
        began = time.perf_counter()
        told = list(replay(wav, settings_for(line, Path(folder))))
        took_s = time.perf_counter() - began
        judged, ghosts = judge(line, told)
        if keep is not None and (ghosts or any(one.misses for one in judged)):
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(wav, keep / f"{seed}-{number}.wav")
            (keep / f"{seed}-{number}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in told))
    return JudgedLine(
        number=number,
        story=f"{line.plant.story}, {line.consent}",
        sorts=(line.plant.country.code, line.consent, line.plant.coupler),
        seconds=line.pcm.size / RATE_HZ,
        took_s=took_s,
        calls=judged,
        ghosts=ghosts,
    )


NOT_SPLIT = "not split, merged, lost or made up"
AIMS = {
    "begin and end within 0.5 s": ("lost", "split", "merged", "begin", "end", "seconds"),
    "direction and number": ("lost", "split", "merged", "direction", "number"),
    "kept or not kept": ("lost", "split", "merged", "kept"),
    "why not kept": ("lost", "split", "merged", "why"),
    "first word not clipped": ("clipped",),
    NOT_SPLIT: ("lost", "split", "merged"),
}


def report(lines: Sequence[JudgedLine], seed: int) -> dict[str, Any]:
    judged = [one for line in lines for one in line.calls]
    missed = [{miss.fact for miss in one.misses} for one in judged]
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    by_sort: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        for one in line.calls:
            for counted in (by_kind["all"], by_kind[one.call.kind], *(by_sort[sort] for sort in line.sorts)):
                counted["calls"] += 1
                counted["right"] += not one.misses
                counted.update({miss.fact for miss in one.misses})
    seconds = sum(line.seconds for line in lines)
    ghosts = Counter(ghost.fact for line in lines for ghost in line.ghosts)
    right = {aim: sum(not facts & set(against) for facts in missed) for aim, against in AIMS.items()}
    right[NOT_SPLIT] -= ghosts["ghost call"] + ghosts["ghost missed call"]
    return {
        "seed": seed,
        "calls": len(judged),
        "hours": round(seconds / 3600, 2),
        "times_real_time": round(seconds / sum(line.took_s for line in lines)),
        "right_percent": {aim: round(100 * count / len(judged), 2) for aim, count in right.items()},
        "begin_error_s": _spread([one.begin_error_s for one in judged]),
        "end_error_s": _spread([one.end_error_s for one in judged]),
        "spare_before_first_word_s": _spread([one.spare_s for one in judged]),
        "ghosts": dict(ghosts),
        "by_kind": {kind: dict(counted) for kind, counted in sorted(by_kind.items())},
        "by_sort": {sort: dict(counted) for sort, counted in sorted(by_sort.items())},
        "missed": [told for line in lines for told in _listed(line)],
    }


def _spread(errors: Sequence[float | None]) -> dict[str, float]:
    known = [error for error in errors if error is not None]
    shares = {"least": 0, "1%": 1, "5%": 5, "median": 50, "95%": 95, "99%": 99, "most": 100}
    return {name: round(float(np.percentile(known, share)), 3) for name, share in shares.items()} if known else {}


def _listed(line: JudgedLine) -> Iterator[dict[str, Any]]:
    for one in line.calls:
        for miss in one.misses:
            yield _miss(line, miss) | {"kind": one.call.kind, "call": one.call.story}
    for ghost in line.ghosts:
        yield _miss(line, ghost) | {"kind": "line", "call": ""}


def _miss(line: JudgedLine, miss: Miss) -> dict[str, Any]:
    facts = {"fact": miss.fact, "expected": miss.expected, "told": miss.told}
    return {"line": line.number, "at_s": miss.at_s, **facts, "plant": line.story}


def print_table(told: dict[str, Any]) -> None:
    out = sys.stderr
    for miss in told["missed"]:
        where = f"line {miss['line']} at {miss['at_s']:.1f} s, {miss['kind']}"
        print(f"{where}: {miss['fact']}: expected {miss['expected']}, told {miss['told']}", file=out)
        print(f"    {miss['call']}\n    {miss['plant']}", file=out)
    columns = ("calls", "right", *_FACTS)
    print(f"\n{'':24}" + "".join(f"{name:>10}" for name in columns), file=out)
    for name, counted in [*told["by_kind"].items(), *told["by_sort"].items()]:
        print(f"{name:24}" + "".join(f"{counted.get(column, 0):>10}" for column in columns), file=out)
    for name in ("right_percent", "begin_error_s", "end_error_s", "spare_before_first_word_s", "ghosts"):
        print(f"{name}: {told[name]}", file=out)
    print(f"{told['hours']} hours at {told['times_real_time']} times real time", file=out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", nargs="+", type=Kind, choices=list(Kind), default=list(Kind))
    parser.add_argument("--country", choices=COUNTRY_CODES)
    parser.add_argument("--consent", choices=CONSENTS)
    parser.add_argument("--line", type=int)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    numbers = range(-(-options.calls // CALLS_A_LINE)) if options.line is None else [options.line]
    with ProcessPoolExecutor(options.processes) as pool:
        lines = [
            pool.submit(
                hear_line,
                options.seed,
                number,
                min(CALLS_A_LINE, options.calls - number * CALLS_A_LINE),
                country=options.country or COUNTRY_CODES[number % len(COUNTRY_CODES)],
                consent=options.consent,
                kinds=options.only,
                keep=options.keep,
            )
            for number in numbers
        ]
        told = report([line.result() for line in lines], options.seed)
    print_table(told)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
