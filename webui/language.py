"""Which language a person reads, and the texts, dates and figures in it; the only owner of flask_babel.

English is what stands in the source; a German catalogue lies in translations/. The language is the one a person
chose (a cookie that says nothing else), or the one their browser asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

import flask_babel
from babel.dates import get_timezone
from babel.lists import format_list
from babel.units import format_unit
from flask import Flask, redirect, request
from werkzeug.wrappers import Response

from appliance.terms import SettingsTrouble

LANGUAGE_COOKIE = "lang"
LANGUAGES = ("en", "de")
_LOCALES = {"en": "en_GB", "de": "de"}
# English with 24 hours and the day before the month, as all of Europe reads it.
_YEAR_S = 365 * 86_400


def speak(app: Flask, timezone: str) -> None:
    """Show texts in the person's language and times in the box's zone. Raises SettingsTrouble."""
    try:
        zone = get_timezone(timezone)
    except LookupError as error:
        raise SettingsTrouble(f"webui.timezone: '{timezone}' is no time zone (Europe/Berlin is one).") from error
    flask_babel.Babel(app, locale_selector=lambda: _LOCALES[language()], timezone_selector=lambda: zone)


def language() -> str:
    """The person's language: what they chose, or what their browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES, default=LANGUAGES[0])


def language_address(wanted: str) -> str:
    """This page in another language."""
    return "?" + urlencode([*_arguments_but("lang", "fragment"), ("lang", wanted)])


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Everything in here is said in this language, whatever the person's is."""
    with flask_babel.force_locale(_LOCALES[code]):
        yield


def switch_language() -> Response | None:
    """`?lang=de` is remembered, and the page shown again without it."""
    wanted = request.args.get("lang")
    # Only for a path that is one of ours: it stands in the redirect.
    if request.method != "GET" or request.endpoint is None or wanted not in LANGUAGES:
        return None
    rest = urlencode(_arguments_but("lang"))
    answer = redirect(f"{request.path}?{rest}" if rest else request.path, 303)
    answer.set_cookie(LANGUAGE_COOKIE, wanted, max_age=_YEAR_S, secure=True, httponly=True, samesite="Strict", path="/")
    return answer


def _arguments_but(*names: str) -> list[tuple[str, str]]:
    return [pair for pair in request.args.items(multi=True) if pair[0] not in names]


def mark(text: str) -> str:
    """Mark a text for translation where it stands; it is translated where it is shown."""
    return text


def gettext(text: str, **facts: str | int) -> str:
    """A text in the person's language."""
    return str(flask_babel.gettext(text, **facts))


def ngettext(one: str, many: str, number: int, **facts: str | int) -> str:
    """A text that counts something; the number is %(num)s."""
    return str(flask_babel.ngettext(one, many, number, **facts))


def local_time(moment: datetime) -> datetime:
    """An aware time in the box's time zone."""
    local: datetime = flask_babel.to_user_timezone(moment)
    return local


def end_of_day(day: date) -> datetime:
    """The moment at which this day is over in the box's time zone."""
    moment: datetime = flask_babel.to_utc(datetime.combine(day + timedelta(days=1), time()))
    return moment.replace(tzinfo=UTC)


def clock_text(local: datetime) -> str:
    return str(flask_babel.format_time(local, "HH:mm", rebase=False))


def exact_clock_text(local: datetime) -> str:
    """To the second, for what is proven by its moment."""
    return str(flask_babel.format_time(local, "HH:mm:ss", rebase=False))


def date_text(day: date) -> str:
    """22 Nov 2026."""
    return str(flask_babel.format_date(day, "medium", rebase=False))


def full_date_text(day: date) -> str:
    """Sunday 22 November 2026."""
    return str(flask_babel.format_date(day, "full", rebase=False))


def figure_text(figure: float) -> str:
    """1,234 or 1.25, or with comma and point exchanged."""
    return str(flask_babel.format_decimal(figure))


def amount_text(figure: float, unit: str) -> str:
    """A figure with a unit of CLDR, such as duration-day."""
    return str(format_unit(figure, unit, locale=flask_babel.get_locale()))


def list_text(things: Sequence[str]) -> str:
    """One, two and three."""
    return format_list(things, locale=flask_babel.get_locale())


def wait_text(seconds: int) -> str:
    """In 40 seconds, in 3 minutes; below 0: 3 minutes ago."""
    return str(flask_babel.format_timedelta(timedelta(seconds=seconds), add_direction=True, threshold=1.5))
