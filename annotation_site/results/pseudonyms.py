"""Pseudonyms: random codes of people in a study's tables and files."""

import secrets

from django.db import transaction

from annotation_site.annotation.models import Study
from annotation_site.results.models import Pseudonym


def pseudonyms_ensure(*, study: Study) -> None:
    """Give everybody in the study a code; existing codes stay."""
    coded = Pseudonym.objects.filter(study=study).values("user")
    without = study.memberships.exclude(user__in=coded).values_list("user", flat=True).distinct()
    if not without.exists():
        return
    with transaction.atomic():
        Study.objects.select_for_update().get(pk=study.pk)
        Pseudonym.objects.bulk_create(
            Pseudonym(study=study, user_id=user, name=f"p{secrets.token_hex(5)}")
            for user in without
        )


def pseudonyms_of(study: Study) -> dict[int, str]:
    """Existing codes by the id of the user."""
    return dict(Pseudonym.objects.filter(study=study).values_list("user", "name"))
