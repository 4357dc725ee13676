"""A language model that misbehaves annotates many lists, by workers that are killed.

Run ``python -m benchmarks.machine_annotators [--lists 10000] [--kills 40]`` in the repository's
root. The endpoint is the fake one of the tests, in this process: about two requests of five are
refused, cut off, slow, silent, endless, malformed, hostile or dearer than allowed. Workers get
SIGKILL while they ask. It prints the table of docs/machine-annotators.md and ends with an error
where a list is lost, annotated twice or annotated as another one, where the endpoint got a request
that is not counted, where a limit is exceeded, and where a request holds anything of the study
besides entries, glosses and texts.

The rate is compared with that at an endpoint which answers everything at once, over a twentieth
of the lists. SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and FFN_TEST_SERVICES is
1; the database is the benchmark's own and dropped at the end.
"""

import argparse
import os
import random
from types import SimpleNamespace
from typing import Any

from benchmarks.machine import describe

PER_STUDY = 20  # lists are a multiple: kinds times layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=10_000, help=f"a multiple of {PER_STUDY}")
    parser.add_argument("--kills", type=int, default=40)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connection

    print(describe(), flush=True)
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        measure(options.lists, options.kills)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def span(endpoint: Any) -> float:
    """Seconds from an endpoint's first request to its last."""
    return endpoint.requests[-1].at - endpoint.requests[0].at


def measure(lists: int, kills: int) -> None:
    from django.conf import settings

    from annotation_site.machine_annotators.models import MachineRun
    from annotation_site.machine_annotators.services import run_delete
    from tests.annotation_site.machine_annotators.fake_endpoint import MODEL, FakeEndpoint
    from tests.annotation_site.machine_annotators.killing import (
        AT_ONCE,
        hostile,
        marked_study,
        outcome_of,
        work_killed,
    )
    from tests.annotation_site.machine_annotators.made import request_run, set_up

    study = marked_study(lists)
    here = SimpleNamespace()
    set_up(here, LLM_MODEL=MODEL, LLM_REPLY_TOKENS=200)
    for setting, value in vars(here).items():
        setattr(settings, setting, value)
    wanted = {"by": None, "most_reply_tokens": 200, "most_cost": "100000"}

    with FakeEndpoint() as endpoint:
        settings.LLM_ENDPOINT = endpoint.address
        run = request_run(study, most_requests=lists // 20, **wanted)
        work_killed(run, endpoint, None)
        good_rate = run.done / span(endpoint)
        run_delete(run=run, by=None)

    most = 3 * lists
    at = sorted(random.Random(5).sample(range(20, lists + lists // 5), kills))
    killer = hostile(seed=3, kills=at)
    with FakeEndpoint(killer, slow=0.1) as endpoint:
        settings.LLM_ENDPOINT = endpoint.address
        run = request_run(study, most_requests=most, most_tokens=10**11, **wanted)
        seconds = work_killed(run, endpoint, killer)
        found = outcome_of(run, endpoint, seconds, killer.kills)
        rate = found.lists / span(endpoint)
    rows = {
        "lists": found.lists,
        "workers killed": found.kills,
        "requests that the endpoint got": found.got,
        "requests that the run counted": run.requests,
        "requests beyond what was counted": found.uncounted,
        "annotations and failed lists": found.annotations,
        "of these failed": run.failed,
        "lists lost": found.lost,
        "lists twice": found.doubles,
        "annotations of another list": found.wrong,
        "leaks": len(found.leaks),
    }
    print("| | |\n|---|---:|")
    for title, number in rows.items():
        print(f"| {title} | {number:,} |")
    print(f"| lists per second | {rate:,.0f} |")
    print(f"| of the rate at an endpoint that answers at once | {rate / good_rate:.0%} |")
    said = f"the run {run.get_state_display()}: {run.error}"
    assert run.state == MachineRun.State.READY, said
    bad = (found.lost, found.doubles, found.wrong, found.uncounted, len(found.leaks))
    assert bad == (0, 0, 0, 0, 0), found
    assert found.annotations == found.lists
    assert found.got <= run.requests <= min(most, found.got + found.kills * AT_ONCE)
    assert found.kills > kills // 2


if __name__ == "__main__":
    main()
