"""Open links of a study: make, change, close, re-open, delete; and whether one can be used."""

import re
import secrets
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.annotation.allocation.slots import study_locked
from annotation_site.annotation.crowd.checks import (
    questions_from_json,
    questions_parse,
    questions_to_json,
    questions_written,
)
from annotation_site.annotation.crowd.models import OpenLink
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.people.members import lists_release
from annotation_site.errors import Invalid, NotFound

MOST_LINKS = 20  # of one study
MOST_PEOPLE = 5_000
MOST_LISTS = 1_000
MOST_IDLE_HOURS = 24 * 7
MOST_DAYS = 366
ACCOUNTS_PER_PLACE = 3  # people who leave make room for others, and so many times at most
PROLIFIC = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")  # the first names the participant
CODE = re.compile(r"[A-Za-z0-9_-]{4,64}")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that look alike
UNKNOWN = gettext_lazy(
    "There is no such link. Check the address, or ask the person who gave it to you for a new one."
)


@dataclass(frozen=True)
class LinkSettings:
    """Settings of an open link; `questions` are written as `crowd.checks` says."""

    name: str
    ends_at: datetime
    most_people: int
    most_lists: int
    preset: str = OpenLink.Preset.PLAIN
    parameter: str = ""
    completion: str = OpenLink.Completion.CODE
    completion_code: str = ""
    redirect_url: str = ""
    questions: str = ""
    attempts: int = 2
    idle_hours: int = 24
    keep_days: int = 90


def settings_of(link: OpenLink) -> LinkSettings:
    """A link's settings as they are."""
    names = (one.name for one in fields(LinkSettings) if one.name != "questions")
    written = questions_written(questions_from_json(link.questions))
    return LinkSettings(questions=written, **{name: getattr(link, name) for name in names})


FIXED = ("preset", "parameter", "questions", "attempts")  # once somebody has joined


@transaction.atomic
def open_link_create(*, study: Study, settings: LinkSettings, by: User) -> OpenLink:
    """Make an open link of an open study.

    Raises Invalid for a setting that makes no sense, for a study that is not open, and beyond
    MOST_LINKS of the study.
    """
    study = study_locked(study.pk)
    if study.state != Study.State.OPEN:
        raise Invalid(_("People can join an open study only. Open it, then make the link."))
    if study.open_links.count() >= MOST_LINKS:
        raise Invalid(
            _("This study has %(most)s open links, which is the limit. Delete one that has ended.")
            % {"most": MOST_LINKS}
        )
    link = OpenLink(study=study, token=secrets.token_urlsafe(16), created_by=by)
    _settings_take(link, settings)
    link.save()
    audit.record("open_link_made", target=link, actor=by, study=study.slug)
    return link


@transaction.atomic
def open_link_change(*, link: OpenLink, settings: LinkSettings, by: User) -> OpenLink:
    """Change a link's settings.

    Raises Invalid as `open_link_create` does, and for the platform or the check of a link by which
    somebody has joined: people of one link pass the same check.
    """
    study_locked(link.study_id)
    link = OpenLink.objects.select_for_update().get(pk=link.pk)
    before = {name: getattr(link, name) for name in FIXED}
    _settings_take(link, settings)
    changed = any(getattr(link, name) != value for name, value in before.items())
    if changed and link.participants.exists():
        raise Invalid(
            _(
                "People have joined by this link, so its platform and its check stay as they are. "
                "Close it and make another link."
            )
        )
    link.save()
    audit.record("open_link_changed", target=link, actor=by)
    return link


@transaction.atomic
def open_link_close(*, link: OpenLink, by: User) -> None:
    """Let nobody else join; people who have joined can finish. Closing twice is a no-op."""
    if OpenLink.objects.filter(pk=link.pk, closed_at=None).update(closed_at=timezone.now()):
        audit.record("open_link_closed", target=link, actor=by)


@transaction.atomic
def open_link_reopen(*, link: OpenLink, by: User) -> None:
    """Let people join again. Raises Invalid for a link whose time is over."""
    if link.ends_at <= timezone.now():
        raise Invalid(_("The link’s time is over. Choose a later end first, then re-open it."))
    closed = OpenLink.objects.filter(pk=link.pk, closed_at__isnull=False)
    if closed.update(closed_at=None):
        audit.record("open_link_reopened", target=link, actor=by)


def open_link_find(token: str) -> OpenLink:
    """The link of a token. Raises NotFound for an unknown one, and where the study is gone."""
    found = OpenLink.objects.select_related("study").filter(token=token[:43]).first()
    if found is None or found.study.state in (
        Study.State.DRAFT, Study.State.ARCHIVED, Study.State.DELETING
    ):  # fmt: skip
        raise NotFound(str(UNKNOWN))
    return found


def why_shut(link: OpenLink, *, joins: bool = True) -> str:
    """The sentence why nobody can join by the link now; empty if somebody can.

    Without `joins`, of somebody who has a place already.
    """
    if link.study.state == Study.State.CLOSED:
        return _("This study has ended, so nobody can take part now. Thank you for your interest.")
    if link.study.state != Study.State.OPEN:
        return _("This study is not open at the moment. Try again later.")
    if not joins:
        return ""
    if link.closed_at is not None or link.ends_at <= timezone.now():
        return _("This link has ended, so nobody can join by it now. Thank you for your interest.")
    most_accounts = ACCOUNTS_PER_PLACE * link.most_people
    if (
        link.participants.in_place().count() >= link.most_people
        or link.participants.count() >= most_accounts
    ):
        return _("This study has all the people that it needs. Thank you for your interest.")
    if not has_work(link.study):
        return _(
            "Other people have all lists of this study at the moment. Try again later; a list may "
            "become free."
        )
    return ""


def has_work(study: Study) -> bool:
    """Whether the study has a slot that nobody has opened, or whose lease is over."""
    slots = study.items.filter(use=Item.Use.STUDY).count() * study.annotators_per_list
    leased = Q(
        state=Assignment.State.IN_PROGRESS,
        opened_at__gte=timezone.now() - timedelta(hours=study.lease_hours),
    )
    taken = Assignment.objects.filter(
        leased | Q(state=Assignment.State.SUBMITTED),
        item__study=study,
        item__use=Item.Use.STUDY,
        purpose=Assignment.Purpose.ANNOTATION,
        surplus=False,
    )
    return taken.count() < slots


def redirect_check(url: str) -> None:
    """Raises Invalid unless the address can be offered to people: https, a host, nothing hidden."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme == "https"
            and bool(parts.hostname)
            and parts.username is None
            and parts.port in (None, 443)
        )
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or set(url) & set(" \\\"'<>"):
        raise Invalid(
            _(
                "The address of the way back has to begin with https:// and name a host, without "
                "spaces, quotes, user name or port. Copy it from the platform."
            )
        )


def _settings_take(link: OpenLink, settings: LinkSettings) -> None:
    """Write checked settings to a link. Raises Invalid."""
    values = asdict(settings) | {"name": settings.name.strip()}
    if not values["name"] or len(values["name"]) > 100:
        raise Invalid(_("Give the link a name of 1 to 100 characters, for your own list."))
    for number, least, most in (
        ("most_people", 1, MOST_PEOPLE), ("most_lists", 1, MOST_LISTS), ("attempts", 1, 2),
        ("idle_hours", 1, MOST_IDLE_HOURS), ("keep_days", 1, MOST_DAYS),
    ):  # fmt: skip
        if not least <= values[number] <= most:
            raise Invalid(
                _("“%(name)s” has to be from %(least)s to %(most)s. Choose another number.")
                % {"name": number, "least": least, "most": f"{most:,}"}
            )
    now = timezone.now()
    if settings.ends_at != link.ends_at and not (
        now < settings.ends_at <= now + timedelta(days=MOST_DAYS)
    ):
        raise Invalid(
            _("A link ends within %(most)s days from now. Choose another day.")
            % {"most": MOST_DAYS}
        )
    values["parameter"] = _parameter(settings)
    if settings.completion == OpenLink.Completion.REDIRECT:
        redirect_check(settings.redirect_url)
        values["completion_code"] = ""
    elif settings.completion == OpenLink.Completion.CODE:
        values["redirect_url"] = ""
        values["completion_code"] = settings.completion_code.strip() or (
            link.completion_code or code_make()
        )
        if not CODE.fullmatch(values["completion_code"]):
            raise Invalid(
                _("A completion code has 4 to 64 letters A to Z, digits, “-” and “_”. Change it.")
            )
    else:
        raise Invalid(_("Choose a completion code or a link back to the platform."))
    values["questions"] = questions_to_json(questions_parse(settings.questions))
    for name, value in values.items():
        setattr(link, name, value)


def _parameter(settings: LinkSettings) -> str:
    if settings.preset == OpenLink.Preset.PROLIFIC:
        return PROLIFIC[0]
    if settings.preset == OpenLink.Preset.PLAIN:
        return ""
    if settings.preset != OpenLink.Preset.OTHER or not PARAMETER.fullmatch(settings.parameter):
        raise Invalid(
            _(
                "Name the parameter of the address that holds the participant id: a letter, then "
                "letters, digits and “_”, 40 at most. The platform’s help names it."
            )
        )
    return settings.parameter


def code_make() -> str:
    """A new completion code."""
    return "".join(secrets.choice(LETTERS) for _n in range(8))


def links_listed(study: Study) -> list[Any]:
    """A study's links, the newest first, each with its number of participants and `shut`."""
    found: list[Any] = list(
        study.open_links.annotate(
            people=Count("participants"),
            complete=Count("participants", filter=Q(participants__completed_at__isnull=False)),
        )
    )
    for link in found:
        link.study = study
        link.shut = why_shut(link)
    return found


def address_with_parameters(link: OpenLink, address: str) -> str:
    """The address to give to a platform, with the places that it fills in."""
    if link.preset == OpenLink.Preset.PROLIFIC:
        return address + "?" + "&".join(f"{name}={{{{%{name}%}}}}" for name in PROLIFIC)
    return f"{address}?{link.parameter}=…" if link.parameter else address


@transaction.atomic
def open_link_delete(*, link: OpenLink, by: User) -> None:
    """Delete a closed link: its payment rows with the participants' ids, and its address.

    What people submitted stays under their pseudonyms; those who are at work get no more lists.
    Raises Invalid for a link that is not closed.
    """
    study = study_locked(link.study_id)
    link = OpenLink.objects.select_for_update().get(pk=link.pk)
    if link.closed_at is None:
        raise Invalid(_("People can still join by this link. Close it, then delete it."))
    members = Membership.objects.filter(participation__link=link, withdrawn_at=None)
    for membership in members.order_by("pk"):
        member_take_out(study=study, membership=membership)
    audit.record("open_link_deleted", target=link, actor=by, participants=link.participants.count())
    link.delete()


def member_take_out(*, study: Study, membership: Membership) -> int:
    """With the study locked: no more lists for a person; returns how many were freed."""
    Membership.objects.filter(pk=membership.pk, removed_at=None).update(removed_at=timezone.now())
    if not membership.assignments.filter(state=Assignment.State.WAITING).exists():
        return 0
    return lists_release(study=study, membership=membership)
