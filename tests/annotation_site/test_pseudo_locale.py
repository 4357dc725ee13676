"""Every page in a language of marks: what it says outside them went through no translation."""

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, ngettext

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.corpus.models import Extraction, LogLine
from annotation_site.results.files.jobs import export_request
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.sentences import Sentence
from tests.annotation_site.addresses import GET, address
from tests.annotation_site.collected_words import collected
from tests.annotation_site.factories import UserFactory, assignment_of, client_of, make_study
from tests.annotation_site.marked_words import (
    plant,
    world,  # noqa: F401
)
from tests.annotation_site.pseudo_locale import outside, pseudo_locale, words_outside

pytestmark = pytest.mark.django_db
FAILED = Sentence(gettext_noop("It stopped after %(n)s lists. Try again."), n=7)


def test_the_marks_are_put_and_found():
    with pseudo_locale():
        assert gettext("Lists") == "⟦Lists⟧"
        assert ngettext("%(n)s list", "%(n)s lists", 2) % {"n": 2} == "⟦2 lists⟧"
        assert str(FAILED) == "⟦It stopped after 7 lists. Try again.⟧"
    assert (gettext("Lists"), FAILED.english) == ("Lists", "It stopped after 7 lists. Try again.")
    page = (
        b'<html><head><title>x</title></head><body><p>\xe2\x9f\xa6Join as <b translate="no">zo</b>'
        b'\xe2\x9f\xa7 12 <i>now</i></p><img alt="a picture"><code translate="no">ls</code></body>'
    )
    assert words_outside(page) == ["x", "now", "a picture (alt)"]
    assert outside("⟦one ⟦two⟧ three⟧ four") == (["four"], 0)


def visit(study: Study, assignment, clients) -> list[str]:
    """What pages and errors of the API say outside the marks, or in words makemessages misses."""
    faults = []
    with pseudo_locale() as pseudo:
        # The world's public page is a file that the tests wrote.
        for name in GET.keys() - {"public:page", "public:file"}:
            for role, client in clients.items():
                response = client.get(address(name, study, assignment))
                if response.streaming:
                    list(response.streaming_content)  # to its end, which closes the file
                    continue
                if response["Content-Type"].startswith("text/html") and response.content.strip():
                    said = words_outside(response.content)
                elif response["Content-Type"] == "application/json" and response.status_code >= 400:
                    said, _ = outside(response.json()["error"]["message"])
                else:
                    continue
                faults += [f"{name} ({role}): {words}" for words in said]
    missed = pseudo.asked - collected() - {FAILED.message}
    faults += [f"not collected: {word}" for word in sorted(missed)]
    return list(dict.fromkeys(faults))


def in_full(study: Study) -> None:
    """As the fixture makes it: annotated, computed and exported."""


def failed(study: Study) -> None:
    """What workers did has failed, and they said why."""
    now = timezone.now()
    Extraction.objects.update(state="failed", error=FAILED, finished_at=now)
    Snapshot.objects.update(state="failed", error=FAILED, finished_at=now)
    ExportJob.objects.update(state="failed", error=FAILED, finished_at=now)


def under_way(study: Study) -> None:
    """Workers are at it."""
    Extraction.objects.update(state="running", step="vectors", step_done=1, step_total=2)
    Snapshot.objects.update(state="running", step=gettext_noop("Tables"), step_total=9)
    ExportJob.objects.update(state="running", done=1, total=2)


def in_the_beginning(study: Study) -> None:
    """Nobody has annotated, and nothing was computed or asked for."""
    Assignment.objects.filter(item__study=study).update(state="assigned", submitted_at=None)
    study.snapshots.all().delete()
    LogLine.objects.all().delete()


@pytest.mark.parametrize(
    "state", [in_full, in_the_beginning, failed, under_way], ids=lambda state: state.__name__
)
def test_no_page_says_anything_outside_the_marks(world, state):  # noqa: F811
    study, assignment, clients = world
    state(study)
    faults = visit(study, assignment, clients)
    assert not faults, "\n".join(faults)


@pytest.fixture
def refusing():
    """A study of which nothing was annotated, and who posts what is refused."""
    study = make_study(title="zqtitle")
    assignment = assignment_of(study)
    researcher = study.memberships.get(role=Membership.Role.RESEARCHER).user
    clients = {
        "stranger": Client(),
        "annotator": client_of(assignment.membership.user),
        "researcher": client_of(researcher),
        "admin": client_of(UserFactory(role=Role.ADMIN)),
    }
    plant(study)
    export_request(study=study, content="jsonl", with_names=False, by=researcher)
    return study, assignment_of(study), clients


REFUSED = (
    ("stranger", "login", {"login": "zqnobody", "password": "wrong"}),
    ("stranger", "account_reset_password", {"email": "no address"}),
    ("annotator", "accounts:own", {"username": "zq zq", "email": "no", "current_password": "no"}),
    ("annotator", "account_change_password", {"oldpassword": "a", "password1": "b"}),
    ("researcher", "accounts:invite", {"uses": "0", "days": "1000"}),
    ("researcher", "results:exports", {}),
    ("researcher", "data_sets:data_set", {}),
    ("researcher", "data_sets:data_set", {"licence": "mit"}),
    ("researcher", "results:estimates_compute", {"proxy": "nothing"}),
    ("researcher", "results:estimates_compute", {"proxy": "norm"}),
    ("researcher", "results:estimates_compute", {"proxy": "machine-affixes"}),
    ("researcher", "results:delete", {"title": "another"}),
    ("admin", "accounts:invite", {}),
    ("admin", "accounts:erase", {"name": "another"}),
    ("admin", "accounts:access", {"active": "perhaps"}),
    ("admin", "accounts:role", {"role": "king"}),
    ("admin", "accounts:reset_link", {}),
    ("admin", "corpus:enqueue", {}),
    ("admin", "corpus:enqueue", {"model": "/etc", "kinds": ["random"], "extent": "all"}),
    ("admin", "corpus:import", {}),
    ("admin", "corpus:cancel", {}),
    ("admin", "corpus:retry", {}),
    ("admin", "corpus:rename", {}),
    ("admin", "corpus:delete", {}),
)


@pytest.mark.parametrize(("role", "name", "body"), REFUSED)
def test_no_refusal_says_anything_outside_the_marks(refusing, role, name, body):
    study, assignment, clients = refusing
    with pseudo_locale():
        response = clients[role].post(address(name, study, assignment), body, follow=True)
        assert words_outside(response.content) == []
