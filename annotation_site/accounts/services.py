"""Services that change people: create, change role, deactivate, activate, erase."""

import json
import re
import secrets
from collections.abc import Sequence

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.dispatch import Signal
from django.urls import reverse
from django.utils import timezone
from django.utils.http import int_to_base36
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.invitations import invitations_revoke_of
from annotation_site.accounts.models import RequestKey, Role, User
from annotation_site.accounts.tokens import tokens_revoke_of
from annotation_site.database_pages import leave_nothing_behind
from annotation_site.errors import Invalid

person_forgotten = Signal()
"""Sent with `person` in the transaction that erases them; an error of a receiver undoes it."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9@.+_-]*[A-Za-z0-9])?")


def name_require_plain(username: str) -> None:
    """Raises Invalid for a login name that could look like another person's.

    Unicode has several letters that look alike, wide and combined ones, and some that nobody sees.
    Names are shown as they are to researchers and admins, so new ones are of A to Z.
    """
    if PLAIN_NAME.fullmatch(username) is None:
        raise Invalid(
            gettext(
                "Choose a name of the letters A to Z, digits and @ . + - _ that begins and ends "
                "with a letter or digit. Other characters can look like another person's name."
            )
        )


@transaction.atomic
def person_create(
    *, username: str, password: str, role: str = Role.ANNOTATOR, email: str = ""
) -> User:
    """Create a person who can log in.

    Raises Invalid when the name is taken, malformed or not plain, or the password is too weak.
    """
    name_require_plain(username)
    user = User(username=username, role=role, email=email)
    try:
        validate_password(password, user)
        user.set_password(password)
        user.full_clean()
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    user.save()
    audit.record("person_created", target=user, role=role)
    return user


def crowd_account_create() -> User:
    """Create an account for a person who joins by an open link: a pseudonym, and no password."""
    user = User(username=f"participant-{secrets.token_hex(5)}", is_crowd=True)
    user.set_unusable_password()
    user.full_clean()
    user.save()
    return user


@transaction.atomic
def account_change(*, user: User, username: str, email: str) -> None:
    """Change a person's own name and e-mail address.

    Raises Invalid for a name that is taken, or new and not plain; older ones go on working.
    """
    before = (user.username, user.email)
    if username != user.username:
        name_require_plain(username)
    user.username, user.email = username, email
    try:
        user.full_clean()
    except ValidationError as error:
        user.username, user.email = before
        raise Invalid(" ".join(error.messages)) from error
    user.save(update_fields=["username", "email"])
    names = ("username", "email")
    changed = [
        n for n, old, new in zip(names, before, (username, email), strict=True) if old != new
    ]
    audit.record("account_changed", target=user, changed=changed)


@transaction.atomic
def role_change(*, person: User, role: str, by: User) -> None:
    """Give a person another role. Their invitations and API tokens end with the old one.

    Raises Invalid for one's own role, for somebody erased and for the last admin.
    """
    person = _changeable(person, by)
    if role not in Role.values:
        raise Invalid(
            gettext("There is no such role. Choose one of these: %(roles)s.")
            % {"roles": ", ".join(Role.values)}
        )
    _check_not_crowd(person)
    before, person.role = person.role, role
    person.save(update_fields=["role"])
    if role != Role.ADMIN and before != role:
        invitations_revoke_of(person=person)
        tokens_revoke_of(person=person)
    audit.record("role_changed", target=person, before=before, after=role)


@transaction.atomic
def person_deactivate(*, person: User, by: User) -> bool:
    """Deactivate a person: end their login, sessions, invitations and API tokens.

    False, with nothing done, when that is so already. Raises Invalid for oneself, for somebody
    erased and for the last admin.
    """
    person = _changeable(person, by)
    if not person.is_active:
        return False
    person.is_active = False
    person.save(update_fields=["is_active"])
    sessions_end(user=person)
    invitations_revoke_of(person=person)
    tokens_revoke_of(person=person)
    audit.record("person_deactivated", target=person)
    return True


@transaction.atomic
def person_activate(*, person: User, by: User) -> bool:
    """Let a person log in again; False if they already can. Raises as the above."""
    person = _changeable(person, by)
    if person.is_active:
        return False
    person.is_active = True
    person.save(update_fields=["is_active"])
    audit.record("person_activated", target=person)
    return True


def reset_link_make(*, person: User, by: User) -> str:
    """Make the path of a password reset: it works once, for PASSWORD_RESET_TIMEOUT.

    It is stored nowhere. Raises Invalid for somebody who may not log in, and for oneself, so that
    a session left open is not enough to take an account over.
    """
    _check_not_own(person, by)
    _check_not_crowd(person)
    if not person.is_active:
        raise Invalid(gettext("This person cannot log in. Activate them first, then make a link."))
    audit.record("reset_link_made", target=person)
    return reset_path(int_to_base36(person.pk), default_token_generator.make_token(person))


def reset_path(number: str, token: str) -> str:
    """The path of a reset link for a person's number, in base 36, and a token."""
    return reverse("account_reset_password_from_key", kwargs={"uidb36": number, "key": token})


@transaction.atomic
def second_factor_remove(*, person: User, by: User) -> None:
    """Remove the second factor of a person who lost it. The password stays.

    Raises Invalid where there is none, and for one's own.
    """
    _check_not_own(person, by)
    removed, _ = Authenticator.objects.filter(user=person).delete()
    if not removed:
        raise Invalid(gettext("This person has no second factor. Reload the page."))
    audit.record("second_factor_removed", target=person, by_admin=True)


def sessions_end(*, user: User, keep: str | None = None) -> None:
    """Delete a person's sessions on the server, except the one with the key `keep`."""
    for session in UserSession.objects.filter(user=user).exclude(session_key=keep or ""):
        session.end()


@transaction.atomic
def person_forget(*, person: User, by: User) -> None:
    """Erase a person's name and logins; the public id stays as their pseudonym.

    What they did in studies is for `annotation.people.person_erase`, which calls this.
    """
    person = _changeable(person, by)
    sessions_end(user=person)
    invitations_revoke_of(person=person)
    tokens_revoke_of(person=person)
    for kept_about in (Authenticator, SocialAccount, EmailAddress, RequestKey):
        kept_about.objects.filter(user=person).delete()
    _answers_forget(person)
    person.username = f"erased-{person.public_id.hex[:12]}"
    person.email = ""
    person.role = Role.ANNOTATOR
    person.is_active = False
    person.erased_at = timezone.now()
    person.set_unusable_password()
    person.last_login = None
    person.save()
    person_forgotten.send(User, person=person)
    audit.record("person_erased", target=person)
    leave_nothing_behind()


def _answers_forget(person: User) -> None:
    """Delete what others were answered about a person, and would be again under the same key."""
    words = [str(person.public_id), person.username.lower(), person.email.lower()]
    kept = RequestKey.objects.values_list("pk", "key", "response")
    # In Python: databases store the letters of a JSON text in different ways.
    naming = [
        pk
        for pk, key, answer in kept.iterator(chunk_size=100)
        if _mentions(f"{key} {json.dumps(answer, ensure_ascii=False)}".lower(), words)
    ]
    RequestKey.objects.filter(pk__in=naming).delete()


def _mentions(text: str, words: Sequence[str]) -> bool:
    return any(word and word in text for word in words)


def _check_not_own(person: User, by: User) -> None:
    if person.pk == by.pk:
        raise Invalid(gettext("You cannot do this for yourself here. Do it under “My account”."))


def _changeable(person: User, by: User) -> User:
    """The person's row, locked together with the admins', so that one of them always stays."""
    admins = User.objects.select_for_update().filter(role=Role.ADMIN, is_active=True).order_by("pk")
    others = [admin for admin in admins if admin.pk != person.pk]
    person = User.objects.select_for_update().get(pk=person.pk)
    if person.pk == by.pk:
        raise Invalid(
            gettext("You cannot change your own role or access. Ask another admin to do it.")
        )
    if person.erased_at:
        raise Invalid(gettext("This person was erased, so nothing is left to change."))
    if not others:
        raise Invalid(gettext("This is the last admin. Make another person an admin first."))
    return person


def _check_not_crowd(person: User) -> None:
    if person.is_crowd:
        raise Invalid(
            gettext(
                "This account joined by an open link: it has no password and can only annotate. "
                "Invite the person instead."
            )
        )
