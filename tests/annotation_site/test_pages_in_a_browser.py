"""Every page, as the site renders it, in a browser: on a phone, and where nothing may be stored.

The pages are rendered first and served from memory: what is tried here needs their scripts and
styles, and no database behind them.
"""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, sync_playwright

from annotation_site.annotation.models import Assignment, Membership, Study
from tests import requires
from tests.annotation_site.accounts.second_factor import confirm
from tests.annotation_site.addresses import GET, address
from tests.annotation_site.factories import client_of, log_in, make_invitation
from tests.annotation_site.js.stub import POLICY, TYPES
from tests.annotation_site.marked_words import world  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("page")]
HIDDEN = re.compile(r'(.{0,200})<span class="visually-hidden">(.{3})')
SMALL = """() => [...document.querySelectorAll('input, select, textarea')]
  .filter((e) => !['checkbox', 'radio', 'hidden'].includes(e.type))
  .map((e) => [e.name || e.id || e.className, parseFloat(getComputedStyle(e).fontSize)])
  .filter(([, size]) => size < 16)"""
# A box is as tall as it is wide, also where other fields are made taller for fingers.
STRETCHED = """() => [...document.querySelectorAll('[type="checkbox"], [type="radio"]')]
  .filter((e) => e.offsetHeight !== e.offsetWidth).map((e) => e.name)"""
INVALID = """(e) => {
  const edge = () => getComputedStyle(e).borderTopColor;
  const before = edge();
  e.setAttribute('aria-invalid', 'true');
  return [before, edge()];
}"""
# What browsers do where a person, a company or a private window forbids it.
BLOCKED = """for (const name of ['localStorage', 'sessionStorage']) {
  const get = () => { throw new DOMException('The operation is insecure.', 'SecurityError'); };
  Object.defineProperty(window, name, {get});
}"""
FULL = """Storage.prototype.setItem = () => {
  throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
};"""


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """What is rendered once for all tests."""
    return {}


@pytest.fixture
def rendered(request: pytest.FixtureRequest, kept: dict[str, bytes]) -> dict[str, bytes]:
    """The pages by a path of their own."""
    if not kept:
        kept.update(_render(*request.getfixturevalue("world")))
    return kept


def _render(study: Study, assignment: Assignment, clients: dict[str, Client]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in (name for name in GET if not name.startswith("api:")):
        for role, client in clients.items():
            _keep(found, client, f"/{name}/{role}", address(name, study, assignment))
    person = assignment.membership.user
    for own in person.memberships.get().assignments.order_by("position")[:3]:
        _keep(found, client_of(person), f"/list/{own.pk}", f"/lists/{own.public_id}/")
    _keep(found, Client(), "/join", make_invitation()[1])
    fresh = log_in(Study.objects.get().memberships.get(role=Membership.Role.RESEARCHER).user)
    _keep(found, fresh, "/confirm", reverse("accounts:token_new"))
    confirm(fresh)
    _keep(found, fresh, "/token", reverse("accounts:token_new"))
    _keep(found, fresh, "/factor", reverse("mfa_activate_totp"))
    return found


def _keep(found: dict[str, bytes], client: Client, path: str, url: str) -> None:
    response = client.get(url, follow=path == "/confirm")
    if response.streaming:
        list(response.streaming_content)  # to its end, which closes the file
    elif response.status_code == 200 and b"<html" in response.content:
        found[path] = response.content


@pytest.fixture
def served(rendered: dict[str, bytes]) -> Iterator[str]:
    """Where a server answers with them, and with the site's static files."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Silent: pytest shows what matters."""

        def do_GET(self) -> None:
            body, kind = rendered.get(self.path), "text/html; charset=utf-8"
            if self.path.startswith("/static/"):
                file = finders.find(self.path.partition("?")[0].removeprefix("/static/"))
                body, kind = Path(str(file)).read_bytes(), TYPES[Path(str(file)).suffix]
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Security-Policy", POLICY)
            if self.path.startswith("/static/"):
                self.send_header("Cache-Control", "max-age=600")
            self.end_headers()
            self.wfile.write(body or b"")

        do_POST = do_PUT = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_no_field_of_any_page_makes_a_phone_zoom_in(rendered: dict[str, bytes], served: str):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        narrow = {"viewport": {"width": 390, "height": 844}}
        phone = {**narrow, "has_touch": True, "is_mobile": True, "device_scale_factor": 3}
        page = chromium.new_context(**phone).new_page()
        devices = page.context.new_cdp_session(page)
        fields = 0
        small = {}
        for path in rendered:
            page.set_viewport_size(narrow["viewport"])
            devices.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
            page.goto(served + path)
            fields += page.locator("input, select, textarea").count()
            small[f"a phone: {path}"] = page.evaluate(SMALL)
            page.set_viewport_size({"width": 1180, "height": 820})
            small[f"a tablet: {path}"] = page.evaluate(SMALL)
            page.set_viewport_size(narrow["viewport"])
            devices.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
            small[f"a narrow window: {path}"] = page.evaluate(SMALL)
            assert page.evaluate(STRETCHED) == [], path
        assert {path: found for path, found in small.items() if found} == {}
        assert fields > 100
        page.goto(served + "/accounts:invite/admin")
        for field in page.locator("main").locator("input, select").all():
            valid, invalid = field.evaluate(INVALID)
            assert valid != invalid
        chromium.close()


def test_no_page_fails_where_the_browser_keeps_nothing(rendered: dict[str, bytes], served: str):
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        faults: list[str] = []
        for how in (BLOCKED, FULL):
            page = chromium.new_context().new_page()
            page.add_init_script(how)
            page.on("pageerror", lambda error: faults.append(str(error)))
            for path in rendered:
                page.goto(served + path)
                if page.locator("ul#tokens").count():
                    _work(page)
                assert faults == [], path
        chromium.close()


def test_a_button_s_spoken_name_has_no_space_before_a_mark(rendered: dict[str, bytes], served: str):
    """Browsers put a space between what is seen and what is only heard, so it begins with one."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page()
        tree = page.context.new_cdp_session(page)
        for path in ("/home/researcher", "/home/annotator", "/annotation:run/researcher"):
            page.goto(served + path)
            nodes = tree.send("Accessibility.getFullAXTree")["nodes"]
            names = {
                node["name"]["value"]
                for node in nodes
                if node.get("role", {}).get("value") in ("button", "link")
            }
            assert any("(zq" in name for name in names), (path, names)
            assert {name for name in names if re.search(r"\s[:,.;)]|\S\(|\(\s", name)} == set()
        chromium.close()


def test_what_is_only_heard_is_apart_from_what_is_seen():
    """In every template: a hidden span after a text begins with a space, and with no mark."""
    templates = Path(settings.BASE_DIR) / "annotation_site/templates"
    for path in sorted(templates.rglob("*.html")):
        for before, inside in HIDDEN.findall(path.read_text()):
            assert not re.match(r"\s*[:,.;]", inside), (path.name, inside)
            first = re.search(r"(<(a|b|button|div|h\d|td|th)\b[^<]*>|>\s+)$", before)
            assert first or inside[0] == " ", (path.name, before, inside)


def _work(page: Page) -> None:
    """What asks the browser to keep something: an answer, the panel, a setting."""
    page.locator("html[data-ready]").wait_for(state="attached")
    for key in ("1", "g", "g", "x"):
        page.keyboard.press(key)
