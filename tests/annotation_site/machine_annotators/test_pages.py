"""Pages of a study's language models: what they show, ask and refuse."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Membership, Study
from annotation_site.machine_annotators import forecasts, pages
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT, PROMPT_MOST
from annotation_site.machine_annotators.models import MachineExchange, MachinePrompt, MachineRun
from annotation_site.machine_annotators.services import prompt_save
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_draft,
    make_machine_run,
    make_study,
    researcher_of,
    text_of,
)
from tests.annotation_site.machine_annotators.rows import (
    annotation_row,
    exchange_row,
    finished_run,
    priced_run,
)
from tests.annotation_site.proxies.made import make_value_study

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script><bdi>\u202e</pre>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;bdi&gt;\u202e&lt;/pre&gt;"
RUN = {"covers": "lists", "temperature": "0", "seed": "7", "most_reply_tokens": "200"}


@pytest.fixture(scope="module")
def stored(store: Any) -> int:
    return store(lambda: make_study(guidelines="Look closely.").pk)


@pytest.fixture
def study(stored: int, db: None) -> Study:
    return Study.objects.get(pk=stored)


@pytest.fixture
def model(settings: Any) -> None:
    """A language model at an endpoint, with prices and a budget."""
    settings.LLM_MODEL, settings.LLM_ENDPOINT = "acme/tiny", "https://models.example.org/v1"
    settings.LLM_PRICE_INPUT, settings.LLM_PRICE_OUTPUT = Decimal("0.15"), Decimal("0.6")
    settings.LLM_BUDGET = Decimal(20)


def address(study: Study, path: str = "") -> str:
    return f"/studies/{study.slug}/machine-annotators/{path}"


def page(study: Study, path: str = "", **sent: Any) -> Any:
    return client_of(researcher_of(study)).get(address(study, path), sent)


def post(study: Study, path: str, sent: Any = None, **options: Any) -> Any:
    return client_of(researcher_of(study)).post(address(study, path), sent or {}, **options)


def hidden(response: Any) -> dict[str, str]:
    """The fields that the page of a forecast sends again."""
    return dict(
        re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)"',
                   response.content.decode())
    )  # fmt: skip


def test_without_a_model_the_page_says_what_the_admin_sets(study):
    text = text_of(page(study))
    assert "No language model is set up" in text
    for name in ("LLM_MODEL", "LLM_ENDPOINT", "docs/machine-annotators.md"):
        assert name in text
    assert "New run" not in text
    assert "No language model is set up" in text_of(page(study, "new/"))
    assert post(study, "new/", {**RUN, "action": "start"}).status_code == 200
    assert not MachineRun.objects.exists()


@pytest.mark.usefixtures("model")
def test_the_model_is_shown_with_its_prices_and_the_budget(study, settings):
    settings.LLM_API_KEY = "a-secret-key"
    make_machine_run(
        study, state="running", currency="USD", most_cost=Decimal(2), cost=Decimal("0.5")
    )
    text = text_of(page(study))
    assert "acme/tiny" in text
    assert "models.example.org" in text
    assert "0.15 USD for input and 0.60 USD for output, per million tokens" in text
    assert "18.50 of 20.00 USD in 30 days are left, for all studies together" in text
    assert "kept for 90 days, then deleted" in text
    assert "a-secret-key" not in text
    settings.LLM_ENDPOINT, settings.LLM_PRICE_INPUT, settings.LLM_BUDGET = "", None, None
    settings.LLM_PRICE_OUTPUT = None
    text = text_of(page(study))
    assert "local model, on this site’s workers: nothing leaves the site" in text
    assert "none set, so costs are not counted" in text


def test_a_run_says_what_it_did_and_spent_and_may_spend(study):
    run = finished_run(study)
    text = text_of(page(study))
    assert '<li class="card machine">' in text
    for words in (
        "Machine: tiny", "12 of 12", "1 (8.3%)", "14, at most 24", "14,346, at most 40,000",
        "0.003052, at most 0.05 USD", "tiny-2026-11", "machine-tiny</code>", "Delete the run",
    ):  # fmt: skip
        assert words in text, words
    assert "Continue" not in text
    assert "Requests and replies</a>" not in text  # none are kept
    assert str(run.requested_by) in text


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("queued", {"Cancel"}),
        ("running", {"Cancel"}),
        ("stopped", {"Continue", "Delete the run"}),
        ("failed", {"Continue", "Delete the run"}),
        ("cancelled", {"Continue", "Delete the run"}),
        ("ready", {"Delete the run"}),
    ],
)
def test_a_run_has_the_buttons_of_its_state(study, state, buttons):
    finished_run(study, state=state, error="<b>It ended.</b>")
    runs = page(study, "status/").content.decode()
    found = re.findall(r'class="button[^>]*>([^<]+)<', runs)
    assert set(found) == buttons
    assert ("hx-get" in runs) == (state in ("queued", "running"))
    assert "&lt;b&gt;It ended.&lt;/b&gt;" in runs


@pytest.mark.parametrize("covers", MachineRun.Covers.values)
def test_a_ready_run_can_continue_with_lists_that_the_study_drew_later(study, covers):
    run = finished_run(study, covers=covers)
    assert "Continue" not in text_of(page(study, "status/"))
    run.annotations.first().delete()  # as if its list had been drawn just now
    assert "Continue" in text_of(page(study, "status/"))


def test_runs_renew_themselves_only_where_something_is_new(study):
    run = priced_run(study, state="running", done=3)
    key = re.search(r"have=(\w+)", page(study).content.decode())[1]
    assert page(study, "status/", have=key).status_code == 204
    MachineRun.objects.filter(pk=run.pk).update(done=4)
    renewed = page(study, "status/", have=key)
    assert renewed.status_code == 200
    assert "4 of 12" in text_of(renewed)


def test_the_page_takes_as_many_queries_for_many_runs(study, django_assert_max_num_queries):
    for _ in range(6):
        priced_run(study)
    client = client_of(researcher_of(study))
    # session, person, study, prompt, runs, notices, made up
    with django_assert_max_num_queries(8):
        client.get(address(study))


def test_the_prompt_is_kept_in_versions(study):
    text = text_of(page(study, "prompt/"))
    assert "the text that the site comes with" in text
    assert DEFAULT_PROMPT.splitlines()[0] in text
    sent = {"text": f"Find animals.\r\n{HOSTILE}", "base": "0"}
    assert post(study, "prompt/", sent).status_code == 302
    saved = MachinePrompt.objects.get()
    assert (saved.version, saved.text) == (1, f"Find animals.\n{HOSTILE}")
    shown = page(study, "prompt/").content.decode()
    assert shown.count(ESCAPED) == 2  # to change, and among the versions
    assert HOSTILE not in shown
    assert 'id="version-1"' in shown
    assert 'id="version-0"' in shown
    same = {"text": saved.text, "base": "1"}
    post(study, "prompt/", same)
    assert MachinePrompt.objects.count() == 1


def test_no_written_prompt_is_lost(study):
    researcher = researcher_of(study)
    prompt_save(study=study, text="Of another tab.", base=0, by=researcher)
    for sent, why in (
        ({"text": "Mine.", "base": "0"}, "the prompt changed after you opened this page"),
        ({"text": "Mine." + "x" * PROMPT_MOST, "base": "1"}, "at most 6000 characters"),
    ):
        refused = post(study, "prompt/", sent)
        assert refused.status_code == 422
        assert why in text_of(refused)
        assert sent["text"] in refused.content.decode()
    assert MachinePrompt.objects.get().text == "Of another tab."


@pytest.mark.usefixtures("model")
def test_a_run_starts_only_after_its_messages_were_seen(study, messages):
    assert 'value="1000"' in page(study, "new/").content.decode()  # the site's longest reply
    for action in ("forecast", "start"):  # nobody starts what they have not seen
        shown = post(study, "new/", {**RUN, "action": action})
        text = text_of(shown)
        assert "What would be sent" in text
        assert "Start the run" in text
        assert "Look closely." in text
        assert not MachineRun.objects.exists()
    fields = hidden(shown)
    assert fields["most_requests"] == "24"
    asked = post(study, "new/", {**fields, "action": "start"})
    assert asked.headers["Location"] == address(study)
    run = MachineRun.objects.get()
    assert (run.state, run.seed, run.most_requests, run.total) == ("queued", 7, 24, 12)
    assert run.most_cost == Decimal(fields["most_cost"])
    assert ("machine_run_work", run.pk) in messages


@pytest.mark.usefixtures("model")
def test_a_run_does_not_start_where_its_messages_changed_since(study):
    fields = hidden(post(study, "new/", {**RUN, "action": "forecast"}))
    prompt_save(study=study, text="Find animals.", base=0, by=researcher_of(study))
    stale = post(study, "new/", {**fields, "action": "start"})
    assert stale.status_code == 422
    assert "something changed after you looked" in text_of(stale)
    assert "Find animals." in text_of(stale)
    assert not MachineRun.objects.exists()
    assert post(study, "new/", {**hidden(stale), "action": "start"}).status_code == 302


@pytest.mark.usefixtures("model")
def test_a_wrong_number_is_refused_beside_its_field_and_nothing_is_lost(study):
    sent = {**RUN, "temperature": "3", "most_requests": "0", "most_tokens": "123456"}
    refused = post(study, "new/", {**sent, "action": "forecast"})
    assert refused.status_code == 422
    page_text = refused.content.decode()
    assert page_text.count('class="errorlist"') == 2
    for value in ("3", "0", "7", "200", "123456"):
        assert f'value="{value}"' in page_text
    # The page's hidden fields can be sent by anybody.
    assert post(study, "new/", {**sent, "action": "start"}).status_code == 422
    assert "form" in text_of(post(study, "new/", {**sent, "action": "change"}))


@pytest.mark.usefixtures("model")
def test_a_limit_below_what_is_needed_is_named_and_can_be_changed(study):
    shown = post(study, "new/", {**RUN, "most_requests": "5", "action": "forecast"})
    assert "A limit is below this" in text_of(shown)
    back = post(study, "new/", {**hidden(shown), "action": "change"})
    assert back.status_code == 200
    assert 'name="most_requests" value="5"' in back.content.decode()


@pytest.mark.usefixtures("model")
def test_a_refusal_of_the_service_stands_on_the_form(settings):
    study = make_study()
    fields = hidden(post(study, "new/", {**RUN, "action": "forecast"}))
    settings.LLM_BUDGET = Decimal("0.000001")
    refused = post(study, "new/", {**fields, "action": "start"})
    assert refused.status_code == 422
    assert "budget for language models" in text_of(refused)
    vectors = post(study, "new/", {**RUN, "covers": "vectors", "action": "forecast"})
    assert vectors.status_code == 422
    assert "Extract the model with" in text_of(vectors)


@pytest.mark.usefixtures("model")
def test_a_stopped_run_continues_under_new_limits(study, messages):
    run = priced_run(study, state="stopped", done=3, model="acme/tiny")
    path = f"{run.public_id}/continue/"
    assert 'value="0.05"' in page(study, path).content.decode()
    limits = {"most_requests": "2", "most_tokens": "90000", "most_cost": "1"}
    refused = post(study, path, limits)
    assert refused.status_code == 422
    assert "The run has used 14 requests" in text_of(refused)
    assert 'value="90000"' in refused.content.decode()
    assert post(study, path, {**limits, "most_requests": "99"}).status_code == 302
    run.refresh_from_db()
    assert (run.state, run.most_requests, run.most_cost) == ("queued", 99, 1)
    assert "there is nothing to continue" in text_of(page(study, path))


def test_a_run_is_deleted_after_a_page_that_says_what_goes(study):
    run = priced_run(study)
    exchange_row(run, study.items.first().vector)
    path = f"{run.public_id}/delete/"
    assert "annotations of 12 lists are deleted" in text_of(page(study, path))
    assert MachineRun.objects.exists()
    assert post(study, path).status_code == 302
    assert not MachineRun.objects.exists()
    running = priced_run(study, state="running")
    path = f"{running.public_id}/delete/"
    assert "Cancel it first" in text_of(page(study, path))
    assert post(study, path).status_code == 422
    assert post(study, f"{running.public_id}/cancel/").status_code == 302
    running.refresh_from_db()
    assert running.state == "cancelled"


def test_requests_and_replies_are_deleted_and_the_annotations_stay(study):
    run = priced_run(study)
    vector = study.items.first().vector
    exchange_row(run, vector)
    annotation_row(run, vector)
    path = f"{run.public_id}/exchanges/delete/"
    assert "1 request of “" in text_of(page(study, path))
    assert post(study, path).status_code == 302
    assert not MachineExchange.objects.exists()
    assert run.annotations.count() == 1
    assert "They were deleted" in text_of(page(study, f"{run.public_id}/exchanges/"))
    assert "No requests and replies of this run are kept" in text_of(page(study, path))


def test_a_hostile_reply_is_shown_as_text_and_cut(study, monkeypatch):
    run = priced_run(study)
    item = study.items.first()
    reply = HOSTILE + "x" * 1_000_000
    asked = [{"role": "user", "content": f"{HOSTILE} asked"}]
    exchange_row(run, item.vector, reply=reply, state="malformed", failure=f"No JSON: {HOSTILE}",
                 messages=asked)  # fmt: skip
    shown = page(study, f"{run.public_id}/exchanges/")
    text = shown.content.decode()
    assert HOSTILE not in text
    assert text.count(ESCAPED) == 3  # the reply, the reason, and what was asked
    assert '<bdi class="notranslate" translate="no">' + ESCAPED in text
    assert len(text) < 3 * pages.SHOWN
    assert f"{len(reply) - pages.SHOWN:,} more characters are not shown here" in text_of(shown)
    assert f'href="/studies/{study.slug}/lists/{item.pk}/"' in text


def test_exchanges_are_paged_list_by_list_in_the_order_of_sending(study, monkeypatch):
    run = priced_run(study)
    first, second = (item.vector for item in study.items.order_by("-pk")[:2])
    exchange_row(run, first, state="malformed", reply="reply one")
    exchange_row(run, second, reply="reply two")
    exchange_row(run, first, number=2, reply="reply three")
    exchange_row(priced_run(study), first, reply="of another run")
    path = f"{run.public_id}/exchanges/"
    found = re.findall(r"reply \w+(?=<)", page(study, path).content.decode())
    assert [one for one in found if one != "reply yet"][-3:] == [
        "reply one", "reply three", "reply two",
    ]  # fmt: skip
    chosen = text_of(page(study, path, state="malformed"))
    assert "reply one" in chosen
    assert "reply two" not in chosen
    of_list = text_of(page(study, path, list=study.items.get(vector=second).pk))
    assert "reply two" in of_list
    assert "reply one" not in of_list
    for sent in ({"list": "9" * 40}, {"list": "x"}, {"state": "x"}, {"page": "x"}):
        assert page(study, path, **sent).status_code == 200
    monkeypatch.setattr("annotation_site.machine_annotators.views.EXCHANGES_PER_PAGE", 2)
    assert "Page 1 of 2" in text_of(page(study, path))


def test_nobody_reads_exchanges_about_lists_that_they_annotate_elsewhere():
    study = make_value_study()
    run = priced_run(study, covers="vectors")
    extraction = study.extractions.get()
    own = set(study.items.values_list("vector", flat=True))
    others = extraction.vectors.filter(kind="value").exclude(pk__in=own)
    for vector in [*others, study.items.first().vector]:
        exchange_row(run, vector, reply=f"about vector {vector.pk}.")
    researcher = researcher_of(study)

    def read() -> set[int]:
        path = f"/api/studies/{study.slug}/machine-annotators/{run.public_id}/exchanges"
        found = client_of(researcher).get(path, {"limit": 20}).json()["results"]
        return {int(one["reply"].split()[-1].rstrip(".")) for one in found}

    assert read() == {*others.values_list("pk", flat=True), study.items.first().vector_id}
    elsewhere = make_draft(extraction=extraction, kinds=("value",), lists_per_layer=3)
    Membership.objects.create(study=elsewhere, user=researcher, role=Membership.Role.ANNOTATOR)
    hidden_there = set(elsewhere.items.values_list("vector", flat=True)) - own
    assert hidden_there
    left = read()
    assert study.items.first().vector_id in left
    assert not left & hidden_there


def test_a_list_shows_what_ready_runs_said_apart_from_people(study):
    item, other = study.items.order_by("pk")[:2]
    run, failed = priced_run(study), priced_run(study, name="machine-bad")
    annotation_row(run, item.vector)
    annotation_row(failed, item.vector, annotation=None, failure=f"No JSON: {HOSTILE}")
    annotation_row(priced_run(study, state="running", name="machine-early"), item.vector)
    exchange_row(run, item.vector)
    client = client_of(researcher_of(study))
    url = f"/studies/{study.slug}/lists/{item.pk}/"
    client.post(url, {"all": "on"})
    shown = client.get(url).content.decode()
    people, _, machines = shown.partition('id="h-machines"')
    assert "birds that sing" not in people
    assert machines.count('<section class="by-one machine"') == 2
    assert machines.index("Machine: bad") < machines.index("Machine: tiny")
    assert "birds that sing" in machines
    assert ESCAPED in machines
    assert "Machine: early" not in shown
    assert f"{run.public_id}/exchanges/?list={item.pk}" in machines
    assert f"{failed.public_id}/exchanges/" not in machines
    assert (
        "h-machines" not in client.get(f"/studies/{study.slug}/lists/{other.pk}/").content.decode()
    )


def test_the_pages_of_a_study_lead_here(study):
    client = client_of(researcher_of(study))
    for path in ("home/", "estimates/"):
        found = client.get(f"/studies/{study.slug}/{path}").content.decode()
        assert f'href="{address(study)}"' in found, path


def test_another_study_s_researcher_finds_no_run(study):
    run = priced_run(study)
    other = make_study()
    stranger = client_of(researcher_of(other))
    for path in ("continue/", "delete/", "exchanges/", "exchanges/delete/"):
        assert stranger.get(address(other, f"{run.public_id}/{path}")).status_code == 404
        assert stranger.get(address(study, f"{run.public_id}/{path}")).status_code == 404
        if path != "exchanges/":
            assert stranger.post(address(other, f"{run.public_id}/{path}")).status_code == 404
    assert stranger.post(address(other, f"{run.public_id}/cancel/")).status_code == 404
    assert MachineRun.objects.count() == 1


def test_no_form_is_taken_without_its_token(study):
    run = priced_run(study, state="running")
    client = Client(enforce_csrf_checks=True)
    client.force_login(UserFactory(role=Role.ADMIN))
    one = str(run.public_id)
    for path in ("prompt/", "new/", f"{one}/cancel/", f"{one}/continue/", f"{one}/delete/",
                 f"{one}/exchanges/delete/"):  # fmt: skip
        assert client.post(address(study, path)).status_code == 403
    run.refresh_from_db()
    assert run.state == "running"


@pytest.mark.usefixtures("model")
def test_a_forecast_that_is_no_bound_says_so(study, monkeypatch):
    sent = {**RUN, "action": "forecast"}
    assert "tokens at most, about" not in text_of(post(study, "new/", sent))
    monkeypatch.setattr(forecasts, "LOOKED_AT", 5)
    text = text_of(post(study, "new/", sent))
    assert "tokens at most, about" in text
    assert "The longest of 5 lists, chosen by chance, stands for" in text
