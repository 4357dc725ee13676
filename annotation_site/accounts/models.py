"""People. What a person may do in a study is a membership there; this is who they are."""

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db import models


class Role(models.TextChoices):
    ANNOTATOR = "annotator", "annotator"
    RESEARCHER = "researcher", "researcher"
    ADMIN = "admin", "admin"


class User(AbstractBaseUser):
    """A person who logs in. `public_id` is the only identifier that pages and exports show."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    username = models.CharField(
        max_length=150, unique=True, validators=[UnicodeUsernameValidator()]
    )
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, choices=Role, default=Role.ANNOTATOR)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)

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
