"""Call keys: issued, found again, and forgotten. Joins the ring (bucket keys) and the catalogue (wrapped keys).

A call key exists in clear only in memory. On disk it is wrapped under the key of its day's bucket, and bucket
keys exist only inside the ring. So a call is forgotten when its bucket key has left the ring; the calls of
that bucket which must live are wrapped again, under a fresh bucket key, before the old one goes.

On a cut at any point: wraps under a bucket that is not (or no longer) in the ring open nothing and harm
nothing; a kept call always has a wrap under a bucket of the ring that the TPM opens, since new wraps are
committed before the ring is, and old ones struck only after it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from appliance.clock import Clock
from appliance.recordings.sealing import KEY_BYTES, unwrap_key, wrap_key
from appliance.terms import CallId, DamagedRecording, KeyForgotten, KeyTrouble, LineName
from appliance.vault import card as cards
from appliance.vault.catalogue import Catalogue, NumberToken, Wrap
from appliance.vault.ring import Ring, RingCommit
from appliance.vault.ring_file import Bucket, BucketId, RingContents, fresh_bucket_id


class CallKeys:
    """The keys of all calls of this box. Safe for use by several threads."""

    def __init__(self, ring: Ring, catalogue: Catalogue, clock: Clock) -> None:
        self._ring = ring
        self._catalogue = catalogue
        self._clock = clock
        # One change of buckets at a time: a key issued into a bucket while that bucket is being replaced would
        # be wrapped under a key that is about to be forgotten.
        self._changing = threading.RLock()
        self.lost = 0
        """Calls whose key turned out to be damaged since the start."""

    def issue(self, line: LineName) -> tuple[CallId, bytes]:
        """Make a fresh call and its key; the wrapped key is committed before this returns."""
        call, key = CallId(os.urandom(16).hex()), os.urandom(KEY_BYTES)
        with self._changing:
            bucket_id, bucket = self._bucket_of_today()
            wrap = Wrap(call_id=call, bucket_id=bucket_id, wrapped=wrap_key(bucket.key, call, bucket_id, key))
            self._catalogue.issue(call, line, self._clock.now_ms(), wrap)
        return call, key

    def key_of(self, call: CallId) -> bytes:
        """The key of a call. Raises KeyForgotten."""
        buckets = self._ring.contents.buckets
        for wrap in self._catalogue.wraps_of([call]):
            bucket = buckets.get(BucketId(wrap.bucket_id))
            if bucket is not None:
                return unwrap_key(bucket.key, call, wrap.bucket_id, wrap.wrapped)
        raise KeyForgotten("The key of this recording has been forgotten; nobody can open it again.")

    def can_open(self, call: CallId) -> bool:
        return any(wrap.bucket_id in self._ring.contents.buckets for wrap in self._catalogue.wraps_of([call]))

    def bucket_ids(self) -> frozenset[str]:
        """The buckets whose calls can be opened."""
        return frozenset(self._ring.contents.buckets)

    def tokens_for(self, call: CallId, number: str) -> list[NumberToken]:
        """The searchable tokens of a call's number, one set under each bucket that holds the call."""
        buckets = self._ring.contents.buckets
        return [
            NumberToken(token=token, call_id=call, bucket_id=wrap.bucket_id)
            for wrap in self._catalogue.wraps_of([call])
            if (bucket := buckets.get(BucketId(wrap.bucket_id))) is not None
            for token in cards.tokens_of(number, bucket.key)
        ]

    def tokens_sought(self, untrusted_number: str) -> list[bytes]:
        """The tokens that a number would have under any bucket of the ring."""
        return [cards.token_sought(untrusted_number, bucket.key) for bucket in self._ring.contents.buckets.values()]

    def holding_still(self) -> AbstractContextManager[object]:
        """While this is held no bucket changes: for whoever writes tokens of a call."""
        return self._changing

    def forget(self, gone: Collection[CallId]) -> RingCommit | None:
        """Make the keys of these calls irrecoverable; all others stay.

        Returns: the TPM's ring state before and after; None if none of them had a key any more.
        Raises: KeyTrouble if the TPM did not confirm; then nothing may be called forgotten.
        """
        with self._changing:
            old = {BucketId(name) for name in self._catalogue.buckets_of(gone)} & set(self._ring.contents.buckets)
            return self._replace(old, frozenset(gone)) if old else None

    def renew(self, *, without_secret: str) -> RingCommit:
        """Wrap every call again, so that no copy of the ring from before opens any; a secret goes with the same commit.

        Raises: KeyTrouble; then everything opens as before.
        """
        with self._changing:
            return self._replace(set(self._ring.contents.buckets), frozenset(), without_secret)

    def last_commit(self) -> RingCommit:
        """The ring's states around its last commit, whatever that was for."""
        return self._ring.last_commit

    def drop_empty_buckets(self) -> None:
        """Let days go to which no call belongs any more; a ring of years stays small."""
        with self._changing:
            ring, used, today = self._ring.contents.buckets, self._catalogue.bucket_ids(), self._today()
            buckets = {name: bucket for name, bucket in ring.items() if name in used or bucket.day == today}
            if len(buckets) < len(ring):
                self._ring.change(lambda now: RingContents(buckets=buckets, secrets=now.secrets))

    def _replace(self, old: set[BucketId], gone: frozenset[CallId], without_secret: str = "") -> RingCommit:
        fresh = self._wrap_survivors(old, gone, self._ring.contents.buckets)

        def replaced(now: RingContents) -> RingContents:
            return RingContents(
                buckets={name: bucket for name, bucket in now.buckets.items() if name not in old} | fresh,
                secrets={name: secret for name, secret in now.secrets.items() if name != without_secret},
            )

        commit = self._ring.change(replaced)
        self._catalogue.drop_buckets(old)
        return commit

    def _wrap_survivors(
        self, old: set[BucketId], gone: frozenset[CallId], ring: Mapping[BucketId, Bucket]
    ) -> dict[BucketId, Bucket]:
        fresh: dict[BucketId, Bucket] = {}
        for source in old:
            # One bucket after the other, since the wraps of all may be more than the memory holds.
            survivors = self._catalogue.calls_in(source) - gone
            if survivors:
                target, bucket = fresh_bucket_id(), Bucket.fresh(ring[source].day)
                self._wrap_again(survivors, (source, ring[source]), (target, bucket))
                fresh[target] = bucket
        return fresh

    def _wrap_again(
        self, survivors: set[CallId], source: tuple[BucketId, Bucket], target: tuple[BucketId, Bucket]
    ) -> None:
        (old_id, old), (new_id, new) = source, target
        numbered = self._catalogue.cards_with_tokens(old_id)
        wraps: list[Wrap] = []
        tokens: list[NumberToken] = []
        for wrap in self._catalogue.wraps_in(old_id):
            call = wrap.call_id
            if call not in survivors:
                continue
            try:
                key = unwrap_key(old.key, call, old_id, wrap.wrapped)
            except KeyTrouble:
                # Damaged: it opens nothing today and never will. It must not keep the others from being forgotten.
                self.lost += 1
                continue
            wraps.append(Wrap(call_id=call, bucket_id=new_id, wrapped=wrap_key(new.key, call, new_id, key)))
            if call in numbered:
                tokens += _tokens_again(numbered[call], call, key, target)
        self._catalogue.add_wraps(wraps, tokens)

    def _bucket_of_today(self) -> tuple[BucketId, Bucket]:
        today = self._today()
        for bucket_id, bucket in self._ring.contents.buckets.items():
            if bucket.day == today:
                return bucket_id, bucket
        bucket_id, bucket = fresh_bucket_id(), Bucket.fresh(today)
        self._ring.change(lambda now: RingContents(buckets={**now.buckets, bucket_id: bucket}, secrets=now.secrets))
        return bucket_id, bucket

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC).date().isoformat()


def _tokens_again(sealed_card: bytes, call: CallId, key: bytes, target: tuple[BucketId, Bucket]) -> list[NumberToken]:
    bucket_id, bucket = target
    try:
        number = cards.unseal(sealed_card, call, key).number
    except DamagedRecording:
        return []  # `check` names the call; its audio may still be good, and the erasure must go on
    return [
        NumberToken(token=token, call_id=call, bucket_id=bucket_id) for token in cards.tokens_of(number, bucket.key)
    ]
