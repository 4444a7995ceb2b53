"""nginx before the web page: what it adds, what it keeps away, and what it says when it is alone."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import pytest
from flask import Flask

from appliance.settings import Settings, WebuiSettings
from appliance.terms import SettingsTrouble
from tests.simulators.vault_stub import NOW_MS, OWNER, PASSWORD, StubCall, made_up_facts
from tests.webui.house import House, write_certificate
from webui.front import listen_address, render_configuration, render_page
from webui.gate import LOGIN_COOKIE, SECURITY_HEADERS
from webui.places import certificate_of, socket_of

MARKER = os.urandom(24)
MARKED = StubCall(facts=made_up_facts(0xFEED, NOW_MS), audio=MARKER * 100_000, frames=1)
LONG = StubCall(facts=made_up_facts(0xBEEF, NOW_MS), audio=bytes(24 * 1024 * 1024), frames=1)
"""More than lies in sockets on its way to a visitor."""

WRONG = urlencode({"name": OWNER, "password": "wrong"})
WRONG_CODE = urlencode({"code": "KEEP-0000", "name": OWNER, "password": PASSWORD, "password_again": PASSWORD})


@pytest.fixture(scope="module")
def house(compiled_translations: None) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        house.start_web()
        house.start_front()
        house.stub.keep(MARKED)
        yield house
        house.stop()


@pytest.fixture(scope="module")
def lonely(compiled_translations: None) -> Iterator[House]:
    """A front behind which nothing runs yet."""
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        house.start_front()
        yield house
        house.stop()


def test_page_comes_through_tls_hardened_once(house: House) -> None:
    answer = house.visitor(house.stub.new_login()).ask("GET", "/")
    assert answer.status == 200
    assert OWNER in answer.text
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "kept"), [("base.css?v=1", "public, max-age=31536000, immutable"), ("base.css", "no-cache")]
)
def test_static_file_is_kept_for_ever_under_its_hash_only(address: str, kept: str, house: House) -> None:
    answer = house.visitor().ask("GET", f"/static/{address}")
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == kept
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value


@pytest.mark.parametrize("address", ["/static/../app.py", "/static/%2e%2e/app.py", "/front/nginx.conf", "/static/"])
def test_no_other_file_is_served(address: str, house: House) -> None:
    answer = house.visitor().ask("GET", address)
    assert answer.status in {303, 400, 403, 404}
    assert "import" not in answer.text
    assert "worker_processes" not in answer.text


def test_audio_passes_whole_and_leaves_no_trace_in_a_file(house: House) -> None:
    visitor = house.visitor(house.stub.new_login())
    assert visitor.ask("GET", f"/calls/{MARKED.facts.call}/download.ogg").body == MARKED.audio
    part = visitor.ask("GET", f"/calls/{MARKED.facts.call}/audio.ogg", Range="bytes=24-")
    assert (part.status, part.body[:24], len(part.body)) == (206, MARKER, 1024 * 1024)
    files = [path for path in house.settings.run.parent.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if MARKER in path.read_bytes()]


def test_audio_that_a_visitor_does_not_take_waits_in_no_file_of_the_front(house: House) -> None:
    """Such a file would have no name: nginx removes it as soon as it has it open."""
    house.stub.keep(LONG)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", house.port))
        with unchecked().wrap_socket(plain) as visitor:
            cookie = f"{LOGIN_COOKIE}={house.stub.new_login()}"
            address = f"/calls/{LONG.facts.call}/download.ogg"
            visitor.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
            assert visitor.recv(15) == b"HTTP/1.1 200 OK"
            for _ in range(20):  # in which the front could have taken all of it
                assert house.visitor().ask("GET", "/login").status == 200
                opened = files_opened_by_workers_of(house.front)
                assert house.log.resolve() in opened
                assert not [path for path in opened if path.is_relative_to(house.settings.run.resolve())]


def files_opened_by_workers_of(master: int) -> set[Path]:
    """Also those that have no name any more: after what was their name the kernel says so."""
    opened = set()
    for worker in Path(f"/proc/{master}/task/{master}/children").read_text().split():
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                opened.add(descriptor.readlink())
    return opened


def unchecked() -> ssl.SSLContext:
    """Of a visitor who takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_fifty_silent_visitors_do_not_keep_others_out(house: House) -> None:
    with ExitStack() as silent:
        for _ in range(50):
            silent.enter_context(socket.create_connection(("127.0.0.1", house.port)))
        assert house.visitor().ask("GET", "/login").status == 200


@pytest.mark.parametrize(
    ("door", "form", "source"),
    [("/login", WRONG, "127.0.0.66"), ("/claim", WRONG_CODE, "127.0.0.67")],
    ids=["a password", "the code of the label"],
)
def test_guesser_is_slowed_down_in_their_language_and_nobody_else_is(
    door: str, form: str, source: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.stub, "claimed", door != "/claim")
    guesser = house.visitor(source=source)
    answers = [guesser.ask("POST", door, form, Accept_Language="de-DE,de;q=0.9") for _ in range(16)]
    assert answers[0].status == 403
    assert answers[-1].status == 429
    assert "Zu viele Anfragen auf einmal" in answers[-1].text
    assert answers[-1].headers["Retry-After"] == "60"
    assert answers[-1].headers["Content-Security-Policy"] == SECURITY_HEADERS["Content-Security-Policy"]
    assert house.visitor().ask("POST", door, form).status == 403
    assert guesser.ask("GET", door).status == 200


def test_body_larger_than_any_form_is_refused_by_the_front(house: House) -> None:
    answer = house.visitor().ask("POST", "/login", "x" * 70_000)
    assert answer.status == 413
    assert "The box does not understand this request" in answer.text


def test_visitor_without_tls_is_sent_to_the_tls_address(house: House) -> None:
    with socket.create_connection(("127.0.0.1", house.port)) as plain:
        plain.sendall(f"GET /x?y=1 HTTP/1.1\r\nHost: localhost:{house.port}\r\n\r\n".encode())
        answer = plain.recv(4096).decode()
    assert " 307 " in answer.splitlines()[0]
    assert f"Location: https://localhost:{house.port}/x?y=1" in answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_good_versions_of_tls_are_spoken(version: ssl.TLSVersion, house: House) -> None:
    context = unchecked()
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", house.port)) as connection,
        context.wrap_socket(connection) as spoken,
    ):
        cipher = spoken.cipher()
    assert cipher is not None
    assert re.search("GCM|CHACHA20", cipher[0])


@pytest.mark.parametrize(
    ("version", "ciphers", "alert"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL", "PROTOCOL_VERSION"),
        (ssl.TLSVersion.TLSv1_2, "ALL:!AESGCM:!CHACHA20", "HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_2, "aNULL", "HANDSHAKE_FAILURE"),
    ],
    ids=["TLS 1.1", "no cipher that also protects what it hides", "no certificate"],
)
def test_visitor_who_knows_weak_tls_only_is_told_no(
    version: ssl.TLSVersion, ciphers: str, alert: str, house: House
) -> None:
    context = unchecked()
    # A level of zero: here the visitor's own library must not be the one who refuses.
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", house.port)) as connection,
        pytest.raises(ssl.SSLError, match=f"ALERT_{alert}"),
        context.wrap_socket(connection),
    ):
        pass


def test_foreign_name_is_refused_behind_the_front_too(house: House) -> None:
    assert house.visitor(house.stub.new_login()).ask("GET", "/", Host="evil.example").status == 421


def test_sockets_and_folder_are_closed_to_other_users(house: House) -> None:
    assert socket_of(house.settings).stat().st_mode & 0o007 == 0
    assert (house.settings.run / "front").stat().st_mode & 0o077 == 0


def test_log_names_no_call_and_no_number(house: House) -> None:
    house.visitor().ask("GET", f"/calls/{MARKED.facts.call}?number=01761234", Host="evil.example")
    house.visitor(house.stub.new_login()).ask("POST", "/?number=01761234", "x" * 70_000)
    logged = house.log.read_text()
    assert MARKED.facts.call not in logged
    assert "01761234" not in logged


@pytest.mark.parametrize(("language", "said"), [("de", "Das Gerät startet gerade"), ("en", "The box is starting")])
def test_front_alone_says_that_the_box_is_starting(language: str, said: str, lonely: House) -> None:
    answer = lonely.visitor().ask("GET", "/?number=01761234", Accept_Language=language)
    assert answer.status == 503
    assert said in answer.text
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "01761234" not in lonely.log.read_text()


def test_chosen_language_counts_more_than_the_browsers(lonely: House) -> None:
    answer = lonely.visitor().ask("GET", "/", Accept_Language="en", Cookie="lang=de")
    assert "Das Gerät startet gerade" in answer.text


def test_front_alone_serves_the_style_of_its_pages(lonely: House) -> None:
    assert lonely.visitor().ask("GET", "/static/base.css?v=1").status == 200


# what is written, without a server


@pytest.mark.parametrize(
    ("address", "listen"),
    [
        ("192.0.2.7", "192.0.2.7:8443"),
        ("::", "[::]:8443"),
        ("fd00::7", "[fd00::7]:8443"),
        ("localhost", "localhost:8443"),
    ],
)
def test_address_is_written_as_nginx_reads_it(address: str, listen: str) -> None:
    assert listen_address(WebuiSettings(address=address), 8443) == listen


@pytest.mark.parametrize("address", ["", "1.2.3.4; }", "a b", "unix:/x"])
def test_address_that_could_change_the_configuration_is_refused(address: str) -> None:
    with pytest.raises(SettingsTrouble, match="address"):
        listen_address(WebuiSettings(address=address), 8443)


@pytest.mark.parametrize("folder", ['/run/a"b', "/run/a\\b", "/run/$a", "/run/a:b", "/run/a\nb"])
def test_path_that_could_change_the_configuration_is_refused(folder: str, settings: Settings, app: Flask) -> None:
    with pytest.raises(SettingsTrouble, match="nginx cannot use the path"):
        render_configuration(msgspec.structs.replace(settings, run_dir=folder), app, as_root=False)


def test_certificate_that_is_made_late_or_anew_is_shown_without_a_restart(compiled_translations: None) -> None:
    with tempfile.TemporaryDirectory(prefix="lk-") as folder:
        house = House(Path(folder))
        certificate, key = certificate_of(house.settings)
        shutil.rmtree(certificate.parent)
        house.start_front()
        try:
            with pytest.raises(ssl.SSLError):
                shown_certificate(house.port)
            for _ in range(2):
                write_certificate(certificate, key)
                assert shown_certificate(house.port) == certificate.read_text()
                shutil.rmtree(certificate.parent)
        finally:
            house.stop()


def shown_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def test_plain_http_is_redirected_only_on_the_ports_that_a_browser_tries(settings: Settings, app: Flask) -> None:
    assert settings.webui.port != 443
    assert "listen 127.0.0.1:80;" not in render_configuration(settings, app, as_root=False)
    on_443 = msgspec.structs.replace(settings, webui=msgspec.structs.replace(settings.webui, port=443))
    assert "listen 127.0.0.1:80;" in render_configuration(on_443, app, as_root=False)


def test_only_root_names_the_user_of_the_worker(settings: Settings, app: Flask) -> None:
    assert "\nuser root root;" in render_configuration(settings, app, as_root=True)
    assert "\nuser " not in render_configuration(settings, app, as_root=False)


def test_pages_of_the_front_offer_no_switch_that_would_lead_nowhere(app: Flask) -> None:
    page = render_page(app, "Starting", "de")
    assert 'lang="de"' in page
    assert "?lang=" not in page
