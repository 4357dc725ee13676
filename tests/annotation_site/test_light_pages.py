"""What annotators wait for loads what a web process may, and no dataframes, however far they go."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAY = """
import json, sys, uuid
import django
from tests.e2e.loaded import MAY_LOAD, packages_of
from tests.test_architecture import HEAVY
django.setup()
from django.core.management import call_command
from django.db import connection
connection.creation.create_test_db(verbosity=0, autoclobber=True)
try:
    from django.test import Client
    from django.test.utils import setup_test_environment
    setup_test_environment()
    from annotation_site.annotation.models import Assignment
    from tests.annotation_site.factories import answer, make_extraction, make_study, pattern
    study = make_study(
        extraction=make_extraction(per_layer=4), lists_per_layer=2, training_lists=1,
        reference_lists=1, repeat_percent=50, training_pass_percent=50,
    )
    before = packages_of(sys.modules)
    member = study.memberships.filter(role="annotator").first()
    client = Client()
    client.force_login(member.user)
    said = answer(pattern(1, [1, 2, 3, 4]), pattern(2, [5, 6, 7, 8]))
    path = f"/studies/{study.slug}/"
    done = []
    for page in ("/", "/hours/", path, "/tutorial/"):
        assert client.get(page).status_code == 200, page
    compared = client.post("/tutorial/comparison/", {"annotation": json.dumps(said)})
    assert compared.status_code == 200, compared.status_code
    while True:
        arrived = client.get(path + "next/", follow=True)
        if not arrived.request["PATH_INFO"].startswith("/lists/"):
            break
        own = Assignment.objects.get(public_id=arrived.context["page"]["list"]["id"])
        body = {"base_version": own.draft_version, "content": {}, "active_seconds": 1}
        send = {"content_type": "application/json"}
        assert client.put(f"/api/lists/{own.public_id}/draft", body, **send).status_code == 200
        body = {"base_version": own.draft_version + 1, "active_seconds": 2,
                "key": str(uuid.uuid4())}
        url = f"/api/lists/{own.public_id}/"
        if own.purpose == "annotation" and "skip" not in done:
            reply = client.post(url + "skip", {**body, "reason": "too hard"}, **send)
            done.append("skip")
        else:
            reply = client.post(url + "submit", {**body, "annotation": said}, **send)
            done.append(own.purpose)
        assert reply.status_code == 200, reply.content
        if own.purpose == "training":
            assert client.get(reply.json()["next_url"]).status_code == 200
    assert {"training", "annotation", "repeat", "reference", "skip"} <= set(done), done
    heavy = before & (HEAVY - MAY_LOAD["web"])
    assert not heavy, heavy  # or nobody would see that a page loads it
    print("LOADED", *sorted(packages_of(sys.modules) - before - MAY_LOAD["web"]))
finally:
    connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)
"""


def test_a_person_who_does_all_that_annotators_do_loads_no_dataframes():
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WAY], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.splitlines()[-1].strip() == "LOADED"
