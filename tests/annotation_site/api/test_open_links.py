"""Open links by script: make, read, change, close, delete."""

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.factories import make_study, researcher_of

pytestmark = pytest.mark.django_db


def test_a_script_makes_changes_closes_and_deletes_an_open_link():
    study = make_study()
    client = bearer(researcher_of(study), "read", "manage")
    url = f"/api/studies/{study.slug}/links"
    ends_at = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    body = {"name": "Class", "ends_at": ends_at.isoformat(), "most_people": 30, "most_lists": 10}
    check = "Is none an answer?\n* yes\n- no"
    made = client.post(url, {**body, "questions": check, "preset": "prolific"}, format="json")
    assert made.status_code == 201, made.json()
    link = made.json()
    assert link["address"].endswith(
        "?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
    )
    assert link["settings"]["questions"].split() == check.split()
    assert (link["settings"]["most_people"], link["settings"]["keep_days"]) == (30, 90)
    one = f"{url}/{link['id']}"
    changed = client.patch(one, {"most_people": 40}, format="json").json()
    assert changed["settings"] == {**link["settings"], "most_people": 40}
    assert client.get(url).json()["results"] == [changed]
    assert client.delete(one).status_code == 422  # people can still join
    closed = client.post(f"{one}/state", {"open": False}, format="json").json()
    assert closed["closed_at"] is not None
    assert closed["shut"].startswith("This link has ended")
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
    logged = AuditEntry.objects.filter(action__startswith="open_link_").values_list("action")
    assert [action for (action,) in logged.order_by("pk")] == [
        "open_link_made", "open_link_changed", "open_link_closed", "open_link_deleted",
    ]  # fmt: skip


def test_settings_that_make_no_sense_are_refused_with_the_pages_sentence():
    study = make_study()
    client = bearer(researcher_of(study), "read", "manage")
    body = {"name": "x", "ends_at": timezone.now(), "most_people": 3, "most_lists": 3}
    refused = client.post(f"/api/studies/{study.slug}/links", body, format="json")
    assert refused.status_code == 422
    assert "A link ends within 366 days from now" in refused.json()["error"]["message"]
