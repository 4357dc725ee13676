"""The log of a running site: web server and workers write one kind of line."""

import json
import re

import pytest
import requests

from tests.e2e.site import Site, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]
WORLD = """
from tests.annotation_site.factories import *
from annotation_site.accounts.models import User
make_study(title="Concepts", people=[User.objects.get(username="ada"), UserFactory()])
"""
ANSWER = {"patterns": [], "no_pattern": True, "comment": "a secret remark"}


def test_a_submission_and_the_task_that_it_starts_share_an_id(stopped_site: Site):
    site = stopped_site
    site.environment["LOG_FORMAT"] = "json"
    site.add_person("ada", "annotator")
    site.manage("shell", "--verbosity", "0", "-c", WORLD)
    token = site.manage("createtoken", "ada", "--scopes", "read,annotate").strip()
    site.start()
    script = requests.Session()
    script.headers["Authorization"] = f"Bearer {token}"
    page = script.post(f"{site.address}/api/work/concepts/next").json()["next"]
    sent = {
        "base_version": page["draft"]["version"], "key": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "answer": ANSWER, "active_seconds": 5,
    }  # fmt: skip
    answer = script.post(
        f"{site.address}/api/lists/{page['list']['id']}/submit", json=sent,
        headers={"X-Request-ID": "the-submission"},
    )  # fmt: skip
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, "the-submission")

    def of_the_submission() -> list[str]:
        whole, _, _ = site.log.read_text().rpartition("\n")  # the last line may be half written
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        found = [one for one in map(json.loads, lines) if one["request_id"] == "the-submission"]
        return [one["message"] for one in found]

    # In either order: a quick worker begins before the web server has written its line.
    both = {"POST api:submit 200", "begins annotation_site.results.tasks.snapshot_refresh"}
    wait_for(lambda: both <= set(of_the_submission()), site.said)
    site.stop()
    logged = site.log.read_text()
    for secret in (token, "secret remark", "ada"):
        assert not re.search(rf"\b{secret}\b", logged), secret
