"""What changes studies: creating and opening them, and their states."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.text import slugify

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation import ListToJudge, draw_per_stratum
from annotation_site.annotation.models import ConsentText, Guidelines, Item, Membership, Study
from annotation_site.annotation.places import places_fill, study_locked
from annotation_site.corpus.models import Extraction, Kind, Vector
from annotation_site.corpus.services import extraction_lock_ready
from annotation_site.errors import Invalid

DEFAULT_CATEGORIES = ("semantic", "syntactic", "names")
DEFAULT_GUIDELINES = """\
Read the 30 tokens and look for **patterns**: several tokens that belong together.

- A *semantic* pattern shares a meaning: animals, measurement units, time words.
- A *syntactic* pattern shares a form: plurals, past-tense verbs, words that start with “dis-”.
- *Names* are names of people, places or organisations, where your study asks for them.

Give every token of a pattern the same number, describe the pattern in a few words, and choose
its category. A pattern counts from {min_tokens} tokens on. Most lists have one or two patterns;
if there is none, say so: that is a full answer. You may look words up on the web.

Set the **stopwords** flag where a pattern is only function words (the, of, and) or punctuation.
The page proposes it; you decide.
"""


@dataclass(frozen=True)
class StudyPlan:
    """What a researcher chooses when creating a study."""

    title: str
    extraction: Extraction
    annotators: Sequence[User]
    kinds: Sequence[str] = tuple(Kind.values)
    lists_per_layer: int = 10
    annotators_per_list: int = 2
    categories: Sequence[str] = DEFAULT_CATEGORIES
    min_tokens: int = 4
    several_patterns_per_token: bool = False
    show_glosses: bool = True
    highlight_spellings: bool = False
    seed: int = 0
    guidelines: str = ""
    consent: str = ""
    on_withdrawal: str = Study.OnWithdrawal.KEEP


@transaction.atomic
def study_create(*, plan: StudyPlan, created_by: User) -> Study:
    """Create a study with its lists, rules and people, as a draft.

    Raises Invalid where the plan cannot work: no people, k above their number, no such lists.
    """
    _check(plan, created_by)
    study = Study(
        slug=_free_slug(plan.title),
        title=plan.title.strip(),
        categories=list(plan.categories),
        min_tokens=plan.min_tokens,
        several_patterns_per_token=plan.several_patterns_per_token,
        annotators_per_list=plan.annotators_per_list,
        kinds=list(plan.kinds),
        lists_per_layer=plan.lists_per_layer,
        show_glosses=plan.show_glosses,
        highlight_spellings=plan.highlight_spellings,
        seed=plan.seed,
        consent_version=1 if plan.consent.strip() else 0,
        on_withdrawal=plan.on_withdrawal,
        created_by=created_by,
    )
    study.full_clean()
    study.save()
    study.extractions.add(plan.extraction)
    text = plan.guidelines.strip() or DEFAULT_GUIDELINES.format(min_tokens=plan.min_tokens)
    Guidelines.objects.create(study=study, version=1, text=text)
    if study.consent_version:
        ConsentText.objects.create(study=study, version=1, text=plan.consent.strip())
    candidates = Vector.objects.filter(extraction=plan.extraction, kind__in=plan.kinds)
    drawn = draw_per_stratum(
        [ListToJudge(*row) for row in candidates.values_list("pk", "kind", "layer")],
        plan.lists_per_layer,
        plan.seed,
    )
    if not drawn:
        raise Invalid(
            f"“{plan.extraction}” holds no lists of the chosen kinds. Choose other kinds."
        )
    Item.objects.bulk_create(Item(study=study, vector_id=v.id) for v in drawn)
    Membership.objects.create(study=study, user=created_by, role=Membership.Role.RESEARCHER)
    Membership.objects.bulk_create(
        Membership(study=study, user=user, role=Membership.Role.ANNOTATOR)
        for user in plan.annotators
    )
    audit.record("study_created", target=study, actor=created_by)
    return study


def _check(plan: StudyPlan, created_by: User) -> None:
    if not plan.title.strip():
        raise Invalid("Give the study a title.")
    if not plan.annotators:
        raise Invalid("Choose at least one annotator.")
    unblinded = [user for user in plan.annotators if user.is_admin or user == created_by]
    if unblinded:
        raise Invalid(
            f"{', '.join(map(str, unblinded))} can see where lists come from, and so cannot judge "
            "them blind. Choose other people."
        )
    if plan.annotators_per_list > len(plan.annotators):
        raise Invalid(
            f"Every list is to be judged by {plan.annotators_per_list} people, but only "
            f"{len(plan.annotators)} are chosen. Add people, or ask for fewer per list."
        )
    if plan.annotators_per_list < 1 or plan.lists_per_layer < 1 or plan.min_tokens < 1:
        raise Invalid("Lists per layer, people per list and minimum tokens start at 1.")
    if not plan.categories or len(set(plan.categories)) != len(plan.categories):
        raise Invalid("Give at least one category, and each only once.")
    if not set(plan.categories) <= set(DEFAULT_CATEGORIES):
        raise Invalid(f"Categories are {', '.join(DEFAULT_CATEGORIES)}.")
    if extraction_lock_ready(plan.extraction.pk) is None:
        raise Invalid("This extraction has no lists of its own. Choose one that is ready.")


def _free_slug(title: str) -> str:
    base = slugify(title)[:70] or "study"  # a title in another script leaves nothing
    taken = {"new", *Study.objects.filter(slug__startswith=base).values_list("slug", flat=True)}
    return next(
        slug
        for n in range(1, len(taken) + 2)
        if (slug := base if n == 1 else f"{base}-{n}") not in taken
    )


@transaction.atomic
def study_open(*, study: Study) -> None:
    """Let people judge: gives out every list and opens the study.

    Raises Invalid for a study that is closed, or whose k exceeds its people.
    """
    study = study_locked(study.pk)
    if study.state not in (Study.State.DRAFT, Study.State.PAUSED, Study.State.OPEN):
        raise Invalid(f"A study that is {study.get_state_display()} cannot be opened.")
    places_fill(study=study)
    study.state = Study.State.OPEN
    study.save(update_fields=["state"])
    audit.record("study_state_changed", target=study, state=study.state)


@transaction.atomic
def study_state_change(*, study: Study, state: str) -> None:
    """Pause, close or re-open. Raises Invalid for a change that makes no sense."""
    allowed = {
        Study.State.OPEN: (Study.State.PAUSED, Study.State.CLOSED),
        Study.State.PAUSED: (Study.State.OPEN, Study.State.CLOSED),
        Study.State.CLOSED: (Study.State.OPEN,),
        Study.State.DRAFT: (Study.State.OPEN,),
    }
    study = study_locked(study.pk)
    if state not in allowed.get(Study.State(study.state), ()):
        raise Invalid(f"A study that is {study.state} cannot become {state}.")
    if state == Study.State.OPEN:
        places_fill(study=study)
    study.state = state
    study.save(update_fields=["state"])
    audit.record("study_state_changed", target=study, state=state)
