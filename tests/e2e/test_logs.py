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
make_study(title="Concepts", people=[User.objects.get(username="ada"), UserFactory()],
           researcher=User.objects.get(username="ben"))
"""
ANSWER = {"patterns": [], "no_pattern": True, "comment": "a secret remark"}


def test_a_request_and_the_task_that_it_starts_share_an_id(stopped_site: Site):
    site = stopped_site
    site.environment["LOG_FORMAT"] = "json"
    site.add_people(ada="annotator", ben="researcher")
    site.run(WORLD)
    token = site.manage("createtoken", "ada", "--scopes", "read,annotate").strip()
    site.start()
    script = requests.Session()
    script.headers["Authorization"] = f"Bearer {token}"
    page = script.post(f"{site.address}/api/work/concepts/next").json()["next"]
    sent = {
        "base_version": page["draft"]["version"], "key": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
        "annotation": ANSWER, "active_seconds": 5,
    }  # fmt: skip
    answer = script.post(f"{site.address}/api/lists/{page['list']['id']}/submit", json=sent)
    assert answer.status_code == 200
    researchers = site.manage("createtoken", "ben", "--scopes", "read,manage").strip()
    script.headers["Authorization"] = f"Bearer {researchers}"
    ready = "SELECT 1 FROM workers_worker WHERE tasks_at_once > 0"
    wait_for(lambda: site.rows(ready), site.said)
    asked = script.post(f"{site.address}/api/studies/concepts/results", json={"min_tokens": 2})
    assert asked.status_code == 202, asked.text
    its_id = asked.headers["X-Request-ID"]

    def of_the_request() -> list[str]:
        whole, _, _ = site.log.read_text().rpartition("\n")  # the last line may be half written
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        found = [one for one in map(json.loads, lines) if one["request_id"] == its_id]
        return [one["message"] for one in found]

    # In either order: a quick worker begins before the web server has written its line.
    task = "annotation_site.results.tasks.snapshot_compute_due"
    both = {"POST api:results 202", f"begins {task}"}
    wait_for(lambda: both <= set(of_the_request()), site.said)
    site.stop()
    logged = site.log.read_text()
    for secret in (token, "secret remark", "ada"):
        assert not re.search(rf"\b{secret}\b", logged), secret
