"""People: the claim code, accounts, passwords, logins.

There is no default account: the first is made with the claim code, and after that the code is dead. Passwords
are kept as argon2id; a login's token only as its SHA-256, so that neither a dump nor a backup lets anyone in.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import STEP_BACK_MS, Clock
from appliance.recordings.disk import sync_folder
from appliance.terms import AccountId, NotAllowed
from appliance.vault.rights import RIGHTS, Right, Role
from appliance.vault.store import Store, accounts, logins, tries
from appliance.vault.tries import TooManyTries, wait_s

PASSWORD_MIN_LENGTH = 10
IDLE_S = 30 * 60
ABSOLUTE_S = 12 * 3600
_REMEMBER_USE_MS = 60_000
_CODE_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 10
"""Of 32 signs that nobody confuses (Crockford's): 50 bits."""


class WrongCode(NotAllowed):
    """Not the claim code."""


class WrongLogin(NotAllowed):
    """Name or password wrong; which of the two is not said. Who guesses for long learns it: see `log_in`."""


class WrongPassword(NotAllowed):
    """Not the password of who is logged in."""


class LoginEnded(NotAllowed):
    """No such login, logged out, idle for too long, or too old."""


class AlreadyClaimed(NotAllowed):
    """The box has an owner."""


class PasswordTooShort(NotAllowed):
    def __init__(self) -> None:
        super().__init__(f"A password needs at least {PASSWORD_MIN_LENGTH} characters. Nothing was changed.")
        self.facts: dict[str, str | int] = {"min_length": PASSWORD_MIN_LENGTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whose login it is, and what they may do."""

    account: AccountId
    name: str
    rights: frozenset[Right]

    def require(self, right: Right) -> None:
        if right not in self.rights:
            raise NotAllowed("Your account does not include this right. Ask the person who set up the box.")


class Accounts:
    """Safe for use by several threads."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, code_file: Path) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._code_file = code_file
        # 32 MiB and one hash at a time: a crowd of guesses cannot eat a small board's memory (RFC 9106, 4).
        self._hasher = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
        self._hashing = threading.Lock()
        self._nobody = self._hash(secrets.token_urlsafe())
        if not self.is_claimed():
            self._make_claim_code()
        else:
            self._code_file.unlink(missing_ok=True)

    def is_claimed(self) -> bool:
        with self._store.reading() as connection:
            return bool(connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar())

    def claim_code(self) -> str | None:
        """The code as it stands on the label; None once the box is claimed."""
        if not self._code_file.exists():
            return None
        code = self._code_file.read_text("ascii", errors="replace").strip()
        # What a power cut left of the file is no code: an empty one would be matched by an empty answer.
        return code if len(plain_code(code)) == _CODE_LENGTH else None

    def claim(self, untrusted_code: str, name: str, password: str) -> tuple[str, int]:
        """Make the first account, its owner logged in. Returns: token and its end, as `log_in`.

        Raises: AlreadyClaimed, WrongCode, TooManyTries, PasswordTooShort.
        """
        code = self.claim_code()
        if self.is_claimed():
            raise AlreadyClaimed("This box has an owner already. Log in, or ask the owner for an account.")
        self._charge_try("claim")
        if code is None or not hmac.compare_digest(plain_code(untrusted_code).encode(), plain_code(code).encode()):
            self._journal.append(Act.BOX_CLAIM_REFUSED, by="webui")
            raise WrongCode("That is not the claim code of this box. Nothing was changed; look at the label again.")
        self._forget_failures("claim")
        _refuse_short(password)
        password_hash = self._hash(password)
        account = self._add_owner(name, password_hash)
        self._code_file.unlink(missing_ok=True)
        return self._begin_login(account, password_hash)

    def log_in(self, name: str, password: str) -> tuple[str, int]:
        """Returns: the login's token, and the moment at which it ends at the latest (UTC ms).

        Raises: WrongLogin, TooManyTries.
        """
        with self._store.reading() as connection:
            row = connection.execute(sa.select(accounts).where(accounts.c.name_key == _name_key(name))).one_or_none()
        # Guesses at names that do not exist are counted together: each name would cost a row. So they soon have to
        # wait where one that exists has not, which tells it apart; what it has not told is the password.
        subject = "login:nobody" if row is None else f"login:{row.account_id}"
        self._charge_try(subject)
        if not self._is_password(self._nobody if row is None else row.password_hash, password) or row is None:
            self._journal.append(Act.LOGIN_REFUSED, by="webui", ids=() if row is None else (row.account_id,))
            raise WrongLogin("Name or password is wrong.")
        self._forget_failures(subject)
        return self._begin_login(AccountId(row.account_id), row.password_hash)

    def check_password(self, visitor: Visitor, password: str) -> None:
        """For what a login alone is not enough for. Raises WrongPassword, TooManyTries."""
        subject = f"login:{visitor.account}"
        self._charge_try(subject)
        with self._store.reading() as connection:
            query = sa.select(accounts.c.password_hash).where(accounts.c.account_id == visitor.account)
            stored = connection.execute(query).scalar_one()
        if not self._is_password(stored, password):
            self._journal.append(Act.LOGIN_REFUSED, by=visitor.account)
            raise WrongPassword("That is not your password. Nothing was changed.")
        self._forget_failures(subject)

    def change_password(self, token: str, password: str, fresh: str) -> tuple[str, int]:
        """Every login of this account ends: whoever changes a password may do so because somebody has one.

        This one too, in whose place another is begun: what is stolen is as a rule a copy of it.
        Returns: token and its end, as `log_in`. Raises: LoginEnded, PasswordTooShort, WrongPassword, TooManyTries.
        """
        visitor = self.visitor(token)
        _refuse_short(fresh)
        self.check_password(visitor, password)
        password_hash = self._hash(fresh)
        with self._store.transaction() as connection:
            # Asked again under the write lock: of two changes at the same moment one wins, and ends the other's login.
            if not connection.execute(logins.delete().where(logins.c.token_hash == _digest(token))).rowcount:
                raise LoginEnded("Your login has ended. Log in again.")
            self._journal.append(Act.PASSWORD_CHANGED, by=visitor.account)
            changed = accounts.update().where(accounts.c.account_id == visitor.account)
            connection.execute(changed.values(password_hash=password_hash))
            connection.execute(logins.delete().where(logins.c.account_id == visitor.account))
            return self._add_login(connection, visitor.account)

    def log_out(self, token: str) -> None:
        """End a login; it is dead at once, wherever its cookie was copied to."""
        visitor = self.visitor(token)
        with self._store.transaction() as connection:
            connection.execute(logins.delete().where(logins.c.token_hash == _digest(token)))
        self._journal.append(Act.LOGIN_ENDED, by=visitor.account)

    def visitor(self, token: str, *, in_person: bool = True) -> Visitor:
        """Who this is. Raises LoginEnded.

        Args:
            in_person: False for what a page asks by itself, so that an open page does not keep a login alive.
        """
        now_ms = self._clock.now_ms()
        query = (
            sa.select(logins.c.used_at_ms, logins.c.ends_at_ms, accounts)
            .join(accounts, accounts.c.account_id == logins.c.account_id)
            .where(logins.c.token_hash == _digest(token))
        )
        with self._store.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not _lasts(row, now_ms):
            raise LoginEnded("Your login has ended. Log in again.")
        if in_person and now_ms - row.used_at_ms > _REMEMBER_USE_MS:
            self._remember_use(token, now_ms)
        return Visitor(account=AccountId(row.account_id), name=row.name, rights=RIGHTS[Role(row.role)])

    def names(self) -> dict[str, str]:
        """Of all accounts, by their ids."""
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(accounts.c.account_id, accounts.c.name))
            return {row.account_id: row.name for row in rows}

    def _add_owner(self, name: str, password_hash: str) -> AccountId:
        account = AccountId(os.urandom(8).hex())
        row = {
            "account_id": account,
            "name": name.strip(),
            "name_key": _name_key(name),
            "role": Role.OWNER,
            "password_hash": password_hash,
            "created_at_ms": self._clock.now_ms(),
        }
        with self._store.transaction() as connection:
            # Asked again under the write lock: of two claims at the same moment one wins.
            if connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar():
                raise AlreadyClaimed("This box has an owner already.")
            self._journal.append(Act.BOX_CLAIMED, by=account)
            connection.execute(accounts.insert().values(row))
        return account

    def _begin_login(self, account: AccountId, password_hash: str) -> tuple[str, int]:
        """Raises WrongLogin: the account has another password than this one, which was the right one just now."""
        with self._store.transaction() as connection:
            query = sa.select(accounts.c.password_hash).where(accounts.c.account_id == account)
            if connection.execute(query).scalar() != password_hash:
                raise WrongLogin("Name or password is wrong.")
            self._journal.append(Act.LOGIN_BEGUN, by=account)
            return self._add_login(connection, account)

    def _add_login(self, connection: sa.Connection, account: AccountId) -> tuple[str, int]:
        token, now_ms = secrets.token_urlsafe(32), self._clock.now_ms()
        ends_at_ms = now_ms + ABSOLUTE_S * 1000
        connection.execute(logins.delete().where(logins.c.ends_at_ms <= now_ms))
        connection.execute(
            logins.insert().values(
                token_hash=_digest(token),
                account_id=account,
                begun_at_ms=now_ms,
                used_at_ms=now_ms,
                ends_at_ms=ends_at_ms,
            )
        )
        return token, ends_at_ms

    def _remember_use(self, token: str, now_ms: int) -> None:
        with self._store.transaction() as connection:
            connection.execute(logins.update().where(logins.c.token_hash == _digest(token)).values(used_at_ms=now_ms))

    def _charge_try(self, subject: str) -> None:
        """Count a try as failed before it is made: of many at the same moment none comes for free."""
        now_ms = self._clock.now_ms()
        with self._store.transaction() as connection:
            row = connection.execute(sa.select(tries).where(tries.c.subject == subject)).one_or_none()
            wait = 0 if row is None else wait_s(failures=row.failures, last_at_ms=row.last_at_ms, now_ms=now_ms)
            if wait == 0:
                first = {"subject": subject, "failures": 1, "last_at_ms": now_ms}
                again = {"failures": tries.c.failures + 1, "last_at_ms": now_ms}
                connection.execute(
                    upsert(tries).values(first).on_conflict_do_update(index_elements=["subject"], set_=again)
                )
            elif row is not None and row.last_at_ms > now_ms:
                # The clock went back: wait from now on, not until it has returned.
                connection.execute(tries.update().where(tries.c.subject == subject).values(last_at_ms=now_ms))
        if wait > 0:
            raise TooManyTries(wait)

    def _forget_failures(self, subject: str) -> None:
        with self._store.transaction() as connection:
            connection.execute(tries.delete().where(tries.c.subject == subject))

    def _hash(self, password: str) -> str:
        with self._hashing:
            return self._hasher.hash(password)

    def _is_password(self, stored: str, password: str) -> bool:
        try:
            with self._hashing:
                return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    def _make_claim_code(self) -> None:
        if self.claim_code() is not None:
            return
        code = "".join(secrets.choice(_CODE_SIGNS) for _ in range(_CODE_LENGTH))
        fresh = self._code_file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{code[:5]}-{code[5:]}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._code_file)
        sync_folder(self._code_file.parent)


def _refuse_short(password: str) -> None:
    if len(password) < PASSWORD_MIN_LENGTH:
        raise PasswordTooShort


def plain_code(text: str) -> str:
    """A claim code as typed, with what people mistake put right: case, blanks, hyphens, O for 0, I and L for 1."""
    plain = "".join(sign for sign in text.upper() if sign.isalnum())
    return plain.replace("O", "0").replace("I", "1").replace("L", "1")


def _lasts(row: Any, now_ms: int) -> bool:
    # A clock that fell back, as at the start of a board without a battery, must not wake a login that had ended.
    idle_from, idle_until = row.used_at_ms - STEP_BACK_MS, row.used_at_ms + IDLE_S * 1000
    return bool(idle_from <= now_ms < min(idle_until, row.ends_at_ms))


def _name_key(name: str) -> str:
    return name.strip().casefold()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
