"""How often the requests of an annotation page ask the database, and how often they lock it.

On SQLite each write waits for all others, and each transaction is a turn in that line.
"""

import json
import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.annotators import ANSWER
from tests.annotation_site.factories import assignment_of, client_of, make_study

pytestmark = pytest.mark.django_db(transaction=True)


def asked(client, method, address, body=None):
    """(reads and writes, transactions) of a request."""
    with CaptureQueriesContext(connection) as found:
        response = getattr(client, method)(
            f"/api/{address}", json.dumps(body or {}), content_type="application/json"
        )
    assert response.status_code == 200, response.content
    said = [query["sql"] for query in found]
    begun = [sql for sql in said if sql.startswith("BEGIN")]
    ended = [sql for sql in said if sql.startswith(("COMMIT", "SAVEPOINT", "RELEASE"))]
    return len(said) - len(begun) - len(ended), len(begun)


def test_the_requests_of_an_annotation_page():
    study = make_study()
    one = assignment_of(study)
    client = client_of(one.membership.user)
    counts = {}
    asked(client, "post", f"work/{study.slug}/next")  # the person's first request of all
    counts["next"] = asked(client, "post", f"work/{study.slug}/next")
    draft = {"content": ANSWER, "active_seconds": 0}
    asked(client, "put", f"lists/{one.public_id}/draft", {**draft, "base_version": 0})
    counts["autosave"] = asked(client, "put", f"lists/{one.public_id}/draft",
                               {**draft, "base_version": 1})  # fmt: skip
    body = {"base_version": 2, "key": str(uuid.uuid4()), "annotation": ANSWER, "active_seconds": 0}
    counts["submit"] = asked(client, "post", f"lists/{one.public_id}/submit", body)
    # Each also asks whether the study's annotations are made up, but for a submission, which knows.
    assert counts == {
        # session, person, count of writes, study, list, tokens
        "next": (7, 0),
        # session, person, count, taken time, list; the draft
        "autosave": (7, 1),
        # the first five, stopwords; two for the pattern, the day, list, revision; then the next
        # list is found, opened and shown
        "submit": (14, 1),
    }
