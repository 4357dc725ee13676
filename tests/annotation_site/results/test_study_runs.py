"""What pages of a study under way read of its results: order of lists, summary, gold."""

import json
import uuid

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from annotation_site.analysis import MEASURES_VERSION
from annotation_site.annotation.models import Assignment, Membership
from annotation_site.annotation.monitoring.records import lists_by_id
from annotation_site.annotation.review.adjudicated_annotations import adjudicated_annotation_open
from annotation_site.annotation.review.adjudication import counted_annotations
from annotation_site.annotation.work import submissions
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.disagreement import (
    adjudication_queue,
    ranking_of,
    undecided_after,
)
from annotation_site.results.pages.list_search import ListFilters, lists_found
from annotation_site.results.pages.summary import summary_of
from annotation_site.results.snapshots import computation
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.dataframes import annotations_of, frames_with_adjudicated
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
    researcher_of,
    submission,
    text_of,
)
from tests.annotation_site.results.frames import frames_of

pytestmark = pytest.mark.django_db
ANSWERS = {  # of two people: alike, half alike, unlike, both nothing
    0: (answer(pattern(1, [1, 2, 3, 4])), answer(pattern(1, [1, 2, 3, 4]))),
    1: (answer(pattern(1, [1, 2, 3, 4])), answer(pattern(1, [1, 2, 3, 9]))),
    2: (answer(pattern(1, [1, 2, 3, 4])), answer(pattern(1, [11, 12, 13, 14]))),
    3: (answer(), answer()),
}


def give(row, content):
    return submissions.assignment_submit(
        user=row.membership.user,
        public_id=row.public_id,
        base_version=row.draft_version,
        key=uuid.uuid4(),
        annotation=content,
        active_seconds=0,
    )


@pytest.fixture
def study():
    """Six lists, of which four have two answers, one has one and one has none."""
    people = [UserFactory(username="zoe"), UserFactory(username="ben")]
    study = make_study(
        people=people, extraction=make_extraction(layers=1, per_layer=6, kinds=("value",)),
        lists_per_layer=6,
    )  # fmt: skip
    for n, item in enumerate(items_of(study)[:4]):
        for person, content in zip(people, ANSWERS[n], strict=True):
            give(item.assignments.get(membership__user=person), content)
    give(items_of(study)[4].assignments.get(membership__user=people[0]), answer())
    return study


def snapshot(study):
    """A snapshot with the two tables that these pages read; the others take seconds."""
    filters = Filters.of(study)
    request, _ = computation.table_request(study, annotations_of(study), filters)
    tables = {
        name: computation.table_json(TABLES[name](request)) for name in ("coverage", "disagreement")
    }
    return Snapshot.objects.create(
        study=study, data_version=data_version(study.pk), filter_key=filters.key,
        filters=filters.canonical(), state="ready", tables=tables, counts={"annotations": 9},
        finished_at=timezone.now(), measures_version=MEASURES_VERSION,
    )  # fmt: skip


def items_of(study):
    return list(study.items.order_by("vector__index"))


def decide(study, item, content):
    return give(adjudicated_annotation_open(item=item, by=researcher_of(study)), content)


def test_without_a_snapshot_the_order_is_random_but_stays_and_the_page_says_so(study):
    queue = adjudication_queue(study)
    assert queue.ranking is None
    assert sorted(queue.lists) == sorted(item.pk for item in items_of(study)[:4])
    assert adjudication_queue(study).lists == queue.lists
    page = client_of(researcher_of(study)).get(reverse("results:adjudication", args=[study.slug]))
    assert "random order" in page.content.decode()


def test_lists_on_which_people_differ_most_come_first(study):
    snapshot(study)
    items = items_of(study)
    queue = adjudication_queue(study)
    assert queue.lists == [items[n].pk for n in (2, 1, 0, 3)]
    overlap = ranking_of(study).overlap
    assert [overlap[items[n].pk] for n in range(4)] == [1.0, 0.6, 0.0, None]
    page = client_of(researcher_of(study)).get(reverse("results:adjudication", args=[study.slug]))
    assert "0.60" in page.content.decode()


def test_lists_that_were_answered_since_stand_at_the_end(study):
    snapshot(study)
    late = items_of(study)[4]
    give(late.assignments.get(membership__user__username="ben"), answer(pattern(1, [1, 2, 3, 4])))
    assert adjudication_queue(study).lists[-1] == late.pk


def test_decided_lists_leave_the_queue_and_stay_to_be_changed(study):
    item = items_of(study)[1]
    decide(study, item, answer(pattern(1, [1, 2, 3])))
    queue = adjudication_queue(study)
    assert queue.decided == [item.pk]
    assert item.pk not in queue.undecided
    client = client_of(researcher_of(study))
    url = reverse("results:adjudication", args=[study.slug])
    assert "Decided: 1" in client.get(url).content.decode()
    assert "Change<" in client.get(url, {"show": "decided"}).content.decode()


def test_after_a_list_comes_the_next_undecided_one_and_at_the_end_the_first(study):
    snapshot(study)
    items = items_of(study)
    rosa = researcher_of(study)
    queue = [items[n] for n in (2, 1, 0, 3)]
    assert undecided_after(study, queue[0].pk, by=rosa) == queue[1:]
    assert undecided_after(study, queue[2].pk, by=rosa) == [queue[3], queue[0], queue[1]]
    decide(study, queue[3], answer())
    assert undecided_after(study, queue[2].pk, by=rosa) == [queue[0], queue[1]]
    # What another researcher has begun is theirs.
    other = UserFactory(role="researcher")
    Membership.objects.create(study=study, user=other, role="researcher")
    begun = adjudicated_annotation_open(item=queue[0], by=other)
    Assignment.objects.filter(pk=begun.pk).update(draft={"annotation": answer()})
    assert undecided_after(study, queue[2].pk, by=rosa) == [queue[1]]
    assert undecided_after(study, queue[2].pk, by=other) == [queue[0], queue[1]]


def test_a_submission_leads_to_the_next_list_and_at_the_end_to_the_queue(study):
    snapshot(study)
    items = items_of(study)
    client = client_of(researcher_of(study))
    for n, item in enumerate(items[:4]):
        final = adjudicated_annotation_open(item=item, by=researcher_of(study))
        reply = client.post(
            reverse("api:submit", args=[final.public_id]), submission(final, answer()),
            content_type="application/json",
        ).json()  # fmt: skip
        if n < 3:
            following = Assignment.objects.get(public_id=reply["next_url"].split("/")[-2])
            assert following.item in items[:4]
            assert client.get(reply["next_url"]).status_code == 200
    assert reply == {"next": None, "next_url": f"/studies/{study.slug}/adjudication/"}
    page = text_of(client.get(reply["next_url"]))
    assert "All 4 lists are decided" in page
    assert "See the results" in page


def test_the_queue_takes_as_many_queries_for_many_lists(study, django_assert_num_queries):
    snapshot(study)
    client = client_of(researcher_of(study))
    # session, person, study, ranking, answered lists, final answers, lists, answers, tokens
    # whether it is made up, unread notices
    with django_assert_num_queries(11):
        client.get(reverse("results:adjudication", args=[study.slug]))
    # session, person, study, its models, its people, ranking, order, lists, tokens, their origin,
    # assignments, whether it is made up, unread notices
    with django_assert_num_queries(13):
        client.get(reverse("results:lists", args=[study.slug]))


def test_lists_can_be_ordered_by_answers_skips_and_agreement(study):
    items = items_of(study)
    row = items[5].assignments.get(membership__user__username="zoe")
    submissions.assignment_skip(
        user=row.membership.user, public_id=row.public_id, base_version=0, key=uuid.uuid4(),
        reason="<b>odd</b>",
    )  # fmt: skip
    snapshot(study)
    ranking = ranking_of(study)
    for order, first in (
        ("annotations", [items[5].pk, items[4].pk]),
        ("skips", [items[5].pk]),
        ("overlap", [items[2].pk, items[1].pk]),
    ):
        assert lists_found(study, ListFilters(order=order), ranking)[: len(first)] == first
    client = client_of(researcher_of(study))
    page = client.get(reverse("results:lists", args=[study.slug]), {"order": "skips"})
    assert "&lt;b&gt;odd&lt;/b&gt;" in page.content.decode()
    assert (
        client.get(reverse("results:lists", args=[study.slug]), {"order": "'"}).status_code == 200
    )


def test_lists_count_answers_as_tables_do(study):
    item = items_of(study)[1]
    answered = Assignment.objects.filter(item=item, purpose="annotation", state="submitted")
    before = answered.count()
    assert before > 1
    Assignment.objects.filter(pk=answered.first().pk).update(unblinded=True)
    (row,) = lists_by_id(study, [item.pk])
    assert (row["annotations"], row["unblinded"]) == (before - 1, 1)
    answered.update(unblinded=True)
    none = {pk for pk in study.items.values_list("pk", flat=True) if not counted(study, pk)}
    assert item.pk in none
    assert set(lists_found(study, ListFilters(order="annotations"), None)[: len(none)]) == none


def counted(study, pk):
    return counted_annotations(study).filter(item=pk).count()


def test_the_summary_tells_coverage_overlap_and_whether_answers_are_missing(study):
    assert summary_of(study) is None
    snapshot(study)
    found = summary_of(study)
    assert [row["kind"] for row in found.coverage] == ["value"]
    assert found.overlap == pytest.approx((1 + 0.6 + 0) / 3)
    assert (found.overlap_lists, found.annotations, found.is_current) == (3, 9, True)
    give(items_of(study)[4].assignments.get(membership__user__username="ben"), answer())
    assert summary_of(study).is_current is False
    page = client_of(researcher_of(study)).get(reverse("results:summary", args=[study.slug]))
    assert "Newer annotations are not included yet" in page.content.decode()


def test_final_answers_change_no_table_of_peoples_answers(study):
    before = snapshot(study).tables
    decide(study, items_of(study)[2], answer(pattern(1, list(range(1, 31)))))
    assert snapshot(study).tables == before


def test_an_adjudicated_annotation_stands_for_all_of_its_list_and_has_their_shape(study):
    item, empty = items_of(study)[1], items_of(study)[3]
    final = decide(study, item, answer(pattern(1, [1, 2, 3, 9], description="birds")))
    decide(study, empty, answer())
    people = frames_of(study)
    gold = frames_with_adjudicated(annotations_of(study), Filters.of(study))
    assert gold.lists.equals(people.lists)
    assert list(gold.members.dtypes) == list(people.members.dtypes)
    of_list = gold.annotations.groupby("list_id")["annotation_id"].apply(set)
    before = people.annotations.groupby("list_id")["annotation_id"].apply(set)
    assert of_list[item.pk] == {final.pk}
    assert len(of_list[empty.pk]) == 1
    others = before.index.difference([item.pk, empty.pk])
    assert of_list[others].equals(before[others])
    own = gold.members[gold.members["annotation_id"] == final.pk]
    assert own["rank"].tolist() == [1, 2, 3, 9]


def adjudicated_of(study, extension):
    client = client_of(researcher_of(study))
    response = client.get(reverse("results:adjudicated", args=[study.slug, extension]))
    return response, b"".join(response.streaming_content).decode()


def test_gold_is_exported_apart_whole_file(study, tmp_path):
    item = items_of(study)[1]
    final = decide(study, item, answer(pattern(1, [9, 1, 2, 3], description="=cmd()"), comment="c"))
    response, csv = adjudicated_of(study, "csv")
    tokens = json.dumps([f"word{i}" for i in item.vector.token_ids])
    patterns = json.dumps(
        [{"number": 1, "description": "=cmd()", "category": "semantic", "stopwords": False,
          "ranks": [1, 2, 3, 9]}]
    )  # fmt: skip
    cell = [f'"{text}"' for text in (tokens.replace('"', '""'), patterns.replace('"', '""'))]
    model = item.vector.extraction.model.name
    digest = item.vector.extraction.bundle_digest
    adjudicator = study.pseudonyms.get(user=researcher_of(study)).name
    at = Assignment.objects.get(pk=final.pk).submitted_at.isoformat()
    assert csv == (
        "model,bundle_digest,kind,layer,index,tokens,patterns,comment,adjudicator,version,"
        "submitted_at,looked_before\r\n"
        f"{model},{digest},value,0,1,{cell[0]},{cell[1]},c,{adjudicator},1,{at},0\r\n"
    )
    assert response["Content-Disposition"] == 'attachment; filename="a-study-adjudicated.csv"'
    _, lines = adjudicated_of(study, "jsonl")
    record = json.loads(lines)
    assert record["patterns"] == json.loads(patterns)
    assert record["tokens"] == json.loads(tokens)
    assert "zoe" not in csv + lines
    out = tmp_path / "gold.jsonl"
    call_command(
        "export", study.slug, "adjudicated", "--format", "jsonl", "--out", str(out), verbosity=0
    )
    assert out.read_text() == lines


def test_there_is_no_gold_in_an_unknown_format(study):
    client = client_of(researcher_of(study))
    assert client.get(reverse("results:adjudicated", args=[study.slug, "exe"])).status_code == 404
