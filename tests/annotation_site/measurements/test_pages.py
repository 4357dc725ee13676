"""Pages of measurements: lists, the form, one measurement with its tables and files, and two."""

import io
import re
import zipfile
from datetime import timedelta

import pytest
from django.urls import reverse

from annotation_site.accounts.models import Role
from annotation_site.corpus.models import Corpus
from annotation_site.measurements.models import Measurement
from annotation_site.measurements.services import refusals
from tests.annotation_site.factories import UserFactory, client_of, make_extraction
from tests.annotation_site.measurements.measured import make_measurement

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def rosa():
    return UserFactory(role=Role.RESEARCHER, username="rosa")


@pytest.fixture
def client(rosa):
    return client_of(rosa)


@pytest.fixture
def model(db):
    return make_extraction().model


def page_of(measurement, name="measurement", **more):
    return reverse(f"measurements:{name}", args=[measurement.public_id, *more.values()])


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_a_list_without_measurements_says_what_to_do_first(client, model):
    said = text_of(client.get(reverse("measurements:listed")))
    assert "No measurements yet" in said
    assert "New measurement" in said
    said = text_of(client.get(reverse("measurements:model", args=[model.pk])))
    assert "This model was not measured yet" in said


def test_a_site_without_models_says_whom_to_ask(client):
    said = text_of(client.get(reverse("measurements:listed")))
    assert "Ask an admin to enqueue one." in said
    assert "New measurement" not in said
    said = text_of(client.get(reverse("measurements:new")))
    assert "There is no model to measure yet" in said
    admin = client_of(UserFactory(role=Role.ADMIN))
    assert "Enqueue a model" in text_of(admin.get(reverse("measurements:listed")))


def test_the_list_is_filtered_and_renews_itself_only_where_something_changed(client, model, rosa):
    make_measurement(model, rosa)
    running = make_measurement(
        model, rosa, state="running", step="reading", step_done=12, step_total=50, title="under way"
    )
    address = reverse("measurements:listed")
    response = client.get(address)
    assert "measuring 28%" in text_of(response)
    have = response.context["shown"]
    assert client.get(f"{address}?have={have}", headers=HTMX).status_code == 204
    Measurement.objects.filter(pk=running.pk).update(step_done=25)
    assert "measuring 49%" in text_of(client.get(f"{address}?have={have}", headers=HTMX))
    said = text_of(client.get(f"{address}?state=ready&model={model.pk}"))
    assert "contribution of a model" in said
    assert "under way" not in said
    assert "No measurement like this" in text_of(client.get(f"{address}?state=failed"))


def test_the_list_asks_as_many_questions_for_many_rows_as_for_one(
    client, model, rosa, django_assert_max_num_queries
):
    for _ in range(8):
        make_measurement(model, rosa)
    # The session, the person and notices; models to filter by and to measure; the count and the
    # rows of the page; live workers.
    with django_assert_max_num_queries(12):
        client.get(reverse("measurements:listed"))


def wanted(model, **more):
    return {
        "model": model.pk, "names": ["contribution"], "corpus": "wordnet", "examples": 100,
        "seed": 0, **more,
    }  # fmt: skip


def test_the_form_begins_with_an_estimate_and_says_its_defaults(client, model):
    response = client.get(reverse("measurements:new"))
    said = text_of(response)
    assert "estimated memory" in said
    for words in (
        "at least 2 tokens (1 behind a token before the text)", "the 99.9th percentile on",
        "10,000 resamples",
    ):  # fmt: skip
        assert words in said
    assert "workers" not in response.context["form"].fields


def test_an_estimate_follows_the_fields(client, model):
    address = reverse("measurements:new")
    few, many = (
        client.post(address, wanted(model, examples=n), headers=HTMX).context["forecast"]
        for n in (100, 10_000)
    )
    assert many.seconds > few.seconds
    both = client.post(
        address, wanted(model, names=["contribution", "saturation"]), headers=HTMX
    ).context["forecast"]
    assert [part.name for part in both.parts] == ["contribution", "saturation"]
    assert both.seconds == pytest.approx(sum(part.seconds for part in both.parts))
    assert both.memory_bytes == few.memory_bytes
    assert not Measurement.objects.exists()


def test_several_are_enqueued_with_one_button_and_one_opens_its_page(client, model, rosa):
    address = reverse("measurements:new")
    sent = wanted(model, action="enqueue", names=["contribution", "norm"], min_prefix=3)
    response = client.post(address, sent)
    assert response["Location"] == reverse("measurements:model", args=[model.pk])
    made = Measurement.objects.order_by("pk")
    assert [(one.name, one.parameters["min_prefix"]) for one in made] == [
        ("contribution", 3), ("norm", 3),
    ]  # fmt: skip
    assert {one.requested_by for one in made} == {rosa}
    response = client.post(address, wanted(model, action="enqueue"))
    assert response["Location"] == page_of(Measurement.objects.latest("pk"))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"names": []}, "Choose a measurement."),
        ({"examples": 1}, "Ensure this value is greater than or equal to 2."),
        ({"examples": 20_001}, "Ensure this value is less than or equal to 20000."),
        ({"prepend": "start"}, "is none, bos or a token id, not"),
        ({"extreme_below": "-3"}, "Top candidate: extreme below and extreme_above belong together"),
        ({"corpus": "/etc/passwd"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_enqueued(client, model, sent, said):
    response = client.post(reverse("measurements:new"), wanted(model, action="enqueue", **sent))
    assert response.status_code == 422
    assert said in text_of(response)
    assert f'/models/{model.pk}/">' in response.content.decode()  # the way back is still there
    assert not Measurement.objects.exists()


def test_too_few_sentences_are_said_at_the_corpus(client, model, rosa):
    corpus = Corpus.objects.create(
        name="short", licence="", sentences=7, size=70, digest="d", beginning="b", uploaded_by=rosa
    )
    sent = wanted(model, action="enqueue", corpus=corpus.reference)
    response = client.post(reverse("measurements:new"), sent)
    assert response.status_code == 422
    place = response.content.decode().partition('id="say-corpus"')[2].partition("</div>")[0]
    assert "“short” has 7 sentences, and 100 examples need as many" in place
    assert refusals(names=["norm"], model=model, corpus=corpus.reference, options={}) == {}
    assert not Measurement.objects.exists()


def test_a_form_begins_with_the_vectors_that_the_address_names(client, model):
    asked = {"model": model.pk, "names": "suppression", "set": "0:1,1:0"}
    response = client.get(reverse("measurements:new"), asked)
    assert response.status_code == 200
    form = response.context["form"]
    assert (form["names"].value(), form["set"].value()) == (["suppression"], "0:1,1:0")
    for hostile in ("x", "0:1,", "-1:0", "0:1;drop", "0:1" * 100_000, "9:9"):
        response = client.get(reverse("measurements:new"), {**asked, "set": hostile})
        assert response.status_code == 200
        assert response.context["form"]["set"].value() in (None, "9:9")
    many = ",".join(f"0:{n}" for n in range(300))
    form = client.get(reverse("measurements:new"), {**asked, "set": many}).context["form"]
    assert form["set"].value() is None or form["set"].value().count(":") == 200


def test_a_form_like_another_measurement_begins_with_its_values(client, model, rosa):
    other = make_measurement(model, rosa, name="saturation", options={"seed": 9, "control": True})
    response = client.get(f"{reverse('measurements:new')}?like={other.public_id}")
    form = response.context["form"]
    assert form["names"].value() == ["saturation"]
    assert (form["seed"].value(), form["control"].value()) == (9, True)
    folded = {group.name: group.sentence for group in form.groups}
    assert "random weights too" in folded["extremes"]


def test_a_running_one_says_its_step_its_rate_and_the_time_left(client, model, rosa):
    running = make_measurement(
        model, rosa, state="running", step="reading", step_done=10, step_total=63
    )
    began = running.created_at
    line = running.log.create(text="Step: Run the model over the examples.")
    running.log.filter(pk=line.pk).update(at=began)
    Measurement.objects.filter(pk=running.pk).update(
        started_at=began, heartbeat_at=began + timedelta(seconds=8)
    )
    response = client.get(page_of(running))
    said = text_of(response)
    assert "10 of 63 batches" in said
    assert re.search(r"About [\w ]+ left. 40 examples per second", said)
    assert f'hx-get="{page_of(running, "progress")}"' in response.content.decode()
    assert "No worker is running" in said


def test_others_actions_are_offered_to_those_who_may_take_them(client, model, rosa):
    mine, foreign = make_measurement(model, rosa), make_measurement(model, UserFactory())
    own, other = (client.get(page_of(one)).content.decode() for one in (mine, foreign))
    assert "Delete this measurement" in own
    assert "Delete this measurement" not in other
    assert client.post(page_of(foreign, "delete")).status_code == 403
    assert client.post(page_of(mine, "rename"), {"title": "mine"}).status_code == 302
    assert "mine" in text_of(client.get(page_of(mine)))
    assert client.post(page_of(mine, "delete")).status_code == 302
    assert list(Measurement.objects.all()) == [foreign]


def test_a_failed_one_says_why_and_is_tried_again(client, model, rosa):
    failed = make_measurement(model, rosa, state="failed", error="The corpus is gone.")
    said = text_of(client.get(page_of(failed)))
    assert "The corpus is gone." in said
    assert "Try again" in said
    client.post(page_of(failed, "retry"))
    failed.refresh_from_db()
    assert failed.state == "queued"
    client.post(page_of(failed, "cancel"))
    assert "This measurement was cancelled." in text_of(client.get(page_of(failed)))
    log = client.get(page_of(failed, "log"))
    assert "Queued again. (rosa)" in log.content.decode()


def test_a_ready_one_shows_words_figure_tables_definition_and_files(client, model, rosa):
    found = make_measurement(model, rosa)
    response = client.get(page_of(found))
    said = text_of(response)
    for words in (
        "The 10 largest sub-updates contribute 10.0% to", "Here: k = 10 .", "All 84 rows",
        "appendix A.3", "Download all as a zip", "mean share in Σ", "examples.jsonl",
    ):  # fmt: skip
        assert words in said, words
    page = response.content.decode()
    assert page.count('class="chart-wide') == page.count('class="chart-narrow') == 1
    assert "layer 3 14.2% (12.9% to 15.6%)" in page
    # Nothing of another site, and nothing that the policy stops.
    assert not re.search(r'(src|href)="https?://', page)
    assert 'style="' not in page


def test_a_table_is_paged_and_its_rows_are_chosen(client, model, rosa):
    found = make_measurement(model, rosa, layers=12)
    address = reverse("measurements:table", args=[found.public_id, "contribution"])
    response = client.get(address)
    assert len(response.context["shown"].rows) == 100
    assert "252 rows" in text_of(response)
    response = client.get(f"{address}?layer=3&group=dominant&k=10")
    (row,) = response.context["shown"].rows
    assert [cell.text for cell in row[:4]] == ["3", "dominant", "10", "14.2%"]
    assert len(client.get(f"{address}?layer=99").context["shown"].rows) == 0
    unknown = reverse("measurements:table", args=[found.public_id, "nothing"])
    assert client.get(unknown).status_code == 404


def test_files_are_saved_as_they_were_written(client, model, rosa):
    found = make_measurement(model, rosa)
    address = reverse("measurements:file", args=[found.public_id, "effective.csv"])
    response = client.get(address)
    assert response["Content-Disposition"].startswith('attachment; filename="contribution-')
    assert response.content.startswith(b"layer,effective_number\n0,50.0\n")
    archive = b"".join(client.get(page_of(found, "archive")).streaming_content)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.read("effective.csv") == response.content
        assert {"README.md", "manifest.json", "checksums.sha256"} <= set(opened.namelist())
    gone = reverse("measurements:file", args=[found.public_id, "../settings.py".replace("/", "")])
    assert client.get(gone).status_code == 404


def test_what_is_not_ready_has_no_files(client, model, rosa):
    running = make_measurement(model, rosa, state="running")
    assert client.get(page_of(running, "archive")).status_code == 404


def test_two_of_a_kind_stand_side_by_side_with_what_differs_first(client, model, rosa):
    one = make_measurement(model, rosa, base=0.1)
    other = make_measurement(model, rosa, base=0.2, options={"seed": 5})
    address = f"{reverse('measurements:compare')}?one={one.public_id}&other={other.public_id}"
    response = client.get(address)
    assert [(row.name, row.one, row.other) for row in response.context["differences"]] == [
        ("seed", 0, 5)
    ]
    first, second = response.context["pairs"][0]
    assert first.drawings[0].y_ticks == second.drawings[0].y_ticks
    assert first.drawings[0].lines[0].marks != second.drawings[0].lines[0].marks
    said = text_of(response)
    assert "+10.0" in said
    assert said.index("What differs") < said.index("difference")


@pytest.mark.parametrize(
    ("other", "status"),
    [({"name": "saturation"}, 422), ({"state": "running"}, 422), (None, 404)],
    ids=["another kind", "not ready", "none"],
)
def test_what_cannot_stand_side_by_side_is_refused(client, model, rosa, other, status):
    one = make_measurement(model, rosa)
    beside = make_measurement(model, rosa, **other).public_id if other else "x"
    address = f"{reverse('measurements:compare')}?one={one.public_id}&other={beside}"
    assert client.get(address).status_code == status
