"""Lists of telephone numbers, as the settings write them: a number, parts of one, or "withheld".

Pure. A pattern is digits, "?" for any one of them, and "*" at its end or beginning for any number of them.

One number is sent and dialled in several forms: +49 30 23125471 (E.164), 0049 30 23125471 (with the international
prefix), 030 23125471 (with the national one). Patterns and numbers are compared in the first form where that can be
known: the prefix must be followed by a digit that settles what it is. Of a number without any prefix nobody knows
whether it is local, so it is compared as it stands, and so are patterns like "0*" or "00*", which speak of a prefix and
not of a number. Only in the USA a number of ten digits is whole without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.settings import CountryCode
from appliance.terms import SettingsTrouble

WITHHELD = "withheld"

_SERVICE_CODE = re.compile(r"[*#]{1,2}[0-9]{2,3}#|\*[0-9]{2}(?=[0-9]{3})", re.ASCII)
"""What is dialled before a number and is none: *31# withholds one's own in Europe, *67 in the USA."""
_PATTERN = re.compile(r"\+?[0-9?]{1,32}\*?|\*[0-9?]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialPlan:
    """How a country's numbers are dialled (ITU Operational Bulletin, "Dialling procedures").

    whole_digits: so many digits are a whole number without any prefix; 0 if no length says so.
    """

    code: str
    international: str
    national: str
    whole_digits: int = 0


DIAL_PLANS: dict[CountryCode, DialPlan] = {
    "de": DialPlan(code="49", international="00", national="0"),
    "at": DialPlan(code="43", international="00", national="0"),
    "ch": DialPlan(code="41", international="00", national="0"),
    "fr": DialPlan(code="33", international="00", national="0"),
    "nl": DialPlan(code="31", international="00", national="0"),
    "uk": DialPlan(code="44", international="00", national="0"),
    "us": DialPlan(code="1", international="011", national="1", whole_digits=10),
}


class NumberList:
    """A list of numbers.

    Args:
        patterns: as the settings write them.
        country: whose prefixes numbers have that come without "+".
    Raises:
        SettingsTrouble: a pattern cannot be read.
    """

    def __init__(self, patterns: Iterable[str], country: CountryCode) -> None:
        self._plan = DIAL_PLANS[country]
        self._withheld = False
        self._forms: list[re.Pattern[str]] = []
        for pattern in patterns:
            if pattern == WITHHELD:
                self._withheld = True
            else:
                self._forms.append(self._parsed(pattern))

    @property
    def is_empty(self) -> bool:
        """It covers nothing."""
        return not (self._forms or self._withheld)

    def covers(self, number: str, *, withheld: bool = False) -> bool:
        """Whether a number is on the list.

        Args:
            number: as the exchange sent it, or as it was dialled; empty if it is not known.
            withheld: the caller keeps it to himself. A number that is unknown for another reason is on no list.
        """
        if withheld and self._withheld:
            return True
        plain = _SERVICE_CODE.sub("", number, count=1) if number[:1] in ("*", "#") else number
        numbers = {number, plain} - {""}
        written = numbers | {self._international(each) for each in numbers}
        return any(form.fullmatch(each) for each in written for form in self._forms)

    def _parsed(self, pattern: str) -> re.Pattern[str]:
        if not _PATTERN.fullmatch(pattern):
            raise SettingsTrouble(
                f"'{pattern}' is no pattern of telephone numbers: write digits, ? for any one of them and * for the "
                f'rest, for example "0800*", "+4930?????" or "{WITHHELD}".'
            )
        return re.compile(
            re.escape(self._international(pattern)).replace(r"\?", "[0-9]").replace(r"\*", ".*"), re.ASCII
        )

    def _international(self, number: str) -> str:
        """With "+" and the country's code, if the number says so itself; else as it is."""
        plan = self._plan
        for prefix, means in ((plan.international, "+"), (plan.national, f"+{plan.code}")):
            rest = number.removeprefix(prefix)
            if number.startswith(prefix) and rest[:1].isdecimal() and rest[0] != "0":
                return means + rest
        if plan.whole_digits == len(number) and number[0] not in "+*?01":
            return f"+{plan.code}{number}"
        return number
