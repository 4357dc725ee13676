"""People, their tokens, invitations and the log."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation_site import bounds
from annotation_site.accounts.audit import ACTIONS
from annotation_site.accounts.invitations import MOST_DAYS, MOST_USES
from annotation_site.accounts.models import ApiToken, AuditEntry, Role, Scope
from annotation_site.accounts.tokens import scopes_now
from annotation_site.annotation.models import Membership
from annotation_site.api.calls import Fields, PageQuery
from annotation_site.old_names import action_today


class Me(serializers.Serializer):
    """The requesting person, and the rights of this token."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField(source="username")
    role = serializers.ChoiceField(Role.choices)
    scopes = serializers.SerializerMethodField(
        help_text="those that the person's role has; with a token, of these the token's"
    )

    def get_scopes(self, user: Any) -> list[str]:
        return scopes_now(user, self.context["request"].auth)


class Token(serializers.Serializer):
    """A token, without its secret."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField()
    scopes = serializers.SerializerMethodField(help_text="those that the person's role still has")
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry")
    last_used_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(Scope.choices)))
    def get_scopes(self, token: ApiToken) -> list[str]:
        return scopes_now(token.user, token)


class Annotator(serializers.Serializer):
    """A person who can be chosen for a study."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField(source="username")


class PeopleQuery(PageQuery):
    """People whose name contains a text."""

    name = serializers.CharField(max_length=bounds.LOGIN_NAME, default="", allow_blank=True)


class Person(serializers.Serializer):
    """A person on this site."""

    id = serializers.UUIDField(source="public_id")
    name = serializers.CharField(source="username")
    email = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    is_active = serializers.BooleanField()
    has_second_factor = serializers.BooleanField()
    joined_at = serializers.DateTimeField()
    erased_at = serializers.DateTimeField(allow_null=True)


class RoleChange(Fields):
    """The new role of a person."""

    role = serializers.ChoiceField(Role.choices)


class Access(Fields):
    """Whether a person may log in."""

    active = serializers.BooleanField()


class Erasure(Fields):
    """The name of the person to erase, as a safeguard."""

    name = serializers.CharField(max_length=bounds.LOGIN_NAME)


class NewInvitation(Fields):
    """Role, study, expiry and number of uses of a new invitation."""

    role = serializers.ChoiceField(Role.choices, default=Role.ANNOTATOR)
    study = serializers.SlugField(max_length=80, default=None, allow_null=True)
    study_role = serializers.ChoiceField(
        Membership.Role.choices, default="", allow_blank=True, help_text="Counts only with a study."
    )
    uses = serializers.IntegerField(min_value=1, max_value=MOST_USES, default=1)
    days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS, default=7)


class Invitation(serializers.Serializer):
    """An invitation, without its link."""

    id = serializers.UUIDField(source="public_id")
    role = serializers.ChoiceField(Role.choices)
    study = serializers.SlugField(source="study.slug", allow_null=True, default=None)
    study_role = serializers.CharField()
    uses = serializers.IntegerField()
    uses_allowed = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.UUIDField(source="created_by.public_id")


class MadeInvitation(Invitation):
    """An invitation with its link, shown once: null if the request is repeated."""

    link = serializers.URLField(allow_null=True)


class LogQuery(PageQuery):
    """Log entries of one action, or by or about one person."""

    action = serializers.ChoiceField(list(ACTIONS), default="", allow_blank=True)
    person = serializers.UUIDField(default=None, allow_null=True)


class LogEntry(serializers.Serializer):
    """A log entry: person, action, object, time. People appear by their id."""

    at = serializers.DateTimeField()
    actor = serializers.UUIDField(allow_null=True)
    action = serializers.SerializerMethodField()
    target = serializers.CharField()
    details = serializers.JSONField()

    def get_action(self, entry: AuditEntry) -> str:
        return action_today(entry.action)
