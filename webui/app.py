"""Puts the web page together: picks the classes and passes on what each uses. Holds no state of its own."""

from __future__ import annotations

from flask import Flask
from structlog.stdlib import BoundLogger

from appliance.clock import Clock
from appliance.settings import WebuiSettings
from webui.gate import Gate, own_names, this_person
from webui.language import language, language_address, speak
from webui.pages.audio import AudioPages
from webui.pages.call import CallPages
from webui.pages.calls import CallList
from webui.pages.case import CasePages
from webui.pages.claim import ClaimPages
from webui.pages.deletions import DeletionPages
from webui.pages.errors import Errors
from webui.pages.evidence import EvidencePages
from webui.pages.hold import HoldPages
from webui.pages.journal import JournalPages
from webui.pages.live import LivePages
from webui.pages.login import LoginPages
from webui.pages.orders import OrderPages
from webui.pages.password import PasswordPages
from webui.pages.pin import PinPages
from webui.pages.recovery import RecoveryPages
from webui.pages.unlock import UnlockPages
from webui.static_files import StaticFiles
from webui.vault_client import ThreadVault
from webui.wording import FILTERS

MAX_BODY_BYTES = 64 * 1024
"""Our longest form is a name and two passwords."""


def create_app(webui: WebuiSettings, vault: ThreadVault, log: BoundLogger, clock: Clock) -> Flask:
    """The WSGI application for one box. Connects nowhere before the first request. Raises SettingsTrouble."""
    app = Flask("webui")
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    speak(app, webui.timezone)
    furnish(app)
    Gate(vault, own_names(webui)).guard(app)
    Errors(log).catch(app)
    app.register_blueprint(ClaimPages(vault).blueprint())
    app.register_blueprint(UnlockPages(vault).blueprint())
    app.register_blueprint(LoginPages(vault).blueprint())
    app.register_blueprint(CallList(vault, clock).blueprint())
    app.register_blueprint(CallPages(vault, clock).blueprint())
    app.register_blueprint(HoldPages(vault, clock).blueprint())
    app.register_blueprint(AudioPages(vault).blueprint())
    app.register_blueprint(EvidencePages(vault, clock).blueprint())
    app.register_blueprint(DeletionPages(vault, clock).blueprint())
    app.register_blueprint(JournalPages(vault, clock).blueprint())
    app.register_blueprint(PasswordPages(vault).blueprint())
    app.register_blueprint(PinPages(vault).blueprint())
    app.register_blueprint(RecoveryPages(vault).blueprint())
    app.register_blueprint(LivePages(vault, clock).blueprint())
    app.register_blueprint(OrderPages(vault).blueprint())
    app.register_blueprint(CasePages(vault).blueprint())
    return app


def furnish(app: Flask) -> None:
    """Give the templates what they may use."""
    static = StaticFiles()
    app.jinja_env.filters.update(FILTERS)
    app.jinja_env.globals.update(
        static=static.address,
        language=language,
        language_address=language_address,
        this_person=this_person,
    )
