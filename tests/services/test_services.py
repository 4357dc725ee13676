"""The suite runs again on PostgreSQL and Redis where two variables name them."""

import os

import pytest
from django.conf import settings
from django.db import connection

from tests import requires


@pytest.fixture(scope="module", autouse=True)
def on_services() -> None:
    """These tests say whether real services are tested at all."""
    if not (os.environ.get("TEST_DATABASE_URL") and os.environ.get("TEST_REDIS_URL")):
        requires.missing(
            "PostgreSQL and Redis are not tested: set TEST_DATABASE_URL and TEST_REDIS_URL."
        )
    if os.environ.get("FFN_TEST_SERVICES") != "1":
        pytest.skip("Tested in the second run, with FFN_TEST_SERVICES=1, which `make test` starts.")


@pytest.mark.django_db
def test_the_database_is_postgresql_and_this_suites_own():
    assert connection.vendor == "postgresql"
    assert connection.settings_dict["NAME"].startswith("test_ffn_concepts_")


def test_messages_go_to_redis_under_a_prefix_of_this_suites_own():
    import redis

    from annotation_site.corpus.tasks import extraction_work

    client = redis.Redis.from_url(settings.REDIS_URL)
    before = set(client.keys(settings.QUEUE_PREFIX + "*"))
    try:
        extraction_work.delay(0)
        new = set(client.keys(settings.QUEUE_PREFIX + "*")) - before
        assert settings.QUEUE_PREFIX.encode() + b"extraction" in new
    finally:
        for key in client.keys(settings.QUEUE_PREFIX + "*"):
            client.delete(key)
        client.close()
