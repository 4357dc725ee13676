"""Requests at the same moment: under one key once, and counted one by one."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from annotation_site.accounts import throttling
from annotation_site.accounts.models import Role, User
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.models import Assignment, Study
from tests.annotation_site.factories import (
    UserFactory,
    assignment_of,
    client_of,
    log_in,
    make_extraction,
    make_study,
)

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


def at_once(request, times: int) -> list:
    """What so many calls return that begin together, each on a connection of its own."""
    start = threading.Barrier(times)

    def one(number: int):
        try:
            start.wait(timeout=60)
            return request(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_tabs_that_ask_for_the_next_list_at_once_all_get_the_same_one():
    study = make_study()
    user = assignment_of(study).membership.user
    clients = [client_of(user) for _ in range(CLIENTS)]
    replies = at_once(
        lambda number: clients[number].post(f"/api/work/{study.slug}/next").json(), CLIENTS
    )
    opened = Assignment.objects.filter(membership__user=user).exclude(opened_at=None)
    assert {reply["next"]["list"]["id"] for reply in replies} == {str(opened.get().public_id)}
    assert opened.get().state == Assignment.State.IN_PROGRESS


def test_of_requests_at_once_only_as_many_are_let_in_as_a_minute_allows(settings, monkeypatch):
    monkeypatch.setattr(throttling, "WINDOW", 10**9)  # this test never meets the end of a minute
    cache.clear()
    settings.API_REQUESTS_PER_MINUTE = 5
    _, secret = token_create(user=UserFactory(), name="a test", scopes=["read"])

    def get(_: int) -> int:
        client = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client.get("/api/me").status_code

    statuses = [status for _ in range(3) for status in at_once(get, CLIENTS)]
    assert (statuses.count(200), statuses.count(429)) == (5, 3 * CLIENTS - 5)


def test_the_counter_of_all_processes_loses_nothing():
    cache.set("counter", 0)
    for _ in range(5):
        at_once(lambda _: cache.incr("counter"), CLIENTS)
    assert cache.get("counter") == 5 * CLIENTS


def test_of_wrong_passwords_at_once_no_more_are_tried_than_one_by_one(monkeypatch):
    cache.clear()
    user = UserFactory()
    tried = []
    check = User.check_password
    monkeypatch.setattr(
        User, "check_password", lambda self, raw: tried.append(raw) or check(self, raw)
    )
    at_once(
        lambda n: log_in(user, client=Client(REMOTE_ADDR="192.0.2.1"), password=f"guess {n}"),
        2 * CLIENTS,
    )
    assert 1 <= len(tried) <= 5
    at_once(
        lambda n: log_in(user, client=Client(REMOTE_ADDR=f"192.0.2.{n}"), password=f"guess {n}"),
        5 * CLIENTS,
    )
    assert 6 <= len(tried) <= 30


def test_of_writes_at_once_by_pages_only_as_many_are_done_as_a_minute_allows(settings, monkeypatch):
    monkeypatch.setattr(throttling, "WINDOW", 10**9)
    settings.WRITES_PER_MINUTE = 5
    cookies = client_of(UserFactory()).cookies

    def post(_: int) -> int:
        client = Client()
        client.cookies = cookies
        return client.post("/account/tokens/new/", {}).status_code

    statuses = [status for _ in range(3) for status in at_once(post, CLIENTS)]
    assert statuses.count(429) == 3 * CLIENTS - 5
