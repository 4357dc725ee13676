"""Results by script: a filter's tables, snapshots, figures, files, and which answers count."""

import json

import pytest

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Item, Membership
from annotation_site.api.serializers.results import Filter
from annotation_site.results.forms import FilterForm
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots import computation, services
from annotation_site.results.snapshots.selectors import people_of
from tests.annotation_site.api.scripts import bearer, code, post
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db
State = Snapshot.State
FILTER = {"kinds": ["value"], "min_tokens": 3}


def test_a_filters_results_are_asked_for_watched_and_read(study, client, url):
    asked = post(client, f"{url}/results", FILTER)
    assert (asked.status_code, asked.json()["snapshot"]) == (202, None)
    pending = asked.json()["pending"]
    assert (pending["state"], pending["filters"]) == ("due", {"kinds": ["value"], "min_tokens": 3})
    again = post(client, f"{url}/results", FILTER)
    assert (again.status_code, again.json()["pending"]["id"]) == (202, pending["id"])
    Snapshot.objects.filter(pk=pending["id"]).update(
        state=State.RUNNING, step="Tables", step_done=2, step_total=9
    )
    one = f"{url}/snapshots/{pending['id']}"
    waiting = client.get(one)
    shown = [waiting.json()[name] for name in ("state", "step", "step_done", "step_total")]
    assert (waiting.status_code, shown) == (202, ["running", "Tables", 2, 9])
    Snapshot.objects.update(state=State.DUE)
    services.snapshot_compute(snapshot_id=pending["id"])
    ready = client.get(one)
    assert (ready.status_code, ready.json()["state"]) == (200, "ready")
    assert {"name": "coverage", "rows": 3} in ready.json()["tables"]
    assert ready.json()["measures"]["mean_matched_jaccard"]["definition"]
    done = post(client, f"{url}/results", FILTER)
    assert (done.status_code, done.json()["is_current"]) == (200, True)
    assert done.json()["snapshot"]["id"] == pending["id"]
    snapshot = Snapshot.objects.get(pk=pending["id"])
    table = client.get(f"{url}/tables/table_2?snapshot={snapshot.pk}").json()
    assert table["results"] == snapshot.tables["table_2"]["rows"]
    # V0: (6 + 4 + 0) / 2 people … with patterns of 3: A 10, B 8 + 3 of 30; V1: 0 of 30
    names = [column["name"] for column in table["columns"]]
    assert table["results"][0][names.index("coverage")] == pytest.approx(0.175)
    assert code(client.get(f"{url}/tables/table_2")) == (422, "invalid")  # of no filter: none yet
    file = client.get(f"{url}/exports/table_2.json?snapshot={snapshot.pk}")
    assert file["Content-Type"] == "application/json"
    assert len(json.loads(file.getvalue())["rows"]) == len(table["results"])


def test_the_filter_is_that_of_the_page(study, client, url):
    own = services.snapshot_refresh_now(study=study)  # which gives people their codes
    assert set(Filter().fields) == set(FilterForm.base_fields)
    everything = {
        "min_tokens": 3,
        "kinds": ["value"],
        "layer_from": 0,
        "layer_to": 1,
        "categories": ["semantic"],
        "people": client.get(f"{url}/results").json()["people"][:1],
        "day_from": "2026-01-01",
        "day_to": "2030-01-01",
        "adjudicated": "on",
        "machine_annotators": True,
    }
    assert set(everything) == set(Filter().fields)
    query = {name: "on" if value is True else value for name, value in everything.items()}
    form = FilterForm(query, study=study, people=people_of(study))
    assert form.is_valid()
    post(client, f"{url}/results", everything)
    assert Snapshot.objects.exclude(pk=own.pk).get().filters == form.filters().canonical()


@pytest.mark.parametrize(
    ("chosen", "status"),
    [
        ({"kinds": ["nothing"]}, 400),
        ({"kinds": []}, 400),
        ({"kinds": "value"}, 400),
        ({"min_tokens": 0}, 400),
        ({"adjudicated": "maybe"}, 400),
        ({"day_from": "soon"}, 400),
        ({"item__study__seed": 1}, 400),
        ({"categories": ["names"]}, 422),
        ({"people": ["somebody"]}, 422),
        ({"layer_from": 3, "layer_to": 2}, 422),
    ],
)
def test_what_cannot_be_chosen_is_refused_and_nothing_is_computed(client, url, chosen, status):
    for address in ("results", "results/retry"):
        assert code(post(client, f"{url}/{address}", chosen))[0] == status
    assert not Snapshot.objects.exists()


def test_results_that_failed_say_so_and_are_tried_again(study, client, url, monkeypatch):
    snapshot = services.snapshot_request(study=study)

    def broken(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(computation, "compute", broken)
        with pytest.raises(ZeroDivisionError):
            services.snapshot_compute(snapshot_id=snapshot.pk)
    told = post(client, f"{url}/results")
    assert (told.status_code, told.json()["pending"]["state"]) == (200, "failed")
    assert "ZeroDivisionError" in told.json()["pending"]["error"]
    assert client.get(f"{url}/snapshots/{snapshot.pk}").status_code == 200
    again = post(client, f"{url}/results/retry")
    assert (again.status_code, again.json()["pending"]["state"]) == (202, "due")
    assert code(post(client, f"{url}/results/retry")) == (422, "invalid")


def test_snapshots_are_listed_newest_first_in_pages_and_are_the_studys_own(study, client, url):
    first = services.snapshot_refresh_now(study=study)
    second = services.snapshot_request(study=study, filters=filtered(study, min_tokens=3))
    page = client.get(f"{url}/snapshots?limit=1").json()
    assert (page["count"], page["results"][0]["id"]) == (2, second.pk)
    assert [row["id"] for row in client.get(page["next"]).json()["results"]] == [first.pk]
    other = bearer(UserFactory(role=Role.RESEARCHER))
    assert other.get(f"{url}/snapshots/{first.pk}").status_code == 404
    mine = make_study(extraction=make_extraction(layers=1, per_layer=1))
    runs = bearer(mine.memberships.get(role=Membership.Role.RESEARCHER).user)
    for address in ("snapshots/{}", "tables/coverage?snapshot={}", "figures?snapshot={}"):
        there = f"/api/studies/{mine.slug}/" + address.format(first.pk)
        assert code(runs.get(there)) == (404, "not_found")


def filtered(study, **chosen):
    form = FilterForm(chosen, study=study, people={})
    assert form.is_valid()
    return form.filters()


def test_the_number_of_queries_does_not_grow_with_snapshots(
    study, url, django_assert_max_num_queries
):
    for number in range(1, 5):
        services.snapshot_request(study=study, filters=filtered(study, min_tokens=number))
    client = client_of(study.memberships.get(role=Membership.Role.RESEARCHER).user)
    # session, person, the study, count, rows, whether it is made up
    with django_assert_max_num_queries(6):
        assert len(client.get(f"{url}/snapshots").json()["results"]) == 4


def test_the_answers_of_a_list_are_those_that_results_count(study, client, url):
    rows = Assignment.objects.filter(item__study=study, purpose="annotation", state="submitted")
    surplus, unblinded = rows.order_by("pk")[:2]
    Assignment.objects.filter(pk=surplus.pk).update(surplus=True)
    Assignment.objects.filter(pk=unblinded.pk).update(unblinded=True)
    counted = rows.filter(surplus=False, unblinded=False)
    assert counted.count() == rows.count() - 2
    told = {row["id"]: row["annotations"] for row in client.get(f"{url}/items").json()["results"]}
    assert told == {item.pk: counted.filter(item=item).count() for item in study.items.all()}


def test_lists_are_told_in_the_order_of_disagreement_with_answers_and_skips(study, client, url):
    before = client.get(f"{url}/lists?order=overlap").json()["results"]
    assert {row["overlap"] for row in before} == {None}
    services.snapshot_refresh_now(study=study)
    found = client.get(f"{url}/lists?order=overlap").json()
    overlaps = [row["overlap"] for row in found["results"] if row["overlap"] is not None]
    assert found["count"] == 4
    assert overlaps == sorted(overlaps)
    assert overlaps
    fewest = client.get(f"{url}/lists").json()["results"][0]
    assert (fewest["kind"], fewest["layer"], fewest["annotations"], fewest["reasons"]) == (
        "random", 1, 1, [],
    )  # fmt: skip


def test_reference_lists_are_told_with_their_scores():
    study = make_study(training_lists=1, reference_lists=1, extraction=make_extraction(per_layer=3))
    trained = submit(assignment_of(study), answer(pattern(1, [1, 2, 3, 4])))
    client = bearer(study.memberships.get(role=Membership.Role.RESEARCHER).user)
    found = client.get(f"/api/studies/{study.slug}/references").json()["results"]
    assert [(row["use"], row["annotated"]) for row in found] == [
        (Item.Use.TRAINING, True), (Item.Use.REFERENCE, True),
    ]  # fmt: skip
    assert (found[0]["id"], found[0]["submitted"], found[0]["score"]) == (trained.item_id, 1, 1.0)
    assert len(found[0]["tokens"]) == 30
