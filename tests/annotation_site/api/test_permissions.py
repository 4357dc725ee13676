"""Who may change what through the API: every method that writes, for every role and a stranger."""

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse

from annotation_site.accounts.models import Role, Scope, User
from annotation_site.annotation.models import Assignment
from tests.annotation_site.addresses import status
from tests.annotation_site.api import addresses
from tests.annotation_site.api.scripts import bearer
from tests.annotation_site.api.writes import WRITES, body_of, methods, send
from tests.annotation_site.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_every_method_that_writes_is_in_the_table():
    writes = {(n, m) for n, calls in methods().items() for m in calls if m != "GET"}
    assert writes == set(WRITES)


def test_every_method_of_a_view_is_declared():
    (api,) = (r for r in get_resolver().url_patterns if getattr(r, "namespace", "") == "api")
    for pattern in api.url_patterns:
        view = pattern.callback.view_class()
        for method in ("get", "post", "put", "patch", "delete"):
            if hasattr(view, method):
                assert view.call_of(method.upper()) is not None, (pattern.name, method)


def test_who_may_change_what(world):
    study, assignment, clients = world
    newcomer = UserFactory()
    for (name, method), (body, expected) in WRITES.items():
        sent = body_of(body, assignment, newcomer)
        statuses = []
        for client in clients:
            with transaction.atomic():
                response = send(client, name, method, study, assignment, sent)
                transaction.set_rollback(True)
            statuses.append(response.status_code)
        assert tuple(statuses) == expected, (name, method)
        assert not Assignment.objects.filter(version__gt=0).exists()


def test_a_token_reads_what_its_persons_session_reads(world):
    study, assignment, clients = world
    scripts = [bearer(person_of(client)) for client in clients[1:]]
    for name, expected in addresses.GET.items():
        url = reverse(name, kwargs=addresses.kwargs(name, study, assignment))
        statuses = tuple(status(script, url) for script in scripts)
        assert statuses == expected[1:], name


def person_of(client: Client):
    return User.objects.get(pk=client.session["_auth_user_id"])


@pytest.mark.parametrize("scope", Scope)
def test_a_token_does_what_its_scope_says_and_nothing_else(world, scope):
    study, assignment, _ = world
    admin = UserFactory(role=Role.ADMIN)
    client = bearer(admin, scope)
    for name, calls in methods().items():
        for method, call in calls.items():
            body = WRITES.get((name, method), (None,))[0]
            sent = body_of(body, assignment, UserFactory.build())
            with transaction.atomic():
                response = send(client, name, method, study, assignment, sent)
                transaction.set_rollback(True)
            refused = (
                response.status_code == 403 and response.json()["error"]["code"] == "scope_missing"
            )
            assert refused == (call.scope not in (None, scope)), (name, method)
