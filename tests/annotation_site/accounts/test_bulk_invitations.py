"""Many invitations at once: what is read, what is refused by line, and links shown once."""

import csv
import io
import re

import pytest

from annotation_site.accounts.models import Invitation, Role, User
from annotation_site.annotation.people import bulk_invitations as bulk
from annotation_site.annotation.people.joining import person_join
from annotation_site.errors import Invalid
from tests.annotation_site.factories import (
    PASSWORD,
    UserFactory,
    client_of,
    make_study,
    researcher_of,
    text_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return UserFactory(role=Role.ADMIN)


def read(text, by, role="annotator", study=None):
    return [
        (line.number, line.name, line.email, line.role, line.study, line.error)
        for line in bulk.lines_read(text, by=by, role=role, study=study)
    ]


def test_names_addresses_and_tables_are_read_each_with_the_defaults(admin):
    study = make_study()
    slug = study.slug
    assert read("Ada\n\nbo@example.org\r\nCy, cy@example.org", admin, study=study) == [
        (1, "Ada", "", "annotator", slug, ""),
        (3, "", "bo@example.org", "annotator", slug, ""),
        (4, "Cy", "cy@example.org", "annotator", slug, ""),
    ]
    sheet = f'\ufeffEmail;Name;Study\nd@example.org;"D; E";{slug}\n'
    assert read(sheet, admin) == [(2, "D; E", "d@example.org", "annotator", slug, "")]
    assert read(f"E\te@example.org\tResearcher\t{slug}", admin) == [
        (1, "E", "e@example.org", "researcher", slug, "")
    ]


def test_each_wrong_line_says_what_is_wrong_with_it(admin):
    study = make_study()
    text = "\n".join(
        [
            "a@b", "x" * 255, "Ada,ada@example.org,emperor", "Bo,,annotator,nowhere",
            "Cy,cy@example.org", "Cyril,CY@example.org", "Di,di@example.org,annotator,,more", ",",
        ]
    )  # fmt: skip
    assert [line[-1] for line in read(text, admin, study=study)] == [
        "This is not an e-mail address.",
        "A name or an address has at most 254 characters.",
        "Choose one of the roles annotator, researcher, admin.",
        "You run no study of this name. Write its short name, as in its address.",
        "",
        "This is the same person as in line 5.",
        "This line has more cells than name, email, role and study.",
        "This line has neither a name nor an address.",
    ]


def test_texts_are_bounded(admin):
    for text, said in (
        ("x\n" * 501, "more than 500 people"),
        ("x" * 100_001, "more than 100,000 characters"),
        (" \n\n", "Write one name or e-mail address per line"),
    ):
        with pytest.raises(Invalid, match=said):
            bulk.lines_read(text, by=admin, role="annotator", study=None)


def test_a_researcher_invites_annotators_into_own_studies_alone():
    own, other = make_study(), make_study()
    researcher = researcher_of(own)
    rows = read(f"A\nB,,researcher\nC,,,{other.slug}", researcher, study=own)
    assert [row[-1] for row in rows] == [
        "",
        "You can only invite annotators into your own studies.",
        "You run no study of this name. Write its short name, as in its address.",
    ]


def test_a_preview_makes_nothing_and_then_each_link_lets_one_person_in(admin):
    study = make_study()
    client = client_of(admin)
    sent = {"text": "Ada\n=Bo,bo@example.org", "role": "annotator", "days": "7", "study": study.pk}
    page = text_of(client.post("/invitations/many/", {**sent, "action": "preview"}))
    assert "Every line can be used. Nothing is made yet." in page
    assert "Make 2 invitations" in page
    assert not Invitation.objects.exists()
    page = text_of(client.post("/invitations/many/", {**sent, "action": "make"}))
    assert "2 invitations are made, for one use each." in page
    tokens = list(dict.fromkeys(re.findall(r"/join/([\w-]+)/", page)))
    assert len(tokens) == Invitation.objects.filter(uses_allowed=1, study=study).count() == 2
    signed = re.search(r'name="links" value="([^"]+)"', page)[1]
    response = client.post("/invitations/many.csv", {"links": signed})
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "email", "role", "study", "link"],
        ["Ada", "", "annotator", study.slug, f"http://testserver/join/{tokens[0]}/"],
        ["'=Bo", "bo@example.org", "annotator", study.slug, f"http://testserver/join/{tokens[1]}/"],
    ]
    person_join(token=tokens[0], username="ada", password=PASSWORD)
    assert study.memberships.filter(user=User.objects.get(username="ada")).exists()
    assert (
        client_of(UserFactory(role=Role.ADMIN))
        .post("/invitations/many.csv", {"links": signed})
        .status_code
        == 404
    )  # of the person who made them alone
    assert client.post("/invitations/many.csv", {"links": "x"}).status_code == 404


def test_one_wrong_line_makes_no_invitation_at_all(admin):
    client = client_of(admin)
    sent = {"text": "Ada\na@b", "role": "annotator", "days": "7", "action": "make"}
    page = client.post("/invitations/many/", sent)
    assert page.status_code == 422
    assert "Line 2 cannot be used." in text_of(page)
    assert not Invitation.objects.exists()
