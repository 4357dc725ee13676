"""Open links of tests, and people who join by them in a browser of their own."""

import re
import uuid
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from annotation_site.annotation.crowd.links import LinkSettings, open_link_create
from annotation_site.annotation.crowd.models import CrowdParticipant, OpenLink
from annotation_site.annotation.models import Assignment, Study
from tests.annotation_site.factories import answer, researcher_of

CHECK = "How many tokens?\n- one\n* four\n\nMay patterns share tokens?\n* no\n- yes\n- always"
RIGHT = {"question-0": "1", "question-1": "0"}
WRONG = {"question-0": "0", "question-1": "0"}


def make_link(study: Study, **changes: Any) -> OpenLink:
    """An open link of the study."""
    values = {
        "name": "a link",
        "ends_at": timezone.now() + timedelta(days=7),
        "most_people": 10,
        "most_lists": 2,
        **changes,
    }
    return open_link_create(study=study, settings=LinkSettings(**values), by=researcher_of(study))


def path(link: OpenLink, **parameters: str) -> str:
    """The address of a link, with what a platform adds."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"/open/{link.token}/" + (f"?{query}" if query else "")


def start(client: Client, link: OpenLink, **parameters: str) -> Any:
    """Press the button of the link's page."""
    return client.post(path(link, **parameters), {"key": str(uuid.uuid4())})


def agree(client: Client, study: Study) -> Any:
    """Agree to the study's text as it is now."""
    study.refresh_from_db()
    return client.post(f"/studies/{study.slug}/consent/", {"version": study.consent_version})


def joined(link: OpenLink, **parameters: str) -> Client:
    """A browser of somebody who has joined and agreed, and passed the check if there is one."""
    client = Client()
    assert start(client, link, **parameters).status_code == 302
    agree(client, link.study)
    if link.questions:
        client.post("/part/check/", RIGHT)
    return client


def participant(client: Client) -> CrowdParticipant:
    """The participant who is logged in."""
    return CrowdParticipant.objects.select_related("link", "membership__user").get(
        membership__user=client.session["_auth_user_id"]
    )


def open_lists(client: Client) -> list[str]:
    """The public ids of a participant's unfinished lists, in their order."""
    rows = Assignment.objects.filter(
        membership=participant(client).membership, state__in=Assignment.UNFINISHED
    )
    return [str(row) for row in rows.order_by("position").values_list("public_id", flat=True)]


def annotate(client: Client, public_id: str, *, seconds: int = 40) -> str:
    """Open a list and submit it through the API, as the page does; the address that comes next."""
    page = client.get(f"/lists/{public_id}/")
    version = page.context["page"]["draft"]["version"]
    sent = {
        "base_version": version,
        "key": str(uuid.uuid4()),
        "annotation": answer(),
        "active_seconds": seconds,
    }
    response = client.post(f"/api/lists/{public_id}/submit", sent, content_type="application/json")
    assert response.status_code == 200, response.content
    following: str = response.json()["next_url"]
    return following


def work(client: Client) -> None:
    """Submit every list that the person has."""
    for public_id in open_lists(client):
        annotate(client, public_id)


def code_on(page: Any) -> str:
    """The completion code that a page shows; "" for none."""
    found = re.search(r'value="([^"]*)" readonly data-copy-from', page.content.decode())
    return found[1] if found else ""
