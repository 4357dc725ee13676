"""A study with answers, and a script of its researcher."""

import pytest

from annotation_site.annotation.models import Membership
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.results.by_hand import labelled_study


@pytest.fixture
def study():
    return labelled_study()


@pytest.fixture
def client(study):
    return bearer(study.memberships.get(role=Membership.Role.RESEARCHER).user)


@pytest.fixture
def url(study):
    return f"/api/studies/{study.slug}"
