"""By what the front, the web server and the application find each other."""

from __future__ import annotations

from pathlib import Path

from appliance.settings import Settings

SETTINGS_VARIABLE = "LINEKEEP_SETTINGS"
"""Names the settings file: gunicorn passes no arguments on to an application."""

NOTIFY_VARIABLE = "LINEKEEP_NOTIFY_SOCKET"
"""systemd's NOTIFY_SOCKET, under a name that gunicorn does not know."""

STATIC = Path(__file__).parent / "static"
"""The files that the front serves by itself."""


def socket_of(settings: Settings) -> Path:
    """Where the web page listens and the front connects."""
    return settings.run / "webui" / "http.sock"


def front_folder(settings: Settings) -> Path:
    """The front's own files: made anew at every start, gone with the power."""
    return settings.run / "front"


def certificate_of(settings: Settings) -> tuple[Path, Path]:
    """The front's certificate chain and its private key."""
    folder = settings.state / "tls"
    return folder / "front.pem", folder / "front.key"
