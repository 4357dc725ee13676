"""Members of an archive from which a site can restore its study, besides labels and parameters.

`archive_restore` reads them. They hold what no table depends on: whole tokens and vectors, facts
about models, people by their codes, and the lists that people hold without an annotation.
"""

import json
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db.models import Exists, Model, OuterRef, Q, Subquery

from annotation_site.annotation.lists.entries import stored_prefixes
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
    Membership,
    Revision,
    Study,
)
from annotation_site.corpus.models import Float32ArrayField, LanguageModel, Token, Vector
from annotation_site.exports.annotation_records import moment_text
from annotation_site.results.files.archive_annotations import PREFIXES_MEMBER
from annotation_site.results.files.archive_texts import json_text
from annotation_site.results.files.left_out import (
    COMMENTS,
    NO_MOMENT,
    TIMES,
    reason_without_words,
)
from annotation_site.results.pseudonyms import pseudonyms_of
from annotation_site.results.tables.reading import one_moment

STUDY_FIELDS = (
    "state", "lease_hours", "idle_days", "training_pass_percent", "on_withdrawal",
    "consent_version", "search_engine", "encyclopedia", "full_lists_only", "may_publish",
    "drawn_from", "may_share",
)  # fmt: skip
LATER_FIELDS = {
    "idle_days": 7, "search_engine": "duckduckgo", "encyclopedia": "en", "full_lists_only": False,
    "may_publish": False, "drawn_from": None, "may_share": False,
}  # fmt: skip
"""Those that earlier archives lack, as they were for every study then."""
PERSON_TIMES = ("consented_at", "withdrawn_at", "removed_at", "training_waived_at")
ASSIGNMENT_FIELDS = ("purpose", "position", "state", "surplus", "unblinded", "active_seconds")
EXTRACTION_FIELDS = ("model_source", "counts")
State = Assignment.State


def fields_of(model: type[Model], *without: str) -> list[str]:
    """Names of a model's own columns, so that a new one is archived without a line here."""
    left_out = {"id", "extraction", *without}
    return [field.name for field in model._meta.concrete_fields if field.name not in left_out]


TOKEN_FIELDS = fields_of(Token)
VECTOR_FIELDS = fields_of(Vector, "kind", "layer", "index", "token_ids")  # in labels/lists.csv
MODEL_FIELDS = fields_of(LanguageModel)
WITHOUT_TOKENS: dict[str, Any] = {"scores": [], "bottom_token_ids": None, "bottom_scores": None}
"""Of a key whose list is prefixes, its own top tokens are no part of the study."""
_PACKED = {f.name for f in Vector._meta.concrete_fields if isinstance(f, Float32ArrayField)}


def study_members(
    study: Study, left_out: Collection[str] = ()
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and content of each member; the names are `archive_annotations.RESTORE_MEMBERS`."""
    with one_moment():
        rows = list(_assignments(study, left_out))
    yield "restore/study.json", iter([json_text(_study(study, left_out)).encode()])
    yield "restore/tokens.jsonl", map(_line, _tokens(study))
    yield "restore/vectors.jsonl", map(_line, _vectors(study))
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        yield PREFIXES_MEMBER, map(_line, _prefixes(study))
    yield "restore/assignments.jsonl", map(_line, rows)


def _study(study: Study, left_out: Collection[str]) -> dict[str, Any]:
    moment = _no_moment if TIMES in left_out else _moment
    texts = ConsentText.objects.filter(study=study).order_by("version")
    guidelines = Guidelines.objects.filter(study=study).order_by("version")
    return {
        "study": {name: getattr(study, name) for name in STUDY_FIELDS},
        "created_at": moment(study.created_at),
        "consent": [
            {"version": one.version, "text": one.text, "created_at": moment(one.created_at)}
            for one in texts
        ],
        "guidelines": [
            {"version": one.version, "created_at": moment(one.created_at)} for one in guidelines
        ],
        "people": list(_people(study, left_out)),
        "extractions": [
            {
                "bundle_digest": one.bundle_digest,
                "model": {name: getattr(one.model, name) for name in MODEL_FIELDS},
                **{name: getattr(one, name) for name in EXTRACTION_FIELDS},
            }
            for one in study.extractions.select_related("model").order_by("bundle_digest")
        ],
    }


def _people(study: Study, left_out: Collection[str]) -> Iterator[dict[str, Any]]:
    """Memberships by code, of researchers only those who adjudicated.

    Nothing tells of somebody who left and of whom no annotation is kept.
    """
    moment = _no_moment if TIMES in left_out else _moment
    codes = pseudonyms_of(study)
    at_work = Q(role=Membership.Role.ANNOTATOR) | Q(assignments__isnull=False)
    kept = Assignment.objects.filter(membership=OuterRef("pk")).exclude(state=State.WITHDRAWN)
    there = Q(withdrawn_at=None) | Q(Exists(kept))
    for member in study.memberships.filter(at_work).filter(there).distinct().order_by("pk"):
        if member.user_id in codes:
            yield {
                "annotator": codes[member.user_id],
                "role": member.role,
                "consent_version": member.consent_version,
                **{name: moment(getattr(member, name)) for name in PERSON_TIMES},
            }


def _tokens(study: Study) -> Iterator[dict[str, Any]]:
    """Every token of both sides of the study's lists; none of keys' lists of prefixes."""
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return
    for extraction in study.extractions.order_by("bundle_digest"):
        lists = study.items.filter(vector__extraction=extraction)
        sides = lists.values_list("vector__token_ids", "vector__bottom_token_ids")
        wanted = {token for row in sides for side in row for token in side or ()}
        found = Token.objects.filter(extraction=extraction).order_by("token_id")
        for row in found.values(*TOKEN_FIELDS).iterator():
            if row["token_id"] in wanted:
                yield {"bundle_digest": extraction.bundle_digest, **row}


def _vectors(study: Study) -> Iterator[dict[str, Any]]:
    columns = {name: f"vector__{name}" for name in VECTOR_FIELDS}
    items = study.items.order_by("pk").values_list(*columns.values())
    for number, row in enumerate(items.iterator(), start=1):
        told = dict(zip(columns, row, strict=True))
        if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
            told |= WITHOUT_TOKENS
        for name in _PACKED:
            told[name] = told[name] and [_shortest(one) for one in told[name]]
        yield {"list": number, **told}


def _prefixes(study: Study) -> Iterator[dict[str, Any]]:
    """The trigger prefixes of each list, as they are stored."""
    items = list(study.items.order_by("pk").values_list("vector", flat=True))
    stored = stored_prefixes(items)
    for number, vector in enumerate(items, start=1):
        yield {"list": number, "prefixes": stored[vector]}


def _shortest(value: float) -> float:
    """The number of fewest digits that is the same float32."""
    return float(str(np.float32(value)))


def _assignments(study: Study, left_out: Collection[str]) -> Iterator[dict[str, Any]]:
    """Lists that people hold or held without an annotation; without a draft, which is nobody's."""
    moment = _no_moment if TIMES in left_out else _moment
    codes = pseudonyms_of(study)
    items = study.items.order_by("pk").values_list("pk", flat=True)
    numbers = {pk: number for number, pk in enumerate(items, start=1)}
    skips = Revision.objects.filter(assignment=OuterRef("pk"), snapshot__state=State.SKIPPED)
    found = (
        Assignment.objects.filter(item__study=study)
        .exclude(state=State.SUBMITTED)
        .exclude(state=State.WITHDRAWN, opened_at=None)
        .select_related("membership")
        .annotate(skipped_at=Subquery(skips.order_by("-version").values("created_at")[:1]))
    )
    rows = []
    for row in found:
        number = numbers[row.item_id]
        if row.state == State.WITHDRAWN:
            told = {"list": number, "purpose": row.purpose, "state": row.state}
            rows.append((number, row.purpose, "", "", told))
            continue
        code, role = codes.get(row.membership.user_id), row.membership.role
        if code is None:
            continue  # somebody who came a moment ago
        skipped = row.state == State.SKIPPED
        told = {
            "list": number,
            "annotator": code,
            "role": role,
            **{name: getattr(row, name) for name in ASSIGNMENT_FIELDS},
            "opened_at": moment(row.opened_at),
            "skipped_at": moment(row.skipped_at) if skipped else None,
            "skip_reason": row.skip_reason if skipped else "",
        }
        if TIMES in left_out:
            told["active_seconds"] = 0
        if COMMENTS in left_out:
            told["skip_reason"] = reason_without_words(row.skip_reason if skipped else "")
        rows.append((number, row.purpose, code, role, told))
    rows.sort(key=lambda row: row[:4])
    yield from (told for *_, told in rows)


def _moment(moment: datetime | None) -> str | None:
    return moment_text(moment.astimezone(UTC)) if moment else None


def _no_moment(moment: datetime | None) -> str | None:
    return moment_text(NO_MOMENT) if moment else None


def _line(values: dict[str, Any]) -> bytes:
    text = json.dumps(
        values, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    )
    return text.encode() + b"\n"
