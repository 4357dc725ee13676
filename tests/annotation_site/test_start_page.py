"""The start page: what people without an account see, and in the demo its people and example."""

import io
import re
from itertools import pairwise

import pytest
from django.test import Client

from annotation_site.accounts import demo_entries
from annotation_site.accounts.models import Role
from annotation_site.analysis.written import decimal as decimals
from annotation_site.analysis.written import share as percent
from annotation_site.annotation.models import Study
from annotation_site.results.files.archive_restore import study_restore
from annotation_site.results.snapshots.selectors import results_state, rows_of
from annotation_site.results.snapshots.services import snapshot_refresh_now
from annotation_site.start_page import AGREEMENT, example_of
from annotation_site.start_picture import LAYERS, LIST, RANDOM, picture
from tests.annotation_site.accounts.demo import HERE, allow
from tests.annotation_site.archives import packed_as_made_up
from tests.annotation_site.factories import UserFactory, client_of
from tests.annotation_site.german_pages import german
from tests.annotation_site.results.by_hand import labelled_study

pytestmark = pytest.mark.django_db


@pytest.fixture
def rosa(monkeypatch):
    """The researcher of the demo, with an account that the demo made."""
    monkeypatch.setattr(demo_entries, "_demo", None)
    rosa = UserFactory(role=Role.RESEARCHER, username="rosa")
    allow(rosa)
    return rosa


@pytest.fixture
def example(rosa) -> Study:
    archive = packed_as_made_up(labelled_study())
    return study_restore(file=io.BytesIO(archive), restored_by=rosa)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_stranger_reads_one_heading_three_sentences_and_one_main_button(client):
    page = client.get("/").content.decode()
    assert len(re.findall(r"<h1\b", page)) == 1
    (lead,) = re.findall(r'<p class="lead">(.*?)</p>', page)
    assert len(re.findall(r"\.(?= [A-Z]|$)", lead)) == 3
    assert re.findall(r'button-primary" href="([^"]+)"', page) == ["/login/"]
    assert page.count("button-primary") == 1
    assert "style=" not in page
    assert "demo" not in page
    assert "made-up annotations" not in page


def test_who_is_logged_in_gets_their_studies_and_who_logs_out_the_start_page():
    client = client_of(UserFactory())
    assert "No study to work on" in client.get("/").content.decode()
    assert client.post("/logout/")["Location"] == "/"
    assert "Find the concepts" in client.get("/").content.decode()


def test_it_speaks_german(client, rosa):
    assert "Konzepte in den Schichten eines Sprachmodells finden" in german(client, "/")
    assert "als eine ihrer Personen eintreten" in german(Client(**HERE), "/")


def test_the_picture_draws_its_numbers():
    drawn = picture()
    marked = [token for token in drawn.tokens if token.is_marked]
    assert (drawn.marked, drawn.total) == (len(marked), len(LIST))
    assert drawn.share == f"{len(marked) / len(LIST):.0%}"
    # As many blocks as marked tokens, one above the other, from the share's height to the base.
    scale = dict(drawn.grid)["50%"] - dict(drawn.grid)["100%"]
    base = dict(drawn.grid)["100%"] + 2 * scale
    blocks = [token.block for token in marked]
    assert blocks[0] == pytest.approx(base - len(marked) / len(LIST) * 2 * scale, abs=0.1)
    steps = [later - earlier for earlier, later in pairwise(blocks)]
    assert steps == pytest.approx([2 * scale / len(LIST)] * len(steps), abs=0.11)
    for layer, (semantic, syntactic) in zip(drawn.layers, LAYERS, strict=True):
        assert layer.semantic_height == pytest.approx(semantic * 2 * scale, abs=0.1)
        assert base - layer.syntactic_top == pytest.approx(
            (semantic + syntactic) * 2 * scale, abs=0.1
        )
        assert semantic + syntactic > RANDOM  # as its description says
    assert base - drawn.random == pytest.approx(RANDOM * 2 * scale, abs=0.1)


def test_the_example_shows_the_numbers_of_its_results(rosa, example):
    client = Client(**HERE)
    page = text_of(client.get("/").content.decode())
    assert "made-up annotations" in page
    assert "Its results are being computed" in page
    snapshot_refresh_now(study=example)
    snapshot = results_state(example).snapshot
    coverage = {
        row["kind"]: row["coverage"]
        for row in rows_of(snapshot, "coverage")
        if row["layer"] is None
    }
    (agreement,) = [
        row["value"] for row in rows_of(snapshot, "agreement") if row["measure"] == AGREEMENT
    ]
    page = text_of(client.get("/").content.decode())
    assert f"value vectors’ coverage {percent(coverage['value'])}" in page
    assert f"random vectors’ coverage {percent(coverage['random'])}" in page
    assert f"alpha) {decimals(agreement)}" in page
    found = example_of(example)
    assert f": {found.lists} lists, {found.annotators} annotators" in page
    assert (found.lists, found.annotators) == (
        example.items.filter(use="study").count(),
        example.memberships.filter(role="annotator").count(),
    )


def test_open_its_results_enters_as_the_researcher(rosa, example):
    client = Client(**HERE)
    page = client.get("/").content.decode()
    form = page[page.index('id="example"') :]
    (link,) = re.findall(r'action="([^"]+)"', form)
    (goal,) = re.findall(r'name="next" value="([^"]+)"', form)
    assert client.post(link, {"next": goal})["Location"] == f"/studies/{example.slug}/results/"
    assert client.get(goal).status_code == 200


def test_no_study_of_people_and_nothing_outside_the_demo_is_an_example(rosa, example, client):
    assert "example" not in client.get("/").content.decode()  # of another host
    Study.objects.filter(pk=example.pk).update(state=Study.State.DELETING)
    of_people = labelled_study()
    of_people.memberships.create(user=rosa, role="researcher")
    snapshot_refresh_now(study=of_people)
    assert "example" not in Client(**HERE).get("/").content.decode()


def test_an_example_of_another_researcher_is_not_shown(rosa):
    other = UserFactory(role=Role.RESEARCHER)
    study_restore(file=io.BytesIO(packed_as_made_up(labelled_study())), restored_by=other)
    assert "example" not in Client(**HERE).get("/").content.decode()
