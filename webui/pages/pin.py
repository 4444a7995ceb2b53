"""A PIN that the box asks for at every start: whether there is one, another one, or none."""

from __future__ import annotations

from flask import Blueprint, render_template

from appliance.boundary.vault import VaultRefused
from appliance.boundary.verbs import PIN_MIN_LENGTH
from webui.gate import this_login
from webui.language import gettext
from webui.pages.forms import MAX_PASSWORD, Page, field, missing
from webui.troubles import SaidTrouble, say_refused
from webui.vault_client import ThreadVault


class PinPages:
    def __init__(self, vault: ThreadVault) -> None:
        self._vault = vault

    def blueprint(self) -> Blueprint:
        pages = Blueprint("pin", __name__)
        pages.add_url_rule("/pin", "show", self.show, methods=["GET"])
        pages.add_url_rule("/pin", "choose", self.choose, methods=["POST"])
        pages.add_url_rule("/pin/remove", "remove", self.remove, methods=["POST"])
        return pages

    def show(self) -> Page:
        return self._page()

    def choose(self) -> Page:
        pin = field("pin", MAX_PASSWORD)
        if not pin:
            return self._page(missing())
        if len(pin) < PIN_MIN_LENGTH:
            return self._page(_too_short())
        if pin != field("pin_again", MAX_PASSWORD):
            return self._page(_unlike())
        return self._set(pin)

    def remove(self) -> Page:
        return self._set(None)

    def _set(self, pin: str | None) -> Page:
        password = field("password", MAX_PASSWORD)
        if not password:
            return self._page(missing())
        try:
            self._vault.choose_pin(this_login(), password, pin)
        except VaultRefused as refused:
            if refused.kind == "LoginEnded":
                raise
            return self._page(say_refused(refused))
        return self._page(is_changed=True)

    def _page(self, trouble: SaidTrouble | None = None, *, is_changed: bool = False) -> Page:
        page = render_template(
            "pin.html",
            is_set=self._vault.has_pin(this_login()),
            is_changed=is_changed,
            trouble=trouble,
            min_length=PIN_MIN_LENGTH,
        )
        return page, trouble.status if trouble else 200


def _too_short() -> SaidTrouble:
    return SaidTrouble(
        kind="PinTooShort",
        status=422,
        happened=gettext("This PIN is too short"),
        safe=gettext("Nothing was changed."),
        to_do=gettext("Take at least %(number)s characters.", number=PIN_MIN_LENGTH),
    )


def _unlike() -> SaidTrouble:
    return SaidTrouble(
        kind="PinsDiffer",
        status=422,
        happened=gettext("The two PINs are not the same"),
        safe=gettext("Nothing was changed."),
        to_do=gettext("Type the same PIN twice."),
    )
