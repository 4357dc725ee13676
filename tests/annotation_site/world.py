"""Fixtures: rows that a module's tests share, and the site of which every address is asked."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from django.db import transaction

Stored = TypeVar("Stored")


@pytest.fixture(scope="module")
def store(django_db_setup: None, django_db_blocker: Any) -> Iterator[Callable[..., Any]]:
    """Calls what makes rows that the tests of a module share.

    They stand in a transaction around the module, and what a test changes is rolled back to them.
    Objects in memory are not: return keys, and let each test fetch its own. Not for modules with
    tests that commit.
    """
    around = transaction.atomic()
    with django_db_blocker.unblock():
        around.__enter__()

    def store(make: Callable[..., Stored], *args: Any) -> Stored:
        with django_db_blocker.unblock():
            return make(*args)

    yield store
    with django_db_blocker.unblock():
        transaction.set_rollback(True)
        around.__exit__(None, None, None)


@pytest.fixture(scope="module")
def world_stored(store: Callable[..., Any]) -> tuple[int, int]:
    from tests.annotation_site.addresses import world_make

    return store(world_make)


@pytest.fixture
def world(world_stored: tuple[int, int], db: None) -> Any:
    """What every address is asked about, and the browsers of those who ask."""
    from tests.annotation_site.addresses import world_read

    return world_read(*world_stored)
