"""Pages of language models in a browser: both themes, a phone, no barrier, no script of a reply."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from playwright.sync_api import Route, sync_playwright

from tests import requires
from tests.annotation_site.factories import client_of, make_study, researcher_of
from tests.annotation_site.js.stub import POLICY, TYPES
from tests.annotation_site.machine_annotators.rows import (
    annotation_row,
    exchange_row,
    priced_run,
)
from tests.e2e.pages import look

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("page")]
SITE = "http://site.test"
HOSTILE = "</pre><script>document.title = 'broken'</script><img src=x onerror=alert(1)>\u202e"


def rendered() -> Iterator[tuple[str, bytes]]:
    """The pages that hold most, with a reply that tries to break out of one."""
    study = make_study(title="A study with a long name " * 3)
    item = study.items.order_by("pk")[0]
    run = priced_run(study, name="machine-" + "a-long-name-of-a-model" * 2)
    priced_run(study, state="running", done=3)
    priced_run(study, state="failed", error=f"The endpoint refused the key. {HOSTILE}")
    exchange_row(run, item.vector, state="malformed", reply=HOSTILE + "x" * 100_000,
                 failure=HOSTILE)  # fmt: skip
    annotation_row(run, item.vector, annotation=None, failure=HOSTILE)
    client = client_of(researcher_of(study))
    client.post(f"/studies/{study.slug}/lists/{item.pk}/", {"all": "on"})
    pages = f"/studies/{study.slug}/machine-annotators/"
    for path in (
        pages,
        f"{pages}{run.public_id}/exchanges/",
        f"/studies/{study.slug}/lists/{item.pk}/",
    ):
        yield path, client.get(path).content


def test_pages_of_language_models_have_no_barrier_and_run_nothing_of_a_reply():
    found = dict(rendered())
    faults: list[str] = []

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(SITE).partition("?")[0]
        if path in found:
            headers = {"Content-Security-Policy": POLICY}
            route.fulfill(
                body=found[path], content_type="text/html; charset=utf-8", headers=headers
            )
        elif path.startswith("/static/"):
            file = Path(str(finders.find(path.removeprefix("/static/"))))
            route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix])
        else:
            route.fulfill(status=204)

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=requires.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(base_url=SITE)
        page.route(f"{SITE}/**", answer)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: said.type == "error" and faults.append(said.text))
        for number, path in enumerate(found):
            page.goto(path)
            look(page, f"machine-annotators-{number}")
            assert page.title() != "broken"
            assert page.locator("main script, main img").count() == 0
        chromium.close()
    assert faults == []
