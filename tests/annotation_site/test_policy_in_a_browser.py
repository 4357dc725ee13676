"""The content security policy in a browser, on every page of a site that runs, for every role."""

from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, sync_playwright

from annotation_site.annotation.models import Membership, Study
from tests import requires
from tests.annotation_site.accounts.second_factor import confirm
from tests.annotation_site.addresses import GET, address
from tests.annotation_site.factories import client_of, log_in, make_invitation
from tests.annotation_site.marked_words import world  # noqa: F401

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("page")]
LISTEN = """window.violations = [];
addEventListener('securitypolicyviolation', (e) => {
  window.violations.push(`${e.effectiveDirective} ${e.blockedURI}`);
});"""
# What a text that broke out of a page would bring along.
INJECT = """async () => {
  window.violations = [];
  window.ran = [];
  const add = (tag, props) =>
    document.body.append(Object.assign(document.createElement(tag), props));
  add('script', {textContent: 'window.ran.push("inline script")'});
  add('script', {src: 'https://evil.example/script.js'});
  add('style', {textContent: '#injected {visibility: hidden}'});
  add('img', {src: 'https://evil.example/pixel.png'});
  add('div', {innerHTML: `<p id="injected" style="position: fixed">x</p>
    <img src="data:," onerror="window.ran.push('handler of an error')">
    <button id="pressed" onclick="window.ran.push('handler of a click')">x</button>`});
  document.getElementById('pressed').click();
  await fetch('https://evil.example/').catch(() => {});
  await new Promise((done) => { setTimeout(done, 20); });
  const style = getComputedStyle(document.getElementById('injected'));
  const blocked = [...new Set(window.violations.map((one) => one.split(' ')[0]))].sort();
  return {ran: window.ran, look: [style.position, style.visibility], blocked};
}"""
HARMLESS = {
    "ran": [],
    "look": ["static", "visible"],
    "blocked": [
        "connect-src", "img-src", "script-src-attr", "script-src-elem", "style-src-attr",
        "style-src-elem",
    ],
}  # fmt: skip


def is_page(client: Client, url: str) -> bool:
    response = client.get(url)
    if response.streaming:
        list(response.streaming_content)  # to its end, which closes the file
        return False
    return response.status_code == 200 and b"<html" in response.content


@pytest.fixture
def pages(world) -> list[tuple[Client, list[str]]]:  # noqa: F811
    """Everybody's browser, and the addresses of the pages that it may open."""
    study, assignment, clients = world
    urls = [address(name, study, assignment) for name in GET if not name.startswith("api:")]
    found = [(client, [url for url in urls if is_page(client, url)]) for client in clients.values()]
    found[0][1].append(make_invitation()[1])
    person = assignment.membership.user
    own = [f"/lists/{one.public_id}/" for one in person.memberships.get().assignments.all()]
    client = client_of(person)
    found.append((client, [url for url in own if is_page(client, url)][:3]))
    assert len(found[-1][1]) == 3
    fresh = log_in(Study.objects.get().memberships.get(role=Membership.Role.RESEARCHER).user)
    confirm(fresh)
    found.append((fresh, [reverse("accounts:token_new"), reverse("mfa_activate_totp")]))
    return found


@pytest.fixture
def static_files(settings):
    """Served from where they lie: nobody has collected them."""
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True


def logged_in(context: BrowserContext, client: Client, site: str) -> BrowserContext:
    name = settings.SESSION_COOKIE_NAME
    if cookie := client.cookies.get(name):
        context.add_cookies([{"name": name, "value": cookie.value, "url": site}])
    return context


def test_no_page_breaks_the_policy_and_the_policy_stops_what_breaks_out_of_any(
    pages, static_files, live_server
):
    here = urlsplit(live_server.url).netloc
    elsewhere: list[str] = []
    said: list[str] = []
    opened = 0
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        for client, urls in pages:
            context = logged_in(chromium.new_context(), client, live_server.url)
            page = context.new_page()
            page.add_init_script(LISTEN)
            page.on("console", lambda m: "Content Security" in m.text and said.append(m.text))
            page.on("request", lambda r: _is_foreign(r.url, here) and elsewhere.append(r.url))
            for url in urls:
                response = page.goto(live_server.url + url)
                assert response is not None
                assert response.status == 200, url
                assert "unsafe" not in response.headers["content-security-policy"]
                assert page.evaluate("window.violations") == [], url
                assert said == [], url
                assert elsewhere == [], url
                assert page.evaluate(INJECT) == HARMLESS, url
                # What the policy stopped was announced before it was.
                assert {r.rpartition("/")[0] for r in elsewhere} == {"https://evil.example"}, url
                elsewhere.clear()
                said.clear()
                opened += 1
            context.close()
        chromium.close()
    assert opened > 60


def _is_foreign(url: str, here: str) -> bool:
    return urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != here
