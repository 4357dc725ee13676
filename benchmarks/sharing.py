"""How long it takes to share unopened lists again: `python -m benchmarks.sharing`.

By default 5,000 lists for two people each and 20 people. Each service runs whole, in its own
transaction: a skip, a join, a release, a return, a removal, the last list of somebody. Beside it
stands the pure function alone. SQLite by default, PostgreSQL where TEST_DATABASE_URL is set and
FFN_TEST_SERVICES is 1; the database is the benchmark's own and dropped at the end.
"""

import argparse
import os
import statistics
import time
import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.machine import describe

LAYERS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=5_000)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connection

    print(describe(), f"{options.lists:,} lists, {options.people} people", sep="\n")
    pure(options.lists, options.people)
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        services(options.lists, options.people, options.times)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def told(what: str, took: list[tuple[float, float]]) -> None:
    walls, own = zip(*took, strict=True)
    wall, cpu = (1000 * statistics.median(each) for each in (walls, own))
    print(f"| {what} | {wall:,.0f} ms | {cpu:,.0f} ms |")


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    wall, own = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - own


def pure(lists: int, people: int) -> None:
    from annotation_site.annotation.allocation.plan import Given, ListToJudge, share

    kinds = ("value", "random", "update")
    judged = [ListToJudge(n, kinds[n % 3], n // 3 % LAYERS) for n in range(lists)]
    how: dict[str, Any] = {"lists": judged, "per_list": 2, "seed": 0}
    now = Given(waiting=share(people=range(people), **how))
    told("function: from nothing", [timed(lambda: share(people=range(people), **how))])
    told("function: nothing to do", [timed(lambda: share(people=range(people), given=now, **how))])
    told("function: a newcomer", [timed(lambda: share(people=range(people + 1), given=now, **how))])


def services(lists: int, people: int, times: int) -> None:
    from annotation_site.annotation.allocation.shares import shares_of
    from annotation_site.annotation.allocation.slots import annotator_return
    from annotation_site.annotation.models import Assignment
    from annotation_site.annotation.people import members
    from annotation_site.annotation.studies.services import study_open
    from annotation_site.annotation.work.submissions import assignment_skip, assignment_submit
    from tests.annotation_site import factories

    per_layer = -(-lists // (3 * LAYERS))
    draft = factories.make_draft(
        annotators=people, annotators_per_list=2, lists_per_layer=per_layer, repeat_percent=5,
        extraction=factories.make_extraction(layers=LAYERS, per_layer=per_layer),
    )  # fmt: skip
    draft.memberships.update(consent_version=0)
    told("opening the study", [timed(lambda: study_open(study=draft))])
    study = type(draft).objects.get(pk=draft.pk)
    annotators = list(study.memberships.filter(role="annotator").order_by("pk"))

    def write(service: Callable[..., Any], row: Assignment, **said: Any) -> None:
        service(
            user=row.membership.user, public_id=row.public_id, base_version=row.draft_version,
            key=uuid.uuid4(), active_seconds=1, **said,
        )  # fmt: skip

    def next_of(member: Any) -> Assignment:
        waiting = Assignment.objects.filter(membership=member, state="waiting")
        return waiting.select_related("membership__user").order_by("position")[0]

    rows = [next_of(member) for member in annotators[:times]]
    told("submit", [
        timed(lambda row=row: write(assignment_submit, row, annotation=factories.answer()))
        for row in rows
    ])  # fmt: skip
    rows = [next_of(member) for member in annotators[:times]]
    told("skip", [
        timed(lambda row=row: write(assignment_skip, row, reason="x")) for row in rows
    ])  # fmt: skip
    users = factories.UserFactory.create_batch(times)
    told("join", [
        timed(lambda user=user: members.annotator_add(study=study, user=user)) for user in users
    ])  # fmt: skip
    chosen = annotators[:times]
    told("release", [
        timed(lambda one=one: members.assignments_release(membership=one, by=study.created_by))
        for one in chosen
    ])  # fmt: skip
    for one in chosen:
        one.refresh_from_db()
    told("return", [timed(lambda one=one: annotator_return(membership=one)) for one in chosen])
    told("remove", [
        timed(lambda one=one: members.annotator_remove(membership=one, by=study.created_by))
        for one in chosen
    ])  # fmt: skip
    last = next_of(annotators[-1])
    Assignment.objects.filter(membership=annotators[-1]).exclude(pk=last.pk).update(
        state="submitted", version=1
    )
    finish = timed(lambda: write(assignment_submit, last, annotation=factories.answer()))
    told("submit, the last of one's lists", [finish])
    everybody = list(study.memberships.filter(role="annotator").select_related("user"))
    told(
        "numbers of the shares", [timed(lambda: shares_of(study, everybody)) for _ in range(times)]
    )


if __name__ == "__main__":
    main()
