"""Changes to an existing study: its rules, its number of lists, a copy of it."""

import hashlib
from dataclasses import replace

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import (
    slots_held,
    slots_share,
    study_locked,
    tables_touch,
)
from annotation_site.annotation.allocation.watchers import study_tell
from annotation_site.annotation.lists.entries import with_list
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.people import members
from annotation_site.annotation.review.adjudicated_annotations import references_missing
from annotation_site.annotation.review.training import study_scores_renew
from annotation_site.annotation.studies.of_sets import of_set
from annotation_site.annotation.studies.plans import (
    StudyPlan,
    is_frozen,
    number_check,
    plan_check,
    plan_of,
)
from annotation_site.annotation.studies.services import lists_draw, rules_store, study_make
from annotation_site.corpus.models import Vector
from annotation_site.errors import Invalid

# These change no answer and no list.
ALWAYS = {"title", "lease_hours", "idle_days"}
# Texts and people have services of their own.
ELSEWHERE = {"guidelines", "consent", "annotators"}
ANNOTATED_BY = {"categories", "several_patterns_per_token", "list_source"}
DRAWN_BY = {
    "extractions", "list_source", "full_lists_only", "drawn_from", "kinds", "lists_per_layer",
    "seed", "annotators_per_list", "training_lists", "reference_lists", "pilot_lists",
}  # fmt: skip

AGREED_TO = {
    "may_publish": gettext_noop(
        "People have read whether results and lists may be published, and agreed. Duplicate the "
        "study to change it."
    ),
    "may_share": gettext_noop(
        "People have read whether single annotations may be shared, and agreed. Duplicate the "
        "study to change it."
    ),
}
"""Rules that people read beside the consent text, and why they are fixed once somebody agreed."""


@transaction.atomic
def study_change(*, study: Study, plan: StudyPlan, base: str | None = None) -> list[str]:
    """Change a study's rules; returns the names of the changed ones.

    Its texts and people stay as they are. Lists that nobody has begun are drawn anew where the
    rules ask for others, and given out again. `base` is the `rules_base` of the rules that the
    plan was written from, where it names them all. Raises Invalid once an answer that counts is in,
    except for the title and the lease; for rules that cannot work; where lists that somebody has
    begun would have to go; and where the rules are not those of the base any more.
    """
    plan_check(plan)
    study = study_locked(study.pk)
    # An answer that is being submitted just now comes first, and then fixes the rules.
    own = Assignment.objects.filter(item__study=study).order_by(*Assignment.LOCK_ORDER)
    list(own.select_for_update().values_list("pk"))
    now, frozen = plan_of(study), is_frozen(study)
    changed = _differences(now, plan)
    if not changed:
        return []
    if base not in (None, rules_base(now, frozen=frozen)):
        raise Invalid(
            _(
                "Nothing is saved: the rules changed after you opened this page. Your choices are "
                "still here. Open the page in another tab, and make them again there."
            )
        )
    if set(changed) - ALWAYS and frozen:
        raise Invalid(
            _(
                "Annotations are in, so the rules are fixed. Duplicate the study to change them; "
                "you can still add lists per layer here."
            )
        )
    if "on_withdrawal" in changed and study.memberships.exclude(consented_at=None).exists():
        raise Invalid(
            _(
                "People have agreed to what happens to their annotations when they withdraw. "
                "Duplicate the study to change it."
            )
        )
    for name, said in AGREED_TO.items():
        if name in changed and study.memberships.exclude(consented_at=None).exists():
            raise Invalid(_(said))
    if "list_source" in changed and _begun(study).exists():
        raise Invalid(
            _(
                "People have begun lists, so what lists show is fixed. Duplicate the study to "
                "change it."
            )
        )
    rules_store(study, plan)
    if ANNOTATED_BY & set(changed):
        # What is on its way, or written on a page that is open, was given under other rules.
        own.update(draft_version=F("draft_version") + 1)
    if DRAWN_BY & set(changed):
        _draw_anew(study, plan)
    if "min_tokens" in changed:
        study_scores_renew(study=study)
    if set(changed) - ALWAYS:
        tables_touch(study)
    audit.record("study_changed", target=study, changed=changed)
    study_tell(study)
    return changed


def rules_base(plan: StudyPlan, *, frozen: bool) -> str:
    """A digest of the changeable rules: it changes whenever one of them does."""
    names = sorted(ALWAYS) if frozen else _names(plan)
    said = repr([(name, _comparable(plan, name)) for name in names])
    return hashlib.sha256(said.encode()).hexdigest()


def _differences(before: StudyPlan, after: StudyPlan) -> list[str]:
    return [
        name for name in _names(before) if _comparable(before, name) != _comparable(after, name)
    ]


def _names(plan: StudyPlan) -> list[str]:
    return [name for name in plan.__dataclass_fields__ if name not in ELSEWHERE]


def _comparable(plan: StudyPlan, name: str) -> object:
    value = getattr(plan, name)
    if name == "title":
        return value.strip()
    if name == "extractions":
        return sorted({extraction.pk for extraction in value})
    if name in ("kinds", "categories"):
        return sorted(set(value))
    return value


def _draw_anew(study: Study, plan: StudyPlan) -> None:
    begun = _begun(study)
    kept = dict(begun.values_list("vector_id", "use"))
    study.items.exclude(pk__in=begun.values("pk")).delete()
    Assignment.objects.filter(
        item__study=study, state=Assignment.State.WAITING, opened_at=None
    ).exclude(purpose=Assignment.Purpose.ADJUDICATION).delete()
    for use, wanted in plan.others.items():
        count = list(kept.values()).count(use)
        if count > wanted:
            raise Invalid(
                _(
                    "Lists for %(use)s: %(n)s have been begun, so there can be no fewer. Duplicate "
                    "the study to start again."
                )
                % {"use": Item.Use(use).label, "n": count}
            )
    # What is begun must be what the new rules would have drawn.
    study_lists = study.items.filter(use=Item.Use.STUDY)
    drawn_from = of_set(
        Vector.objects.filter(extraction__in=study.extractions.all(), kind__in=study.kinds),
        study.drawn_from,
    )
    within = study_lists.filter(
        vector__in=with_list(drawn_from, study.list_source, full_only=study.full_lists_only)
    )
    crowded = (
        study_lists.order_by()
        .values("vector__extraction", "vector__kind", "vector__layer")
        .annotate(n=Count("pk"))
        .filter(n__gt=study.lists_per_layer)
    )
    held = slots_held(study_lists).values("item").annotate(n=Count("pk"))
    too_many = held.filter(n__gt=study.annotators_per_list)
    if within.count() != study_lists.count() or crowded.exists() or too_many.exists():
        raise Invalid(
            _(
                "People have begun lists that these rules would remove. Keep models, kinds and "
                "numbers as they are, or duplicate the study."
            )
        )
    lists_draw(study=study, others=plan.others)
    if study.state != Study.State.DRAFT and references_missing(study):
        raise Invalid(
            _(
                "New training and reference lists need reference annotations before anybody sees "
                "them, so only a draft can get some. Duplicate the study."
            )
        )
    slots_share(study=study)


def _begun(study: Study) -> QuerySet[Item]:
    """Lists that a person has opened, or for which an adjudicated annotation has content."""
    written = Q(assignments__version__gt=0) | Q(assignments__draft__isnull=False)
    opened = Q(assignments__opened_at__isnull=False) & ~Q(
        assignments__purpose=Assignment.Purpose.ADJUDICATION
    )
    return study.items.filter(written | opened).distinct()


@transaction.atomic
def study_extend(*, study: Study, lists_per_layer: int) -> int:
    """Add lists of each kind and layer to a study; returns their number.

    They are those that the study would have had from the start with this number, as far as they
    are not used for training, reference or a pilot. Nothing that exists is touched, so it works
    after the rules are fixed, too. Raises Invalid for a number that adds none.
    """
    study = study_locked(study.pk)
    if study.state == Study.State.ARCHIVED:
        raise Invalid(_("This study is archived. Take it out of the archive first."))
    number_check("lists_per_layer", lists_per_layer)
    if lists_per_layer <= study.lists_per_layer:
        raise Invalid(
            _("The study has up to %(n)s lists per layer already. Choose a larger number.")
            % {"n": study.lists_per_layer}
        )
    before = study.lists_per_layer
    study.lists_per_layer = lists_per_layer
    study.save(update_fields=["lists_per_layer"])
    added = lists_draw(study=study, others={})
    if not added:
        raise Invalid(_("The study has every list of its kinds already. Nothing was added."))
    slots_share(study=study)
    tables_touch(study)
    audit.record("study_extended", target=study, before=before, after=lists_per_layer)
    study_tell(study)
    return len(added)


@transaction.atomic
def study_duplicate(*, study: Study, title: str, by: User) -> Study:
    """Copy a study: a new draft with the same rules, texts and people, for `by` and its other
    researchers.

    Left out are people who have left, and who could not judge blind now. Its orders are its own.
    Raises Invalid for a title that is missing or too long.
    """
    plan = plan_of(study)
    runs = study.memberships.filter(role=Membership.Role.RESEARCHER, user__is_active=True)
    researchers = [row.user for row in runs.select_related("user").order_by("pk")]
    blind = [
        user
        for user in plan.annotators
        if plan.team_may_annotate
        or not (user == by or members.is_unblinded(study=study, user=user))
    ]
    copy = study_make(plan=replace(plan, title=title, annotators=blind), by=by, copy_of=study)
    Membership.objects.bulk_create(
        Membership(study=copy, user=user, role=Membership.Role.RESEARCHER)
        for user in researchers
        if user != by and user.is_researcher
    )
    return copy
