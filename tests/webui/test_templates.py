"""What the content policy forbids is in no template, and every file that one names is there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from webui.places import STATIC
from webui.static_files import StaticFiles

TEMPLATES = STATIC.parent / "templates"
TAKEN_AWAY = "report.html"
"""Goes into an export, where it must stand alone: the page is never served."""
HTML = sorted(path for path in TEMPLATES.rglob("*.html") if path.name != TAKEN_AWAY)
SCRIPTS = sorted(STATIC.glob("*.js"))


class InlineFinder(HTMLParser):
    """Collects everything that would need 'unsafe-inline', or a foreign host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.found.append(f"{tag} {name}")
            if name in {"src", "href", "action"} and re.match(r"\s*(\w+:|//)", value or ""):
                self.found.append(f"{tag} {name}={value}")


@pytest.mark.parametrize("path", HTML, ids=lambda path: path.name)
def test_template_has_nothing_inline_and_nothing_foreign(path: Path) -> None:
    finder = InlineFinder()
    finder.feed(path.read_text("utf-8"))
    assert finder.found == []


def test_finder_finds_what_it_must() -> None:
    finder = InlineFinder()
    finder.feed('<p style="x"><a onclick="y" href="https://z"></a><script>1</script><style></style>')
    assert len(finder.found) == 5


def test_every_static_file_that_a_template_names_is_there() -> None:
    static = StaticFiles()
    named = {name for path in HTML for name in re.findall(r"static\('([^']+)'\)", path.read_text("utf-8"))}
    assert named
    for name in named:
        assert re.fullmatch(rf"/static/{re.escape(name)}\?v=[0-9a-f]{{12}}", static.address(name))


def test_address_of_a_static_file_changes_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("one")
    before = StaticFiles(tmp_path).address("a.css")
    (tmp_path / "a.css").write_text("two")
    assert StaticFiles(tmp_path).address("a.css") != before


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_script_takes_no_text_for_code_and_imports_nothing(path: Path) -> None:
    """An imported address would carry no hash, and an old copy would live on in the cache."""
    text = path.read_text("utf-8")
    forbidden = r"\bimport\b|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?://"
    assert re.findall(forbidden, text) == []


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.css")), ids=lambda path: path.name)
def test_style_loads_nothing(path: Path) -> None:
    assert re.findall(r"@import|url\(", path.read_text("utf-8")) == []
