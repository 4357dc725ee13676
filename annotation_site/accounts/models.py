"""People, invitations, API tokens and the audit log. Roles in a study are memberships."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("annotator")
    RESEARCHER = "researcher", _("researcher")
    ADMIN = "admin", _("admin")


class User(AbstractBaseUser):  # type: ignore[django-manager-missing]  # of knox, untyped
    """A person who logs in. `public_id` is the only identifier that pages and exports show."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = models.CharField(
        max_length=150, unique=True, validators=[UnicodeUsernameValidator()]
    )
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, choices=Role, default=Role.ANNOTATOR)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    # Joined by an open link: no password, and nothing but that study's lists.
    is_crowd = models.BooleanField(default=False, editable=False)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(is_crowd=False) | Q(role="annotator", email=""),
                name="crowd_accounts_annotate",
            ),
            # A login is looked up in any case, and finds nobody where two names differ in it only.
            models.UniqueConstraint(
                Lower("username"),
                name="username_once_in_any_case",
                violation_error_message=_("A user with that username already exists."),
            ),
        )

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    objects = BaseUserManager()

    def __str__(self) -> str:
        return self.username

    @property
    def is_admin(self) -> bool:
        return self.is_active and self.role == Role.ADMIN

    @property
    def is_researcher(self) -> bool:
        """Whether the person may run studies; admins may."""
        return self.is_active and self.role in (Role.RESEARCHER, Role.ADMIN)


class Invitation(models.Model):
    """A link by which people join. Only a digest of its token is stored."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    token_digest = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=20, choices=Role, default=Role.ANNOTATOR)
    # By name: studies are a later stage, and this one knows nothing else of them.
    study = models.ForeignKey(
        "annotation.Study",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="invitations",
    )
    study_role = models.CharField(max_length=20, blank=True)
    expires_at = models.DateTimeField()
    uses_allowed = models.PositiveIntegerField(default=1)
    uses = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(uses__lte=F("uses_allowed")), name="invitation_uses_allowed"
            ),
            models.CheckConstraint(
                condition=Q(study=None, study_role="")
                | (Q(study__isnull=False) & ~Q(study_role="")),
                name="invitation_role_with_its_study",
            ),
        )

    def __str__(self) -> str:
        return str(self.public_id)

    @property
    def study_role_label(self) -> str:
        """The role in the study, in words; "" without a study."""
        return str(Role(self.study_role).label) if self.study_role else ""


class Scope(models.TextChoices):
    """Scopes of an API token; they never exceed the rights of its person."""

    READ = "read", _("read what I can see")
    ANNOTATE = "annotate", _("annotate lists as me")
    MANAGE = "manage", _("run my studies")
    ADMIN = "admin", _("change models and people")


class ApiToken(AbstractAuthToken):
    """An API token, with which a script acts as a person. Only a digest of it is stored."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=100)
    scopes = models.JSONField()
    expiry = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created", "public_id")

    def __str__(self) -> str:
        return self.name


class RequestKey(models.Model):
    """The response to a request with an Idempotency-Key, kept for a day."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=100)
    digest = models.CharField(max_length=64)  # of method, address and body
    status = models.PositiveSmallIntegerField(default=0)
    response = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "key"], name="request_key_once"),)

    def __str__(self) -> str:
        return self.key


class RequestCount(models.Model):
    """The number of a person's requests of one kind in the newest window: `accounts.throttling`."""

    counter = models.CharField(max_length=60, primary_key=True)  # kind and person
    window = models.BigIntegerField()
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.counter}: {self.count}"


class AppendOnly(Exception):
    """Raised when code tries to change an append-only row, which is a bug."""


class AuditEntries(models.QuerySet["AuditEntry"]):
    """QuerySet of log entries, which can be read and added."""

    def update(self, **kwargs: object) -> int:
        raise AppendOnly

    def delete(self) -> tuple[int, dict[str, int]]:
        raise AppendOnly


class AuditEntry(models.Model):
    """A log entry: person, action, object, time. Database triggers refuse changes too.

    It names people by their public id only, so that erasing a person needs no change here.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.UUIDField(null=True, db_index=True)  # none: a stranger, a command or a worker
    action = models.CharField(max_length=40, db_index=True)
    target = models.CharField(max_length=150, blank=True, db_index=True)
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    objects = AuditEntries.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action} {self.target}"

    def save(self, *args: object, **kwargs: object) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def delete(self, *args: object, **kwargs: object) -> tuple[int, dict[str, int]]:
        raise AppendOnly
