"""Restore a study from its replication archive, with its lists and without an extraction run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.utils import timezone

from annotation_site.accounts import audit
from annotation_site.accounts.models import Role, User
from annotation_site.annotation.lists.markdown import text_check
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
    Item,
    Membership,
    Revision,
    Study,
)
from annotation_site.annotation.studies import made_up
from annotation_site.annotation.studies.plans import STORED, StudyPlan, plan_check
from annotation_site.annotation.studies.services import slug_free
from annotation_site.bounds import SKIP_REASON
from annotation_site.corpus.loading import shown
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import (
    KEY_KINDS,
    Extraction,
    Kind,
    LanguageModel,
    Token,
    TriggerPrefixes,
    Vector,
)
from annotation_site.corpus.titles import title_free, title_of
from annotation_site.errors import Invalid
from annotation_site.exports.annotation_records import LabelsFileError
from annotation_site.exports.archive import ArchiveError, ArchiveReader
from annotation_site.results.files import archive_study
from annotation_site.results.files.archive_annotations import PREFIXES_MEMBER, TableSettings
from annotation_site.results.files.archive_machine_runs import runs_restore
from annotation_site.results.files.archive_reading import (
    MOST_LISTS,
    MOST_PEOPLE,
    MOST_TOKENS,
    MOST_VERSIONS,
    Archive,
    Values,
    check_keys,
    check_prefixes,
    check_sides,
    check_texts,
    cleaned,
    ids_of,
    moment,
    saved,
)
from annotation_site.results.files.labels_import import labels_import
from annotation_site.results.files.labels_import_checks import MOST, People
from annotation_site.results.snapshots.services import snapshot_request
from annotation_site.results.snapshots.versions import data_version

EXAMPLE_ARCHIVE = Path(__file__).resolve().parent.parent / "example_study.zip"
"""The archive of the finished example study, whose annotations are made up."""

RESTORED = "{}, from an archive"  # the title of an extraction that came with a study
CHUNK = 1000  # rows of one statement
State = Assignment.State


def study_restore(*, file: IO[bytes], restored_by: User) -> Study:
    """Make a study from its archive, as a closed study of `restored_by`; all of it or nothing.

    Its lists are those of the archive, in an extraction of their own. Its people are made up: they
    have the archive's codes as names and cannot log in. Restoring an archive twice makes two
    studies. A worker computes the results. If the archive says that its annotations are made up, so
    does the study, for good.

    Raises Invalid for a file that is not such an archive, is damaged or was changed, for one of
    version 0.1, which stored too little, and for content that the site's own rules forbid.
    """
    try:
        with ArchiveReader(file) as reader:
            reader.check()
            with transaction.atomic():
                return _Restoring(Archive(reader), restored_by).run()
    except (ArchiveError, LabelsFileError) as error:
        raise Invalid(f"{error} Nothing was restored.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Invalid(
            "The archive does not hold what an archive of this product holds. Nothing was restored."
        ) from error


@dataclass
class _Restoring:
    """One run: the rows in the order in which they depend on each other."""

    archive: Archive
    by: User
    extractions: dict[str, Extraction] = field(default_factory=dict)
    members: dict[tuple[str, str], Membership] = field(default_factory=dict)

    def run(self) -> Study:
        self._extractions()
        self._tokens()
        vectors = self._vectors()
        if self.archive.shows_prefixes:
            self._prefixes(vectors)
        self.study = self._study()
        Item.objects.bulk_create(
            [
                Item(study=self.study, vector=vector, use=row[7])
                for row, vector in zip(self.archive.lists, vectors, strict=True)
            ],
            batch_size=CHUNK,
        )
        self.items = list(self.study.items.order_by("pk"))
        self._texts()
        self.people = People(self.study, {})
        self._people()
        imported = labels_import(study=self.study, records=self.archive.records(), people={})
        if not imported.annotations:
            raise Invalid("The archive has no annotations.")
        self._assignments()
        self._machine_runs()
        self._finish()
        return self.study

    def _extractions(self) -> None:
        told = self.archive.told["extractions"]
        made = {one["bundle_digest"]: one for one in self.archive.parameters["extractions"]}
        used = {row[1] for row in self.archive.lists}
        sizes, keys, proxies = self._sizes(), self._keys(), self.archive.proxies
        for one in told:
            digest = one["bundle_digest"]
            if digest in self.extractions or digest not in made or digest not in used:
                raise Invalid(f"restore/study.json: {digest!r:.90} is no extraction of the lists.")
            facts = (one["counts"], made[digest]["parameters"], made[digest]["environment"])
            if not all(isinstance(fact, dict) for fact in facts):
                raise Invalid("parameters.json: extractions do not hold what they hold elsewhere.")
            source = str(one["model_source"])
            extraction = Extraction(
                title=title_free(RESTORED.format(title_of(source, made[digest]["parameters"]))),
                state=Extraction.State.READY,
                imported=True,
                model=_model(one["model"]),
                bundle_digest=digest,
                parameters=made[digest]["parameters"],
                environment=made[digest]["environment"],
                restored={
                    "value_vectors": sizes.get(digest, {}),
                    "keys": keys.get(digest, []),
                    "proxies": proxies.get(digest),
                },
                requested_by=self.by,
                finished_at=timezone.now(),
                **{name: one[name] for name in archive_study.EXTRACTION_FIELDS},
            )
            self.extractions[digest] = saved(extraction, "restore/study.json: extractions")
            log_add(
                extraction.pk, "Restored with a study's archive: its lists alone.", person=self.by
            )
        if missing := used - set(self.extractions):
            raise Invalid(f"restore/study.json lacks the extraction {min(missing)}.")

    def _sizes(self) -> dict[str, dict[str, int]]:
        """The number of value vectors per layer of each whole extraction."""
        digests = {row[2]: row[1] for row in self.archive.lists}
        found: dict[str, dict[str, int]] = {}
        for (model, kind, layer), size in self._settings().populations.sizes.items():
            if model not in digests or kind != Kind.VALUE or not 0 < size <= MOST:
                raise Invalid("parameters.json: tables.populations does not suit the lists.")
            found.setdefault(digests[model], {})[str(layer)] = size
        return found

    def _keys(self) -> dict[str, list[list[Any]]]:
        """Kind, layer and counts of the keys of each whole extraction, as `key_counts` has them."""
        digests = {row[2]: row[1] for row in self.archive.lists}
        found: dict[str, list[list[Any]]] = {}
        for model, kind, layer, *counts in self._settings().keys or ():
            keys, never_active, short = counts
            fits = all(0 <= n <= MOST for n in (layer, *counts)) and never_active + short <= keys
            if model not in digests or kind not in KEY_KINDS or not fits:
                raise Invalid("parameters.json: tables.keys does not suit the lists.")
            found.setdefault(digests[model], []).append([kind, layer, *counts])
        return found

    def _settings(self) -> TableSettings:
        try:
            return TableSettings.of_json(self.archive.parameters["tables"])
        except ValueError as error:
            raise Invalid("parameters.json does not say what the tables depend on.") from error

    def _tokens(self) -> None:
        lines = self.archive.lines("restore/tokens.jsonl", most=MOST_TOKENS)
        self.tokens: dict[str, set[int]] = {digest: set() for digest in self.extractions}
        while chunk := list(islice(lines, CHUNK)):
            Token.objects.bulk_create([self._token(where, told) for where, told in chunk])

    def _token(self, where: str, told: Values) -> Token:
        digest = told.pop("bundle_digest", None)
        if digest not in self.extractions:
            raise Invalid(f"{where}: the token is of no extraction of the archive.")
        check_keys(told, archive_study.TOKEN_FIELDS, where)
        check_texts(told, where)
        own = {
            name: shown(value) if isinstance(value, str) and name != "text" else value
            for name, value in told.items()
        }
        token = cleaned(Token(extraction=self.extractions[digest], **own), where)
        if token.token_id in self.tokens[digest]:
            raise Invalid(f"{where}: the token {token.token_id} is there twice.")
        self.tokens[digest].add(token.token_id)
        return token

    def _vectors(self) -> list[Vector]:
        lines = self.archive.lines("restore/vectors.jsonl", most=MOST_LISTS)
        made, seen = [], set()
        for row, (where, told) in zip(self.archive.lists, lines, strict=False):
            number, digest, _, kind, layer, index, _, _, ids = row
            if told.pop("list", None) != number or (digest, kind, layer, index) in seen:
                raise Invalid(f"{where}: the list is another one, or there twice.")
            seen.add((digest, kind, layer, index))
            check_keys(told, archive_study.VECTOR_FIELDS, where)
            vector = Vector(
                extraction=self.extractions[digest], kind=kind, layer=layer, index=index,
                token_ids=ids_of(ids), **told,
            )  # fmt: skip
            vector.context, vector.context_token = map(
                shown, (told["context"], told["context_token"])
            )
            check_sides(vector, self.tokens[digest], where)
            made.append(cleaned(vector, where, "scores", "bottom_scores"))
        if len(made) != len(self.archive.lists):
            raise Invalid("restore/vectors.jsonl has other lists than labels/lists.csv.")
        if next(lines, None) is not None:
            raise Invalid("restore/vectors.jsonl has more lists than labels/lists.csv.")
        return Vector.objects.bulk_create(made, batch_size=CHUNK)

    def _prefixes(self, vectors: Sequence[Vector]) -> None:
        """The trigger prefixes of each list."""
        lines = self.archive.lines(PREFIXES_MEMBER, most=MOST_LISTS)
        rows = []
        for row, vector, (where, told) in zip(self.archive.lists, vectors, lines, strict=False):
            check_keys(told, ("list", "prefixes"), where)
            if told["list"] != row[0] or vector.kind not in KEY_KINDS:
                raise Invalid(f"{where}: the list is another one, or that of no key.")
            rows.append(
                TriggerPrefixes(
                    extraction=vector.extraction, kind=vector.kind, layer=vector.layer,
                    index=vector.index, side=TriggerPrefixes.Side.POSITIVE,
                    prefixes=check_prefixes(told["prefixes"], row[6], where),
                )
            )  # fmt: skip
        if len(rows) != len(vectors):
            raise Invalid(f"{PREFIXES_MEMBER} has other lists than labels/lists.csv.")
        TriggerPrefixes.objects.bulk_create(rows, batch_size=CHUNK)

    def _study(self) -> Study:
        rules, told = self.archive.parameters["study"], self.archive.told["study"]
        uses = Counter(row[7] for row in self.archive.lists)
        chosen = {**archive_study.LATER_FIELDS, **rules, **told}
        plan = StudyPlan(
            title=chosen["title"],
            extractions=list(self.extractions.values()),
            kinds=tuple(chosen["kinds"]),
            categories=tuple(chosen["categories"]),
            training_lists=uses[Item.Use.TRAINING],
            reference_lists=uses[Item.Use.REFERENCE],
            pilot_lists=uses[Item.Use.PILOT],
            **{name: chosen[name] for name in STORED},
        )
        plan_check(plan)
        suffix = made_up.SUFFIX if self.archive.is_made_up else ""
        study = Study(
            slug=slug_free(str(rules["slug"]).removesuffix(suffix), suffix),
            title=plan.title.strip(),
            kinds=list(plan.kinds),
            categories=list(plan.categories),
            made_up=self.archive.is_made_up,
            consent_version=told["consent_version"],
            created_by=self.by,
            **{name: getattr(plan, name) for name in STORED},
        )
        saved(study, "parameters.json: study")
        study.extractions.set(plan.extractions)
        return study

    def _texts(self) -> None:
        guidelines = self.archive.guidelines()
        told = {one["version"]: one["created_at"] for one in self.archive.told["guidelines"]}
        consent = self.archive.told["consent"]
        if set(told) != set(guidelines) or len(consent) > MOST_VERSIONS:
            raise Invalid("restore/study.json has other versions of texts than the archive.")
        for version, text in guidelines.items():
            self._text(Guidelines, version, text, told[version])
        for one in consent:
            self._text(ConsentText, one["version"], one["text"], one["created_at"])
        if self.study.consent_version not in {0, *(one["version"] for one in consent)}:
            raise Invalid("restore/study.json: the version of the consent text is not there.")

    def _text(self, kind: type[Any], version: int, text: str, at: str) -> None:
        text_check(text)
        row = saved(kind(study=self.study, version=version, text=text), "restore/study.json")
        kind.objects.filter(pk=row.pk).update(created_at=moment(at))

    def _people(self) -> None:
        Membership.objects.create(study=self.study, user=self.by, role=Membership.Role.RESEARCHER)
        told = self.archive.told["people"]
        if len(told) > MOST_PEOPLE:
            raise Invalid(f"An archive has at most {MOST_PEOPLE:,} people.")
        for one in told:
            key = (one["annotator"], one["role"])
            if key in self.members:
                raise Invalid(f"restore/study.json: {key[0]!r:.40} is there twice.")
            member = Membership(
                study=self.study,
                user=self.people.user_of(one["annotator"]),
                role=one["role"],
                consent_version=one["consent_version"],
                **{name: moment(one[name]) for name in archive_study.PERSON_TIMES},
            )
            self.members[key] = saved(member, "restore/study.json: people")

    def _machine_runs(self) -> None:
        lists = [(item, row[6]) for item, row in zip(self.items, self.archive.lists, strict=True)]
        runs, prompts = self.archive.machine_runs, self.archive.prompts()
        runs_restore(runs, prompts, study=self.study, lists=lists, by=self.by)

    def _assignments(self) -> None:
        """Lists that people hold or held without an annotation, and those of nobody by name."""
        most = MOST_LISTS * 10
        self.left = Counter[tuple[int, str]]()
        self.nameless: list[Membership] = []
        lines = self.archive.lines("restore/assignments.jsonl", most=most)
        taken = set(
            Assignment.objects.filter(item__study=self.study).values_list(
                "membership_id", "item_id", "purpose"
            )
        )
        positions = set(
            Assignment.objects.filter(item__study=self.study).values_list(
                "membership_id", "position"
            )
        )
        while chunk := list(islice(lines, CHUNK)):
            rows, skipped = [], {}
            for where, told in chunk:
                row, at = self._assignment(where, told)
                key = (row.membership_id, row.item_id, row.purpose)
                place = (row.membership_id, row.position)
                if key in taken or place in positions:
                    raise Invalid(f"{where}: the person has this list or this position already.")
                taken.add(key)
                positions.add(place)
                rows.append(row)
                if row.state == State.SKIPPED:
                    skipped[row.public_id] = (row, at)
            Assignment.objects.bulk_create(rows)
            _skips(skipped.values())

    def _assignment(self, where: str, told: Values) -> tuple[Assignment, datetime | None]:
        number = told.get("list")
        if not isinstance(number, int) or not 0 < number <= len(self.items):
            raise Invalid(f"{where}: there is no such list.")
        item = self.items[number - 1]
        if told.get("state") == State.WITHDRAWN:
            check_keys(told, ("list", "purpose", "state"), where)
            return self._withdrawn(where, item, told["purpose"]), None
        names = (*archive_study.ASSIGNMENT_FIELDS, "annotator", "role", "list", "opened_at")
        check_keys(told, (*names, "skipped_at", "skip_reason"), where)
        member = self.members.get((told["annotator"], told["role"]))
        if member is None:
            raise Invalid(f"{where}: {told['annotator']!r:.40} is not among the people.")
        if told["state"] == State.SUBMITTED or len(told["skip_reason"]) > SKIP_REASON:
            raise Invalid(f"{where}: the list is submitted, or its reason is too long.")
        row = Assignment(
            item=item,
            membership=member,
            skip_reason=told["skip_reason"],
            opened_at=moment(told["opened_at"]),
            version=int(told["state"] == State.SKIPPED),
            **{name: told[name] for name in archive_study.ASSIGNMENT_FIELDS},
        )
        return cleaned(row, where, "draft"), moment(told["skipped_at"])

    def _withdrawn(self, where: str, item: Item, purpose: str) -> Assignment:
        """A list of somebody whose annotations were removed: a person without code or name."""
        nth = self.left[item.pk, purpose]
        self.left[item.pk, purpose] += 1
        if nth >= MOST_PEOPLE:
            raise Invalid(f"{where}: more people have left than an archive has.")
        if nth == len(self.nameless):
            self.nameless.append(
                Membership.objects.create(
                    study=self.study,
                    user=self.people.nameless(),
                    role=Membership.Role.ANNOTATOR,
                    withdrawn_at=timezone.now(),
                )
            )
        row = Assignment(
            item=item,
            membership=self.nameless[nth],
            purpose=purpose,
            position=sum(self.left.values()),
            state=State.WITHDRAWN,
            opened_at=timezone.now(),
        )
        return cleaned(row, where, "draft")

    def _finish(self) -> None:
        study, parameters = self.study, self.archive.parameters
        version = parameters["data_version"]
        if not isinstance(version, int) or not 0 <= version <= MOST:
            raise Invalid("parameters.json: data_version is not a number of this size.")
        # The figures of the archive name the version of their data.
        study.other_changes = max(0, version - data_version(study.pk))
        study.created_at = moment(self.archive.told["created_at"]) or timezone.now()
        study.state = Study.State.CLOSED
        study.save(update_fields=["other_changes", "created_at", "state"])
        if (
            parameters["study"].get("crowd") is True
        ):  # some joined by an open link, which one it was
            imported = User.objects.filter(memberships__study=study, is_active=False)
            imported.filter(role=Role.ANNOTATOR).update(is_crowd=True)
        audit.record("study_restored", target=study, actor=self.by, made_up=study.made_up)
        snapshot_request(study=study)


def _skips(skipped: Iterable[tuple[Assignment, datetime | None]]) -> None:
    rows = list(skipped)
    made = Revision.objects.bulk_create(
        Revision(
            assignment=row,
            version=row.version,
            key=row.public_id,
            snapshot={"skip_reason": row.skip_reason, "state": row.state, "imported": True},
        )
        for row, _ in rows
    )
    for revision, (_, at) in zip(made, rows, strict=True):
        if at is not None:
            revision.created_at = at
    Revision.objects.bulk_update(made, ["created_at"], batch_size=CHUNK)


def _model(told: Values) -> LanguageModel:
    """The row of a model, which may be there; its facts are then the same."""
    check_keys(told, archive_study.MODEL_FIELDS, "restore/study.json: model")
    key = {name: told[name] for name in ("name", "revision", "weights_digest")}
    found = LanguageModel.objects.filter(**key).first()
    if found is None:
        return saved(LanguageModel(**told), "restore/study.json: model")
    for name, value in told.items():
        if getattr(found, name) != value:
            raise Invalid(
                f"The archive says that {name} of the model {found} is {value!r:.40}, and this "
                f"site {getattr(found, name)!r:.40}, for the same weights."
            )
    return found
