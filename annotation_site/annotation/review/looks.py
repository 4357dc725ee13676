"""Looks at the page of a list, after which its adjudicated annotation is not blind."""

from collections.abc import Sequence
from enum import StrEnum

from django.db import transaction

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.models import Assignment, Item, ListLook, Membership, Study

Purpose = Assignment.Purpose


class Adjudicating(StrEnum):
    """Whether a person can write a list's adjudicated annotation."""

    GIVE = "give"  # nobody has submitted or begun it
    CONTINUE = "continue"  # the person has begun it
    CHANGE = "change"  # the person has submitted it
    ANOTHER = "another"  # another researcher has begun or submitted it
    NOBODY = "nobody"  # the person does not adjudicate in this study, or it is archived


STILL_BLIND = (Adjudicating.GIVE, Adjudicating.CONTINUE)
"""Those who have not submitted it, and are asked before a look."""


def adjudicating(*, item: Item, user: User) -> Adjudicating:
    """Whether the person can write the adjudicated annotation of a list, in two queries."""
    return adjudicating_of([item], user=user)[item.pk]


def adjudicating_of(items: Sequence[Item], *, user: User) -> dict[int, Adjudicating]:
    """The same of many lists, by their keys, in two queries."""
    runs = set(
        Membership.objects.filter(
            study__in={item.study_id for item in items},
            user=user,
            role=Membership.Role.RESEARCHER,
            withdrawn_at=None,
        ).values_list("study", flat=True)
    )
    may = [
        item.pk
        for item in items
        if item.study_id in runs and user.is_researcher
        if item.study.state != Study.State.ARCHIVED
    ]
    finals = Assignment.objects.filter(item__in=may, purpose=Purpose.ADJUDICATION)
    by_item = {final.item_id: final for final in finals.select_related("membership__user")}
    given = {pk: _given(by_item.get(pk), user) for pk in may}
    return {item.pk: given.get(item.pk, Adjudicating.NOBODY) for item in items}


def _given(final: Assignment | None, user: User) -> Adjudicating:
    """The choice of a person who adjudicates, by the adjudicated annotation that there is."""
    if final is None:
        return Adjudicating.GIVE
    if final.membership.user_id == user.pk:
        return Adjudicating.CHANGE if final.version else Adjudicating.CONTINUE
    owner = final.membership.user
    is_gone = not (owner.is_active and owner.is_researcher)
    begun = final.version or (final.draft is not None and not is_gone)
    return Adjudicating.ANOTHER if begun else Adjudicating.GIVE


def has_looked(*, item: Item, user: User) -> bool:
    """Whether the person has looked at the list's page."""
    return ListLook.objects.filter(item=item, user=user).exists()


def look_is_asked(*, item: Item, user: User) -> bool:
    """Whether the person is asked before a look: they can still adjudicate the list blind."""
    looked = has_looked(item=item, user=user)
    return not looked and adjudicating(item=item, user=user) in STILL_BLIND


@transaction.atomic
def look_record(*, item: Item, by: User) -> None:
    """Record a person's first look at a list; another one is a no-op.

    An adjudicated annotation that they submit from then on is marked as not blind; an earlier one
    stays as it is until they change it.
    """
    _, is_first = ListLook.objects.get_or_create(item=item, user=by)
    if is_first:
        audit.record("list_looked_at", target=item.study, actor=by, list=item.pk)
