"""A person's study among very many lists of others, made in bulk: for `scale` and its test."""

from typing import Any

from django.db import connection
from django.db.models import Model

from annotation_site.accounts.models import User
from annotation_site.annotation.models import (
    Assignment,
    Item,
    Membership,
    Pattern,
    PatternMember,
    Revision,
    Study,
    WorkedDay,
)
from annotation_site.corpus.models import Extraction, Token, Vector
from tests.annotation_site import factories

OWN_LISTS = 1_002  # of the study that is measured: 2 layers × 3 kinds × 167
PER_LAYER = 167
SUBMITTED = 60  # of its lists, by each of its two people
EXTRACTIONS = 8  # that hold the lists of others
VOCABULARY = 30_000  # tokens of each
OTHERS = 50  # people


def make_own_study() -> Study:
    """The study that is measured, the same in every world, with some work done by its people."""
    study = factories.make_study(
        annotators=2,
        annotators_per_list=2,
        lists_per_layer=PER_LAYER,
        extraction=factories.make_extraction(per_layer=PER_LAYER),
    )
    own = Assignment.objects.filter(membership__study=study, position__lte=SUBMITTED)
    said = factories.answer(factories.pattern(1, [1, 2, 3, 4]))
    for assignment in own.select_related("membership__user"):
        factories.submit(assignment, said)
    return study


def add_lists_of_others(lists: int) -> None:
    """Add so many lists in several extractions, each judged by one of fifty other people.

    Two of three are submitted, with a pattern of four tokens. All by statements that make rows of
    rows, the same on SQLite and PostgreSQL.
    """
    first = Extraction.objects.get()
    study = Study.objects.create(
        slug="others", title="The others", state="open", categories=["semantic"],
        lists_per_layer=lists,
    )  # fmt: skip
    users = User.objects.bulk_create(User(username=f"other {n}") for n in range(OTHERS))
    members = Membership.objects.bulk_create(
        Membership(study=study, user=user, role="annotator", consent_version=0) for user in users
    )
    blocks = -(-lists // OWN_LISTS)
    for n in range(min(EXTRACTIONS, blocks)):
        copy = Extraction.objects.create(
            model=first.model, state="ready", bundle_digest=f"copy {n}",
            parameters=first.parameters,
        )  # fmt: skip
        study.extractions.add(copy)
        _insert(
            Token,
            f"corpus_token, {_numbers(VOCABULARY // 100)} WHERE extraction_id = {first.pk}",
            extraction_id=str(copy.pk), token_id="token_id + 100 * i", text="text",
            display="display", gloss="gloss", is_stopword="is_stopword",
        )  # fmt: skip
        _insert(
            Vector,
            f"corpus_vector, {_numbers(len(range(n, blocks, EXTRACTIONS)))} "
            f"WHERE extraction_id = {first.pk}",
            extraction_id=str(copy.pk), kind="kind", layer="layer",
            index=f'"index" + {PER_LAYER} * i', norm="norm", token_ids="token_ids",
            scores="scores", context="context",
        )  # fmt: skip
    _insert(
        Item,
        f"corpus_vector WHERE extraction_id <> {first.pk} ORDER BY id LIMIT {lists}",
        study_id=str(study.pk), vector_id="id",
    )  # fmt: skip
    _add_answers(study, members[0].pk)
    if connection.vendor == "postgresql":  # which does so itself, after a while
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _add_answers(study: Study, first_member: int) -> None:
    waits, now = "CASE WHEN n % 3 = 0 THEN", "CURRENT_TIMESTAMP"
    _insert(
        Assignment,
        "(SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM annotation_item "
        f"WHERE study_id = {study.pk}) AS lists",
        public_id=_uuid(), item_id="id", membership_id=f"{first_member} + n % {OTHERS}",
        position=f"n / {OTHERS} + 1", active_seconds="n % 200", version=f"{waits} 0 ELSE 1 END",
        state=f"{waits} 'waiting' ELSE 'submitted' END",
        opened_at=f"{waits} NULL ELSE {now} END", submitted_at=f"{waits} NULL ELSE {now} END",
    )  # fmt: skip
    submitted = (
        "annotation_assignment JOIN annotation_item ON annotation_item.id = item_id "
        f"WHERE study_id = {study.pk} AND state = 'submitted'"
    )
    said = factories.answer(factories.pattern(1, [1, 2, 3, 4]))
    assignment = "annotation_assignment.id"
    _insert(
        Revision, submitted, {"snapshot": {"annotation": said}},
        assignment_id=assignment, version="1", key=_uuid(), created_at=now,
    )  # fmt: skip
    kind = {"category": "semantic", "stopwords": False, "stopwords_proposed": False}
    _insert(Pattern, submitted, kind, assignment_id=assignment, number="1")
    worked = {"membership_id": "membership_id"} if hasattr(WorkedDay, "membership_id") else {}
    _insert(
        WorkedDay, submitted, {"submitted": True},
        assignment_id=assignment, day="CURRENT_DATE", active_seconds="active_seconds", **worked,
    )  # fmt: skip
    _insert(
        PatternMember,
        f"annotation_pattern, {_numbers(4)} WHERE description = ''",
        pattern_id="id", rank="i + 1",
    )  # fmt: skip


def _insert(
    model: type[Model], source: str, values: dict[str, Any] | None = None, **sql: str
) -> None:
    """Insert a row for each row of `source`, what follows FROM.

    A column is what `sql` says of it, else a value of `values`, else the field's own default.
    """
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    given = {field.attname: field.get_default() for field in fields} | (values or {})
    said = [sql.get(field.attname) for field in fields]
    parameters = [
        field.get_db_prep_save(given[field.attname], connection)
        for field in fields
        if field.attname not in sql
    ]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    chosen = ", ".join("%s" if one is None else one.replace("%", "%%") for one in said)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({columns}) SELECT {chosen} FROM {source}",
            parameters,
        )


def _numbers(count: int) -> str:
    """A table `numbers` of so many rows, whose column `i` counts from 0."""
    count_up = f"SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}"
    return f"(WITH RECURSIVE n(i) AS ({count_up}) SELECT i FROM n) AS numbers"


def _uuid() -> str:
    return (
        "gen_random_uuid()" if connection.vendor == "postgresql" else "lower(hex(randomblob(16)))"
    )
