"""One's own work by script, as it stands on one's own pages."""

import pytest

from annotation_site.exports import EXPORT_FORMATS
from tests.annotation_site.api.scripts import bearer, code
from tests.annotation_site.factories import answer, assignment_of, client_of, make_study, pattern

pytestmark = pytest.mark.django_db


def test_hours_are_files_in_every_format_as_on_the_page(study):
    person = study.memberships.filter(role="annotator").first().user
    token, page = bearer(person, "read"), client_of(person)
    for extension in EXPORT_FORMATS:
        file = token.get(f"/api/hours.{extension}")
        shown = page.get(f"/hours.{extension}")
        assert file["Content-Type"] == shown["Content-Type"]
        assert file.getvalue() == shown.getvalue()
    assert code(token.get("/api/hours.exe")) == (404, "not_found")
    sentence = f"Choose one of these: {', '.join(EXPORT_FORMATS)}."
    assert sentence in token.get("/api/hours.exe").json()["error"]["message"]
    assert sentence in page.get("/hours.exe").content.decode()


def test_own_work_is_told_as_on_the_pages(study):
    person = study.memberships.filter(role="annotator").first().user
    client = bearer(person)
    (work,) = client.get("/api/work").json()["results"]
    shown = client_of(person).get("/").context["to_annotate"][0]
    assert work["submitted"] == shown.membership.submitted == 4
    assert (work["needs_consent"], work["can_go_on"]) == (False, shown.can_go_on)
    assert (work["pace"], work["kept"], work["training"]["lists"]) == (None, [], 0)
    own = f"/api/work/{study.slug}/lists"
    lists = client.get(own).json()["results"]
    assert {row["changed"] for row in lists} == {False}
    assert sorted(row["patterns"] for row in lists) == [0, 1, 2, 2]
    changed = lists[0]
    page = client.get(f"/api/lists/{changed['id']}").json()
    another = answer(pattern(1, [20, 21, 22, 23]), comment="again")
    body = {
        "base_version": page["draft"]["version"],
        "content": {"annotation": another},
        "active_seconds": 1,
    }
    saved = client.put(f"/api/lists/{changed['id']}/draft", body, format="json")
    assert saved.status_code == 200
    told = {row["id"]: row["changed"] for row in client.get(own).json()["results"]}
    assert told == {row["id"]: row["id"] == changed["id"] for row in lists}


def test_a_list_that_is_kept_for_a_while_is_told():
    study = make_study(lease_hours=1)
    row = assignment_of(study)
    client = bearer(row.membership.user)
    assert client.get(f"/api/lists/{row.public_id}").status_code == 200
    (kept,) = client.get(f"/api/work/{study.slug}").json()["kept"]
    assert (kept["id"], kept["position"], kept["is_over"]) == (
        str(row.public_id), row.position, False,
    )  # fmt: skip
