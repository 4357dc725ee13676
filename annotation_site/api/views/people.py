"""People: your account and tokens; for admins everybody; invitations.

Reset links and lost second factors are for the pages alone: whoever finds a token must not be able
to take an account over with it.
"""

import uuid
from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.response import Response

from annotation_site.accounts import audit, invitations, selectors, tokens
from annotation_site.accounts.models import ApiToken, Role, Scope
from annotation_site.annotation.people import joining as people
from annotation_site.annotation.selectors import studies_of
from annotation_site.api.calls import ApiView, PageQuery, PersonRequest, call
from annotation_site.api.once import once
from annotation_site.api.permissions import require_scope
from annotation_site.api.serializers import people as fields
from annotation_site.errors import Invalid, NotAllowed


class MeView(ApiView):
    """GET your person, and the rights of this token."""

    @call(None, gives=fields.Me)
    def get(self, request: PersonRequest) -> Response:
        return self.answer(request.user)


class TokensView(ApiView):
    """GET your tokens. Make them on the account's page, or by `manage.py createtoken`."""

    @call(Scope.READ, query=PageQuery, gives=fields.Token, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(tokens.tokens_of(request.user))


class TokenView(ApiView):
    """DELETE one of your tokens. A token revokes itself; the others need the account's page."""

    @call(None, status=204)
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        token = get_object_or_404(tokens.tokens_of(request.user), public_id=public_id)
        if isinstance(request.auth, ApiToken) and request.auth.pk != token.pk:
            raise NotAllowed(
                gettext("A token can revoke only itself. Revoke others on your account's page.")
            )
        tokens.token_revoke(token=token)
        return Response(status=204)


class AnnotatorsView(ApiView):
    """GET the people who can be chosen for a study."""

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.Annotator, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(selectors.annotators())


class PeopleView(ApiView):
    """GET everybody on this site."""

    @call(Scope.READ, Role.ADMIN, query=fields.PeopleQuery, gives=fields.Person, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(selectors.people(self.query["name"].strip()))


class PersonView(ApiView):
    """GET one person."""

    @call(Scope.READ, Role.ADMIN, gives=fields.Person)
    def get(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        return self.answer(selectors.person_of(public_id))


class RoleView(ApiView):
    """POST the new role of a person."""

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.RoleChange, gives=fields.Person)
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        people.person_role_change(
            person=selectors.person_of(public_id), by=request.user, **self.body
        )
        return self.answer(selectors.person_of(public_id))


class AccessView(ApiView):
    """POST whether a person may log in. Without access their tokens are revoked as well."""

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.Access, gives=fields.Person)
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        change = people.person_activate if self.body["active"] else people.person_deactivate
        change(person=selectors.person_of(public_id), by=request.user)
        return self.answer(selectors.person_of(public_id))


class EraseView(ApiView):
    """POST a person's name to erase them for good."""

    @call(Scope.ADMIN, Role.ADMIN, takes=fields.Erasure, status=204)
    def post(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        person = selectors.person_of(public_id)
        if self.body["name"] != person.username:
            raise Invalid(
                gettext("The name does not match, so nobody was erased. Send the person's name.")
            )
        people.person_erase(person=person, by=request.user)
        return Response(status=204)


class InvitationsView(ApiView):
    """GET the invitations that you may see; POST a new one, whose link only this response shows.

    A token that invites somebody into another role than annotator needs the scope `admin` too.
    """

    @call(Scope.READ, Role.RESEARCHER, query=PageQuery, gives=fields.Invitation, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(invitations.invitations_seen_by(request.user))

    @call(
        Scope.MANAGE,
        Role.RESEARCHER,
        takes=fields.NewInvitation,
        gives=fields.MadeInvitation,
        status=201,
    )
    @once(not_kept=("link",))
    def post(self, request: PersonRequest) -> Response:
        if self.body["role"] != Role.ANNOTATOR:
            # Whoever has the link becomes what it says: with this scope alone, a token of an admin
            # could make itself one that may do everything.
            require_scope(request, Scope.ADMIN)
        slug = self.body.pop("study")
        study = studies_of(request.user).filter(slug=slug).first() if slug else None
        if slug and study is None:
            raise Invalid(gettext("You run no study of this name. See /api/studies."))
        made, secret = people.person_invite(by=request.user, study=study, **self.body)
        made_known: Any = made
        made_known.link = request.build_absolute_uri(reverse("accounts:join", args=[secret]))
        return self.answer(made_known)


class InvitationView(ApiView):
    """DELETE an invitation, so that its link no longer works."""

    @call(Scope.MANAGE, Role.RESEARCHER, status=204)
    def delete(self, request: PersonRequest, public_id: uuid.UUID) -> Response:
        seen = invitations.invitations_seen_by(request.user)
        invitations.invitation_revoke(invitation=get_object_or_404(seen, public_id=public_id))
        return Response(status=204)


class LogView(ApiView):
    """GET the audit log, newest first."""

    @call(Scope.READ, Role.ADMIN, query=fields.LogQuery, gives=fields.LogEntry, paged=True)
    def get(self, request: PersonRequest) -> Response:
        return self.paged(audit.entries(action=self.query["action"], person=self.query["person"]))
