"""The two homes: one component, one set of numbers, the same queries for one study or many."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation_site.annotation.models import Assignment, Study
from annotation_site.annotation.monitoring.progress import study_progress
from annotation_site.results.pages.study_facts import study_facts
from annotation_site.results.pages.study_home import Bar, study_home
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_draft,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
    submit,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return [UserFactory(username="ada"), UserFactory(username="ben")]


@pytest.fixture
def study(people):
    """Twelve lists for two; ada has done three and opened one, ben has done another one."""
    study = make_study(people=people, title="Concepts")
    own = list(slots_of(study, people[0])[:3])
    other = slots_of(study, people[1]).exclude(item__in=[slot.item_id for slot in own])[0]
    for slot in (*own, other):
        submit(slot, answer(pattern(1, [1, 2, 3, 4])))
    opened = slots_of(study, people[0])[3]
    Assignment.objects.filter(pk=opened.pk).update(state="in progress", opened_at=timezone.now())
    return study


def slots_of(study, user):
    found = Assignment.objects.filter(item__study=study, membership__user=user)
    return found.select_related("membership__user").order_by("position")


def home_of(study):
    return text_of(client_of(researcher_of(study)).get(f"/studies/{study.slug}/home/"))


def test_both_homes_and_progress_tell_the_same_numbers(study, people):
    slot = slots_of(study, people[1]).filter(state="waiting")[0]
    Assignment.objects.filter(pk=slot.pk).update(state="skipped")  # and nobody can take it
    (facts,) = study_facts([study], now=timezone.now())
    progress = study_progress(study)
    assert (facts.done, facts.slots) == (progress.done, progress.slots) == (4, 24)
    assert (facts.opened, facts.unopened) == (1, 19)
    client = client_of(researcher_of(study))
    assert '<strong class="number">4 of 24</strong>' in home_of(study)
    for path in ("/", f"/studies/{study.slug}/run/"):
        assert "4 of 24 annotations" in text_of(client.get(path))


def test_bars_are_shares_of_the_true_total(study):
    shown = study_home(study)
    assert shown["bar"] == Bar(done=167, opened=42, unopened=0)
    bars = {person.facts.name: person.bar for person in shown["people"]}
    assert bars == {"ada": Bar(125, 42, 333), "ben": Bar(42, 0, 458)}
    assert sum(bar.done for bar in bars.values()) == shown["bar"].done
    progress = text_of(client_of(researcher_of(study)).get(f"/studies/{study.slug}/run/"))
    histogram = progress[progress.index('class="histogram"') :]
    assert set(re.findall(r'<progress max="(\d+)"', histogram)) == {"12"}


@pytest.mark.parametrize(
    ("total", "counts", "bar"),
    [
        (0, {"done": 0}, Bar(0, 0, 0)),
        (3, {"done": 3}, Bar(1000, 0, 0)),
        (20_000, {"done": 1, "opened": 1}, Bar(1, 1, 0)),
        (4, {"done": 1, "opened": 1, "unopened": 2}, Bar(250, 250, 500)),
    ],
)
def test_a_bar_hides_nothing_and_promises_nothing(total, counts, bar):
    assert Bar.of(total, **counts) == bar


def test_a_study_s_home_has_state_people_and_four_groups_of_pages(study):
    page = home_of(study)
    groups = re.findall(r"<section><h2>([^<]+)</h2>(.*?)</section>", page)
    lines = {
        heading: re.findall(r">([^<]+)</a> <span>([^<]+)</span>", pages)
        for heading, pages in groups
    }
    assert lines == {
        "Look": [
            ("Results", "None before the first annotation"),
            ("Lists", "12 lists of the study"),
            ("Progress", "By person and by list, live"),
        ],
        "Decide": [
            ("Adjudication", "No list has two annotations yet"),
            ("Reference annotations", "None needed: no training or reference lists"),
        ],
        "Set up": [
            ("Annotators", "2 can annotate"),
            ("Machine annotators", "Programs, and language models in runs"),
            ("Open links", "No link yet"),
            ("Rules", "Fixed since the first annotation"),
            ("Texts", "Guidelines version 1, no consent text"),
        ],
        "Take away": [
            ("Exports", "No file yet"),
            ("Data set", "Its rules do not allow it"),
            ("Public page", "Its rules do not allow it"),
            ("Copy this study", "The same rules, a new draft"),
        ],
    }
    assert "20 to go" in page


def test_one_button_is_the_main_one_and_what_stops_work_is_quiet(study):
    page = home_of(study)
    main = page[page.index("<main") : page.index('<dialog id="question"')]
    assert main.count("button-primary") == 0  # nothing presses
    quiet = re.findall(r'class="button button-quiet"[^>]*>([^<]+)</button>', main)
    assert quiet == ["Pause…", "Close…"]
    draft = make_draft()
    page = home_of(draft)
    main = page[page.index("<main") : page.index('<dialog id="question"')]
    (pressing,) = re.findall(r'class="button button-primary"[^>]*>([^<]+)<', main)
    assert pressing == "Open the study"


def test_a_person_s_home_tells_what_presses_in_each_study(people):
    study = make_study(people=people, title="Concepts")
    client = client_of(researcher_of(study))
    page = text_of(client.get("/"))
    assert "Needs attention" not in page
    assert page.count("button-primary") == 1  # New study
    draft = make_draft(title="A draft", researcher=researcher_of(study))
    page = text_of(client.get("/"))
    assert "Ready to open" in page
    assert "1 thing needs attention" in page
    main = page[page.index("<main") : page.index('<dialog id="question"')]
    assert re.findall(r'class="button button-primary"[^>]*>([^<]+)<', main) == ["Open the study"]
    client.post(f"/studies/{draft.slug}/state/", {"state": "open"})
    assert "Needs attention" not in text_of(client.get("/"))


def test_a_home_shows_no_more_than_the_most_pressing_rows():
    researcher = UserFactory(role="researcher")
    extraction = make_extraction()
    for n in range(8):
        make_draft(title=f"Draft {n}", researcher=researcher, extraction=extraction)
    page = text_of(client_of(researcher).get("/"))
    assert page.count("Ready to open") == 6
    assert "and 2 more on the studies’ own pages" in page


def queries(client, path):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


def test_the_homes_take_as_many_queries_for_many_studies_and_people(study):
    researcher = researcher_of(study)
    client = client_of(researcher)
    own = f"/studies/{study.slug}/home/"
    before = queries(client, "/"), queries(client, own)
    # Lists, people, slots, opened lists, flags (3), adjudicated, to adjudicate, failed results;
    # of the study's own home progress (10), results, whether rules are fixed, texts (2),
    # invitations, open links, exports; session, person, study, whether it is made up, and unread
    # notices.
    assert before[1] <= 32
    extraction = make_extraction()
    for n in range(5):
        make_study(annotators=6, title=f"{n}", researcher=researcher, extraction=extraction)
    Study.objects.filter(title="4").update(state="paused")
    assert (queries(client, "/"), queries(client, own)) == before


def test_a_study_of_nobody_says_what_to_do_first():
    study = make_draft()
    study.memberships.filter(role="annotator").delete()
    page = home_of(study)
    assert "Nobody can annotate this study" in page
    assert "Nobody is in this study yet." in page
