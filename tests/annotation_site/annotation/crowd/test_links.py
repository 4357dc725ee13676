"""Open links as a researcher makes, changes, closes and deletes them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, User
from annotation_site.annotation.crowd import links
from annotation_site.annotation.crowd.checks import (
    Question,
    answers_right,
    questions_parse,
    questions_written,
)
from annotation_site.annotation.crowd.links import redirect_check
from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.errors import Invalid
from tests.annotation_site.annotation.crowd.people import (
    CHECK,
    joined,
    make_link,
    open_lists,
    participant,
    path,
)
from tests.annotation_site.factories import client_of, make_study, researcher_of, text_of

FORM = {
    "name": "Prolific, first wave", "most_people": "30", "most_lists": "5", "preset": "prolific",
    "parameter": "", "completion": "code", "completion_code": "", "redirect_url": "",
    "questions": CHECK, "attempts": "2", "idle_hours": "4", "keep_days": "60",
}  # fmt: skip


def form(**changes: str) -> dict[str, str]:
    day = (timezone.now() + timedelta(days=3)).date().isoformat()
    return {**FORM, "last_day": day, **changes}


def test_a_check_is_read_as_it_is_written():
    questions = questions_parse("\n" + CHECK.replace("\n", "\r\n"))
    assert questions == [
        Question("How many tokens?", ("one", "four"), 1),
        Question("May patterns share tokens?", ("no", "yes", "always"), 0),
    ]
    assert questions_written(questions) == CHECK
    assert questions_parse("") == questions_parse(" \n ") == []
    assert [answers_right(questions, given) for given in ([1, 0], [1, 1], [None, None])] == [
        2,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- an answer", "Line 1 of the check is an answer without a question"),
        ("A question?\n* only one", "The question in line 1 of the check needs 2 to 6 answers"),
        ("A?\n- a\n- b", "exactly one behind “\\*”"),
        ("A?\n* a\n* b", "exactly one behind “\\*”"),
        ("A?\n* a\n-", "each with a text"),
        ("A?\n* a\n- a", "has the same answer twice"),
        ("A?\n* a\n- b\n" * 11, "at most 10 questions"),
        ("x" * 301, "Line 1 of the check has more than 300 characters"),
        ("x\n" * 7_000, "at most 12,000 characters"),
    ],
)
def test_a_check_that_cannot_be_read_is_refused_with_its_line(text, said):
    with pytest.raises(Invalid, match=said):
        questions_parse(text)


@pytest.mark.parametrize(
    "url",
    [
        "", "http://example.org/", "javascript:alert(1)", "//example.org/", "https:///path",
        "https://user@example.org/", "https://example.org:8443/", "https://example.org/ x",
        'https://example.org/"', "https://exämple.org/", "https://example.org\\@evil.example/",
        "https://[", "HTTPS//example.org", "data:text/html,x", "/part/done/",
    ],
)  # fmt: skip
def test_a_way_back_that_is_not_plain_https_is_refused(url):
    with pytest.raises(Invalid, match="has to begin with https://"):
        redirect_check(url)


def test_a_platform_s_way_back_is_taken():
    redirect_check("https://app.prolific.com/submissions/complete?cc=C1ABCDEF")


@pytest.mark.django_db
def test_a_researcher_makes_a_link_shares_its_address_and_closes_and_reopens_it():
    study = make_study()
    client = client_of(researcher_of(study))
    base = f"/studies/{study.slug}/links/"
    assert "No open links yet" in text_of(client.get(base))
    page = client.post(f"{base}new/", form(), follow=True)
    link = OpenLink.objects.get()
    assert f"/open/{link.token}/?PROLIFIC_PID={{{{%PROLIFIC_PID%}}}}&amp;STUDY_ID=" in text_of(page)
    assert (link.parameter, link.most_people, link.keep_days) == ("PROLIFIC_PID", 30, 60)
    assert links.CODE.fullmatch(link.completion_code)
    one = f"{base}{link.public_id}/"
    assert client.post(one, form(name="Second", completion_code="MY-CODE")).status_code == 302
    link.refresh_from_db()
    assert (link.name, link.completion_code) == ("Second", "MY-CODE")
    client.post(f"{one}state/", {"action": "close"})
    assert 'badge">closed' in text_of(client.get(base))
    client.post(f"{one}state/", {"action": "reopen"})
    assert 'badge-open">open' in text_of(client.get(base))
    assert client.post(f"{one}state/", {"action": "burn"}).status_code == 422
    log = AuditEntry.objects.filter(action__startswith="open_link").order_by("pk")
    assert [entry.action for entry in log] == [
        "open_link_made", "open_link_changed", "open_link_closed", "open_link_reopened"
    ]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"most_people": "5001"}, "less than or equal to 5000"),
        ({"most_lists": "0"}, "greater than or equal to 1"),
        ({"last_day": "2020-01-01"}, "A link ends within 366 days from now"),
        ({"last_day": "2999-01-01"}, "A link ends within 366 days from now"),
        ({"preset": "other", "parameter": "worker id"}, "Name the parameter of the address"),
        ({"preset": "other"}, "Name the parameter of the address"),
        ({"completion_code": "a b"}, "A completion code has 4 to 64 letters"),
        ({"completion": "redirect"}, "has to begin with https://"),
        ({"completion": "redirect", "redirect_url": "http://x.org/"}, "has to begin with https://"),
        ({"questions": "- x"}, "Line 1 of the check"),
        ({"name": "x" * 101}, "at most 100 characters"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_sentence(changes, said):
    study = make_study()
    client = client_of(researcher_of(study))
    page = client.post(f"/studies/{study.slug}/links/new/", form(**changes))
    assert page.status_code == 422
    assert said in text_of(page)
    assert not OpenLink.objects.exists()


@pytest.mark.django_db
def test_the_service_checks_what_a_form_would():
    study = make_study()
    for changes in ({"most_people": 0}, {"keep_days": 999}, {"attempts": 3}, {"completion": "x"},
                    {"preset": "x"}, {"name": " "}):  # fmt: skip
        with pytest.raises(Invalid):
            make_link(study, **changes)


@pytest.mark.django_db
def test_links_are_for_open_studies_and_a_study_has_at_most_twenty(monkeypatch):
    study = make_study()
    monkeypatch.setattr(links, "MOST_LINKS", 1)
    make_link(study)
    with pytest.raises(Invalid, match="which is the limit"):
        make_link(study)
    paused = make_study()
    study_state_change(study=paused, state="paused")
    with pytest.raises(Invalid, match="People can join an open study only"):
        make_link(paused)


@pytest.mark.django_db
def test_platform_and_check_stay_once_somebody_has_joined():
    study = make_study()
    client = client_of(researcher_of(study))
    link = make_link(study)
    joined(link)
    one = f"/studies/{study.slug}/links/{link.public_id}/"
    page = client.post(one, form(questions=CHECK, preset="plain"))
    assert page.status_code == 422
    assert "People have joined by this link" in text_of(page)
    assert client.post(one, form(questions="", preset="plain")).status_code == 302
    link.refresh_from_db()
    assert (link.name, link.most_people) == ("Prolific, first wave", 30)


@pytest.mark.django_db
def test_a_link_is_closed_before_it_is_deleted_and_takes_its_payment_rows_along():
    study = make_study(annotators_per_list=3, annotators=3)
    client = client_of(researcher_of(study))
    link = make_link(study)
    person = joined(link)
    row = participant(person)
    assert len(open_lists(person)) == 0 or row.membership.removed_at is None
    url = f"/studies/{study.slug}/links/{link.public_id}/"
    assert client.post(f"{url}delete/").status_code == 422
    OpenLink.objects.update(ends_at=timezone.now())
    link.refresh_from_db()
    with pytest.raises(Invalid, match="time is over"):
        links.open_link_reopen(link=link, by=researcher_of(study))
    client.post(f"{url}state/", {"action": "close"})
    assert "The payment row of 1 participant is deleted" in text_of(client.get(f"{url}delete/"))
    assert client.post(f"{url}delete/").status_code == 302
    assert not CrowdParticipant.objects.exists()
    assert User.objects.filter(is_crowd=True).count() == 1  # their annotations stay theirs
    assert "has been deleted" in text_of(person.get("/", follow=True))
    assert person.get(path(link)).status_code == 404
    assert not row.membership.assignments.filter(state="waiting").exists()
