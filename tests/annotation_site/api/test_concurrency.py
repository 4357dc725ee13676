"""The same request at the same moment, under one key, happens once."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework.test import APIClient

from annotation_site.accounts.models import Role
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.models import Study
from tests.annotation_site.factories import UserFactory, make_extraction

pytestmark = pytest.mark.django_db(transaction=True)
CLIENTS = 8


def test_of_the_same_request_at_once_one_is_done_and_all_get_its_answer():
    user = UserFactory(role=Role.RESEARCHER)
    _, secret = token_create(user=user, name="a test", scopes=["manage"])
    plan = {"title": "Once", "extractions": [str(make_extraction().public_id)]}

    def post(_: int) -> tuple[int, str]:
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}", HTTP_IDEMPOTENCY_KEY="once")
        try:
            reply = client.post("/api/studies", plan, format="json")
            return reply.status_code, json.dumps(reply.json(), sort_keys=True)
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = set(pool.map(post, range(CLIENTS)))
    assert [status for status, _ in answers] == [201]
    assert Study.objects.count() == 1
