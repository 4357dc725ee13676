"""What changes people."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from annotation_site.accounts.models import Role, User
from annotation_site.errors import Invalid


@transaction.atomic
def person_create(*, username: str, password: str, role: str = Role.ANNOTATOR) -> User:
    """Create a person who can log in.

    Raises Invalid when the name is taken or malformed, or the password is too weak.
    """
    user = User(username=username, role=role)
    try:
        validate_password(password, user)
        user.set_password(password)
        user.full_clean()
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    user.save()
    return user
