"""What the journal holds, in words: each act, to whom it is due, and what is to be said beside it."""

from __future__ import annotations

from appliance.boundary import verbs
from webui.language import gettext, mark, ngettext
from webui.wording import last_day_text, period_text

ACTS = {
    "box:provisioned": mark("box set up"),
    "box:claimed": mark("box claimed by its owner"),
    "box:claim_refused": mark("wrong claim code"),
    "box:restored": mark("box restored from a backup"),
    "box:recovered": mark("box recovered with the words on paper"),
    "recovery:set_up": mark("recovery key made"),
    "recovery:declined": mark("recovery key declined"),
    "recovery:drilled": mark("recovery rehearsed with the words on paper"),
    "backup:made": mark("backup made"),
    "backup:failed": mark("backup failed"),
    "vault:started": mark("box started"),
    "vault:stopped": mark("box stopped"),
    "settings:changed": mark("settings changed"),
    "period:changed": mark("time for which calls are kept changed"),
    "certificate:issued": mark("certificate of this page issued"),
    "check:run": mark("box checked"),
    "ring:moved": mark("keys rewritten"),
    "ring:moved_unseen": mark("keys rewritten before the power failed"),
    "ring:repaired": mark("damaged copy of the keys repaired"),
    "ring:sealed_anew": mark("keys sealed anew to what this box is started with"),
    "pin:set": mark("PIN set"),
    "pin:removed": mark("PIN removed"),
    "tpm:owned": mark("security chip taken into possession"),
    "tpm:owned_by_another": mark("security chip belongs to somebody else"),
    "case:watched": mark("case watched from now on"),
    "case:unwatched": mark("case no longer watched"),
    "case:opened": mark("case opened"),
    "case:found_open": mark("case found open"),
    "case:closed": mark("case closed"),
    "case:chatters": mark("switch of the case opens and closes too often"),
    "case:acknowledged": mark("opening of the case acknowledged"),
    "clock:distrusted": mark("clock no longer believed; nothing is deleted by date"),
    "clock:trusted": mark("clock believed again"),
    "login:begun": mark("logged in"),
    "login:refused": mark("wrong name or password"),
    "login:ended": mark("logged out"),
    "password:changed": mark("password changed"),
    "call:kept": mark("call kept when it had ended"),
    "call:recovered": mark("call recovered after a power cut or a fault"),
    "call:not_kept": mark("call not recorded, or not kept"),
    "call:ordered": mark("call confirmed, paused, resumed, forgotten, or asked to be kept while it ran"),
    "call:keep_asked": mark("call asked to be kept longer"),
    "call:keep_dismissed": mark("request to keep a call longer dismissed"),
    "call:held": mark("call held"),
    "call:hold_lifted": mark("hold of a call lifted"),
    "calls:listed": mark("calls listed"),
    "call:shown": mark("page of a call opened"),
    "call:opened": mark("call listened to"),
    "call:downloaded": mark("call downloaded"),
    "evidence:exported": mark("call exported as evidence"),
    "call:erasure_asked": mark("deletion of a call asked for"),
    "calls:condemned": mark("deletion decided"),
    "calls:forgotten": mark("deletion done: the keys are gone"),
    "receipt:exported": mark("receipt for a deletion taken away"),
    "journal:exported": mark("journal taken away"),
    "journal:heads_begun": mark("signing of the journal begun"),
    "journal:heads_broken": mark("signatures under the journal do not fit the security chip"),
    "journal:torn_line_dropped": mark("half an entry dropped after a power cut"),
}
"""By the names that they have in the journal, in exports and in its format."""

_ORDERS = {
    "confirm": mark("here: confirmed"),
    "pause": mark("here: paused"),
    "resume": mark("here: resumed"),
    "forget": mark("here: forgotten"),
    "keep": mark("here: asked to be kept"),
}

_PARTS = {
    "vault": mark("the box itself"),
    "retention": mark("the box itself"),
    "restore": mark("the box itself"),
    "recorder": mark("noticed by the box"),
    "console": mark("somebody at the box’s console"),
    "webui": mark("somebody who was not logged in"),
}


def act_text(act: str) -> str:
    return gettext(ACTS[act]) if act in ACTS else act


def who_text(act: verbs.ActFacts) -> str:
    if act.name:
        return act.name
    return gettext(_PARTS[act.by]) if act.by in _PARTS else gettext("account %(account)s", account=act.by)


def detail_text(act: verbs.ActFacts) -> str:
    """What is worth saying beside an act; empty if nothing is."""
    match act.notes:
        case {"until_ms": int(until_ms)}:
            return gettext("last day %(day)s", day=last_day_text(until_ms))
        case {"order": str(order)} if order in _ORDERS:
            return gettext(_ORDERS[order])
        case {"before_s": int(before_s), "after_s": int(after_s)}:
            return gettext("from %(before)s to %(after)s", before=period_text(before_s), after=period_text(after_s))
    return ngettext("%(num)s call", "%(num)s calls", act.calls) if act.calls > 1 else ""
