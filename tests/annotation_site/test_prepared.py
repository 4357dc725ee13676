"""Prepared queries: the rows that the queryset itself gives, for any values, in few statements."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation_site.annotation.lists.page import with_place
from annotation_site.annotation.models import Assignment
from annotation_site.corpus.models import Token
from annotation_site.prepared import LENGTHS, Prepared
from tests.annotation_site.factories import make_study

pytestmark = pytest.mark.django_db


def own(membership_id, public_id):
    found = with_place(Assignment.objects.filter(membership_id=membership_id))
    return found.select_related("item__study", "membership").filter(public_id=public_id)


def test_objects_are_those_of_the_queryset_and_the_sql_is_composed_once():
    built = []
    prepared = Prepared(lambda **values: built.append(values) or own(**values))
    study = make_study(annotators=2)
    for assignment in Assignment.objects.filter(item__study=study):
        values = {"membership_id": assignment.membership_id, "public_id": assignment.public_id}
        with CaptureQueriesContext(
            connection,
        ) as ran:
            found = prepared.first(**values)
        expected = own(**values).get()
        assert found == expected == assignment
        assert (found.place, found.total, found.at_work) == (
            expected.place, expected.total, expected.at_work,
        )  # fmt: skip
        assert found.__dict__.keys() == expected.__dict__.keys()
        assert found.item.study == study  # read by the same statement
        assert len(ran) == 1
        assert found._state.db == "default"
    assert len(built) == 2
    assert prepared.first(membership_id=1, public_id=uuid.uuid4()) is None


def test_an_object_can_be_changed_and_saved():
    assignment = Assignment.objects.filter(item__study=make_study()).first()
    found = Prepared(lambda pk: Assignment.objects.filter(pk=pk)).first(pk=assignment.pk)
    found.comment = "changed"
    found.save()
    assignment.refresh_from_db()
    assert assignment.comment == "changed"


@pytest.mark.parametrize("count", [1, 2, LENGTHS, LENGTHS + 1])
def test_sequences_of_every_length_share_few_statements(count):
    study = make_study()
    extraction = study.items.first().vector.extraction_id
    ids = list(Token.objects.filter(extraction_id=extraction).values_list("token_id", flat=True))
    wanted = (
        sorted(ids)[:count] if count <= len(ids) else sorted(ids) + [10**6] * (count - len(ids))
    )

    def tokens(extraction, ids):
        found = Token.objects.filter(extraction_id=extraction, token_id__in=ids)
        return found.order_by("token_id").values_list("token_id", "display")

    prepared = Prepared(tokens)
    assert prepared.rows(extraction=extraction, ids=wanted) == list(tokens(extraction, wanted))
    prepared.rows(extraction=extraction, ids=wanted[:1])
    assert len(prepared._ready) == (1 if count <= LENGTHS else 2)


def test_a_query_that_reads_differently_for_other_values_is_refused():
    prepared = Prepared(
        lambda pk: Assignment.objects.filter(pk=pk) if pk % 2 else Assignment.objects.all()
    )
    with pytest.raises(ValueError, match="reads differently"):
        prepared.first(pk=3)
