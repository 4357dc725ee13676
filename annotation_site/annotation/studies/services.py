"""Services of studies: create, draw lists, change state."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping

from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.accounts import audit
from annotation_site.accounts.bounds import require_room
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import (
    annotators_arrive,
    annotators_of,
    slots_share,
    study_locked,
)
from annotation_site.annotation.allocation.watchers import study_tell
from annotation_site.annotation.lists.entries import with_list
from annotation_site.annotation.lists.markdown import text_check
from annotation_site.annotation.models import (
    Assignment,
    ConsentText,
    Guidelines,
    Item,
    Membership,
    Study,
)
from annotation_site.annotation.review.adjudicated_annotations import (
    WITH_REFERENCE,
    references_require,
)
from annotation_site.annotation.studies import sampling as drawing
from annotation_site.annotation.studies.of_sets import of_set, set_shown
from annotation_site.annotation.studies.plans import (
    STORED,
    StudyPlan,
    plan_check,
    plan_check_people,
)
from annotation_site.annotation.studies.sampling import Candidate
from annotation_site.corpus.models import Extraction, Vector
from annotation_site.corpus.services import extraction_lock_ready
from annotation_site.errors import Invalid

State = Study.State
MOST_STUDIES_A_DAY = 100  # by one person
# What a study in each state can become.
TRANSITIONS = {
    State.DRAFT: (State.PILOT, State.OPEN, State.ARCHIVED),
    State.PILOT: (State.DRAFT, State.OPEN),
    State.OPEN: (State.PAUSED, State.CLOSED),
    State.PAUSED: (State.OPEN, State.CLOSED),
    State.CLOSED: (State.OPEN, State.ARCHIVED),
    State.ARCHIVED: (State.CLOSED,),
    State.DELETING: (),
}


@transaction.atomic
def study_create(*, plan: StudyPlan, created_by: User) -> Study:
    """Create a study with its lists, rules and people, as a draft.

    People can be added later. Raises Invalid where the plan cannot work: k above the number of
    people that are chosen, rules that contradict each other, no such lists.
    """
    plan_check_people(plan, created_by)
    return study_make(plan=plan, by=created_by)


@transaction.atomic
def study_create_open(*, plan: StudyPlan, created_by: User) -> Study:
    """Create a study and open it, or do neither. Raises Invalid as the two do."""
    study = study_create(plan=plan, created_by=created_by)
    study_open(study=study)
    study.refresh_from_db()
    return study


def study_make(*, plan: StudyPlan, by: User, copy_of: Study | None = None) -> Study:
    """`study_create` within a transaction, for any number of people."""
    plan_check(plan)
    set_shown(plan.drawn_from, by)
    require_room(
        Study.objects.filter(created_by=by),
        most=MOST_STUDIES_A_DAY,
        sentence=_(
            "You made %(most)s studies today, which is the limit for one day. Continue tomorrow "
            "(UTC)."
        )
        % {"most": MOST_STUDIES_A_DAY},
    )
    study = Study(slug=slug_free(plan.title), created_by=by)
    rules_store(study, plan)
    if copy_of is None:  # a text from before there was a bound can be copied
        text_check(plan.guidelines)
        text_check(plan.consent)
    text = plan.guidelines.strip() or plan.protocol.guidelines.format(min_tokens=plan.min_tokens)
    Guidelines.objects.create(study=study, version=1, text=text)
    if plan.consent.strip():
        ConsentText.objects.create(study=study, version=1, text=plan.consent.strip())
        study.consent_version = 1
        study.save(update_fields=["consent_version"])
    lists_draw(study=study, others=plan.others)
    Membership.objects.create(study=study, user=by, role=Membership.Role.RESEARCHER)
    Membership.objects.bulk_create(
        Membership(study=study, user=user, role=Membership.Role.ANNOTATOR)
        for user in plan.annotators
    )
    details = {"copy_of": copy_of.slug} if copy_of else {}
    audit.record("study_created", target=study, actor=by, **details)
    study_tell(study)
    return study


def rules_store(study: Study, plan: StudyPlan) -> None:
    """Write a plan's rules into a study and save it; its lists are drawn by `lists_draw`.

    Raises Invalid for an extraction that has no lists, or is gone by now.
    """
    for extraction in plan.extractions:
        if extraction_lock_ready(extraction.pk) is None:
            raise Invalid(
                _("“%(model)s” has no lists, or is being deleted. Choose another model.")
                % {"model": extraction}
            )
    study.title = plan.title.strip()
    study.kinds = list(plan.kinds)
    study.categories = list(plan.categories)
    for name in STORED:
        setattr(study, name, getattr(plan, name))
    study.save()
    study.extractions.set(plan.extractions)


def lists_draw(*, study: Study, others: Mapping[str, int]) -> list[int]:
    """Draw the lists that a study's rules need beyond its own; returns the new items.

    The caller holds the study's lock. Raises Invalid, naming what is missing, where there are too
    few lists.
    """
    kept = dict(study.items.values_list("vector_id", "use"))
    vectors = with_list(
        of_set(
            Vector.objects.filter(extraction__in=study.extractions.all(), kind__in=study.kinds),
            study.drawn_from,
        ),
        study.list_source,
        full_only=study.full_lists_only,
    ).values_list("pk", "extraction_id", "kind", "layer")
    candidates = [Candidate(*row) for row in vectors.iterator(chunk_size=10_000)]
    drawn = drawing.draw(
        candidates=candidates,
        per_stratum=study.lists_per_layer,
        others=others,
        seed=study.seed,
        kept=kept,
    )
    uses = Counter(drawn.values())
    lists_check(
        extractions=study.extractions.all(),
        holding={candidate.extraction for candidate in candidates},
        candidates=len(candidates),
        enough=bool(uses[Item.Use.STUDY]) and all(uses[use] >= n for use, n in others.items()),
    )
    items = Item.objects.bulk_create(
        Item(study=study, vector_id=vector, use=use)
        for vector, use in drawn.items()
        if vector not in kept
    )
    return [item.pk for item in items]


def lists_check(
    *, extractions: Iterable[Extraction], holding: Container[int], candidates: int, enough: bool
) -> None:
    """Raises Invalid if an extraction is not among those `holding` lists, or if there are too few
    `candidates`.
    """
    for extraction in extractions:
        if extraction.pk not in holding:
            raise Invalid(
                _("“%(model)s” has no lists of the chosen kinds. Choose other kinds.")
                % {"model": extraction}
            )
    if not enough:
        raise Invalid(
            ngettext(
                "There is only %(n)s list of the chosen kinds, too few for the study and its "
                "training, reference and pilot lists. Choose fewer of those, or more kinds or "
                "models.",
                "There are only %(n)s lists of the chosen kinds, too few for the study and its "
                "training, reference and pilot lists. Choose fewer of those, or more kinds or "
                "models.",
                candidates,
            )
            % {"n": candidates}
        )


def slug_free(title: str, suffix: str = "") -> str:
    """A short name for a title that no study has, with a suffix."""
    base = slugify(title)[: 70 - len(suffix)]
    base = base or "study"  # a title in another script leaves nothing
    taken = {"new", *Study.objects.filter(slug__startswith=base).values_list("slug", flat=True)}
    return next(
        slug
        for n in range(1, len(taken) + 2)
        if (slug := f"{base}{suffix}" if n == 1 else f"{base}-{n}{suffix}") not in taken
    )


@transaction.atomic
def study_open(*, study: Study) -> None:
    """Open a study for annotators, as `study_state_change`; opening twice is a no-op."""
    if study_locked(study.pk).state != State.OPEN:
        study_state_change(study=study, state=State.OPEN)


@transaction.atomic
def study_state_change(*, study: Study, state: str) -> None:
    """Move a study along TRANSITIONS; people who can get lists then have theirs.

    The end of a pilot ends what is unfinished in it; what was submitted stays, as the pilot's.
    Raises Invalid for a change that makes no sense, and for a start without enough people, without
    lists for a pilot, or without a reference answer that people's answers are compared with.
    """
    study = study_locked(study.pk)
    before = State(study.state)
    if state not in TRANSITIONS[before]:
        raise Invalid(
            _("The state of this study cannot change from “%(before)s” to “%(after)s”.")
            % {
                "before": before.label,
                "after": State(state).label if state in State.values else state,
            }
        )
    if before in (State.DRAFT, State.PILOT):
        _check_start(study, state)
    study.state = state
    study.save(update_fields=["state"])
    if before == State.PILOT:
        _pilot_end(study)
    if study.state in Study.AT_WORK:
        annotators_arrive(annotators_of(study))
    slots_share(study=study)
    audit.record("study_state_changed", target=study, state=state)
    study_tell(study)


def _check_start(study: Study, state: str) -> None:
    people = annotators_of(study).count()
    if state == State.PILOT and not study.items.filter(use=Item.Use.PILOT).exists():
        raise Invalid(_("This study has no pilot lists. Add some in its rules, then start."))
    if state == State.PILOT and not people:
        raise Invalid(_("This study has no annotators. Add some, then start the pilot."))
    if state == State.OPEN and people < study.annotators_per_list:
        raise Invalid(
            _(
                "Annotators per list: %(needed)s. Annotators in the study: %(people)s. Add "
                "annotators, or choose fewer per list."
            )
            % {"needed": study.annotators_per_list, "people": people}
        )
    shown = WITH_REFERENCE if state == State.OPEN else (Item.Use.TRAINING,)
    if state in Study.AT_WORK:
        references_require(study=study, uses=shown)


def _pilot_end(study: Study) -> None:
    Assignment.objects.filter(
        item__study=study,
        purpose=Assignment.Purpose.PILOT,
        state__in=Assignment.UNFINISHED,
    ).update(state=Assignment.State.EXPIRED)
