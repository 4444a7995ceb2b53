"""The front: Debian's nginx, which ends TLS and keeps slow, silent and too many visitors from the web page.

Makes nginx's configuration and the three pages that it shows by itself from the settings and our own templates,
into the run folder; then becomes nginx. Holds the certificate's key, and no right to anything else.

Started as root (a container, a demonstration), nginx's worker stays root: nobody else may reach the sockets.
The box starts it as a user of its own, with only the right to listen on a low port.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from flask import Flask, render_template

from appliance.clock import Clock
from appliance.daemon import start_log
from appliance.settings import Settings, WebuiSettings, is_host, read_settings
from appliance.terms import SettingsTrouble
from webui.app import create_app
from webui.gate import SECURITY_HEADERS
from webui.language import LANGUAGE_COOKIE, LANGUAGES
from webui.places import STATIC, certificate_of, front_folder, socket_of
from webui.troubles import say
from webui.vault_client import ANSWER_WITHIN_S, ThreadVault

PAGES = {"starting": "Starting", "busy": "TooBusy", "refused": "Refused"}
"""The front's own pages, and the trouble that each tells of."""

HTTP_PORT, HTTPS_PORT = 80, 443
"""Who listens on the one is looked for on the other: a browser tries that first for an address without https."""

READ_TIMEOUT_S = ANSWER_WITHIN_S + 10

_BREAKS_QUOTES = frozenset('"\\$\n:')


def write_front(settings: Settings, app: Flask, *, as_root: bool) -> Path:
    """Write the configuration and the pages. Returns the configuration's path. Raises SettingsTrouble."""
    folder = front_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind, trouble in PAGES.items():
        for language in LANGUAGES:
            page = render_page(app, trouble, language)
            (folder / f"{kind}.{language}.html").write_text(page, "utf-8")
    configuration = folder / "nginx.conf"
    configuration.write_text(render_configuration(settings, app, as_root=as_root), "utf-8")
    return configuration


def render_configuration(settings: Settings, app: Flask, *, as_root: bool) -> str:
    """nginx's configuration. Raises SettingsTrouble if a path or address cannot stand in one."""
    certificate, key = certificate_of(settings)
    with app.test_request_context():
        return render_template(
            "front/nginx.conf",
            as_root=as_root,
            listen=listen_address(settings.webui, settings.webui.port),
            listen_plain=listen_address(settings.webui, HTTP_PORT) if settings.webui.port == HTTPS_PORT else None,
            folder=_quotable(front_folder(settings)),
            run=_quotable(settings.run),
            socket=_quotable(socket_of(settings)),
            certificate=_quotable(certificate),
            key=_quotable(key),
            static_folder=_quotable(STATIC),
            headers=SECURITY_HEADERS,
            read_timeout_s=READ_TIMEOUT_S,
        )


def render_page(app: Flask, trouble: str, language: str) -> str:
    """One of the front's own pages, in one language."""
    with app.test_request_context(headers={"Cookie": f"{LANGUAGE_COOKIE}={language}"}):
        return render_template("front/page.html", trouble=say(trouble, {}))


def listen_address(webui: WebuiSettings, port: int) -> str:
    """The settings' address, and a port, as nginx wants them. Raises SettingsTrouble."""
    if not is_host(webui.address):
        raise SettingsTrouble(f"webui.address: '{webui.address}' is not an address.")
    return f"[{webui.address}]:{port}" if ":" in webui.address else f"{webui.address}:{port}"


def _quotable(path: Path) -> Path:
    if _BREAKS_QUOTES & set(str(path)):
        raise SettingsTrouble(f"nginx cannot use the path {path}: leave out quotes, backslashes, $ and colons.")
    return path.absolute()


def command(configuration: Path) -> tuple[str, ...]:
    """The program and its arguments. Raises SettingsTrouble if nginx is not installed."""
    # Debian keeps it where only root's path looks.
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        raise SettingsTrouble("nginx is not installed.")
    return nginx, "-e", "stderr", "-p", str(configuration.parent), "-c", str(configuration)


def main(settings_file: Path) -> NoReturn:
    """Become nginx. Raises SettingsTrouble before anything is started."""
    settings = read_settings(settings_file)
    # Only for its templates and texts: this process asks the vault nothing, and could not.
    app = create_app(settings.webui, ThreadVault(settings.vault_socket("webui")), start_log("front"), Clock())
    program, *arguments = command(write_front(settings, app, as_root=os.geteuid() == 0))
    os.execv(program, [program, *arguments])  # noqa: S606 - becoming nginx is the purpose


if __name__ == "__main__":
    main(Path(sys.argv[1]))
