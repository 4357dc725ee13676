"""Queries that Django writes once in a process, not once for every request.

Django composes the SQL of a queryset anew whenever it runs, which for the queries of a submission
takes longer than PostgreSQL needs to answer them. A prepared query is composed twice, with two sets
of stand-ins for its values: where the two differ is where the values belong. It is run and its rows
become objects as those of any queryset.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql.compiler import SQLCompiler

LENGTHS = 32
Row = TypeVar("Row", bound=Model)
Value = int | str | UUID | datetime | Sequence[int]
_STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda n: 20_011 + n,
    str: lambda n: f"value {n}",
    UUID: lambda n: UUID(int=n),
    datetime: lambda n: datetime(2001, 1, 1, 0, 0, n, tzinfo=UTC),
}


class Prepared(Generic[Row]):
    """A queryset with some values still open.

    `build` gets the values by name and returns the queryset. All that the queryset depends on has
    to be among them: what else `build` reads, such as the time, is read once. A value is an int, a
    str, a UUID, a datetime, or a sequence of at least one int for `__in`, filled up to a multiple
    of LENGTHS: the query is prepared anew for every length.
    """

    def __init__(self, build: Callable[..., QuerySet[Row, Any]]) -> None:
        self._build = build
        self._ready: dict[tuple[Any, ...], tuple[SQLCompiler, str, list[Any]]] = {}

    def all(self, **values: Value) -> list[Row]:
        """The objects of a queryset of a model."""
        # All that ModelIterable asks of its queryset.
        query = SimpleNamespace(get_compiler=lambda using: self._compiler(values))
        queryset: Any = SimpleNamespace(db=DEFAULT_DB_ALIAS, query=query, _known_related_objects={})
        return list(ModelIterable(queryset))

    def first(self, **values: Value) -> Row | None:
        """The first object, or None; the queryset itself says that it wants no more than one."""
        return next(iter(self.all(**values)), None)

    def rows(self, **values: Value) -> list[tuple[Any, ...]]:
        """The rows of a queryset of `values_list`."""
        compiler: Any = self._compiler(values)
        return list(compiler.results_iter(compiler.execute_sql()))

    def _compiler(self, values: dict[str, Value]) -> SQLCompiler:
        """A compiler with its work done, for this thread's connection."""
        connection = connections[DEFAULT_DB_ALIAS]
        flat = dict(_flat(values))
        key = (connection.vendor, *((name, _kind(value)) for name, value in flat.items()))
        if key not in self._ready:
            self._ready[key] = self._prepare(values, flat)
        ready, sql, places = self._ready[key]
        compiler: Any = copy(ready)
        compiler.connection = connection
        params = tuple(
            _adapted(flat[place.name], connection) if isinstance(place, _Place) else place
            for place in places
        )
        compiler.as_sql = lambda *_, **__: (sql, params)
        return compiler

    def _prepare(
        self, values: dict[str, Value], flat: dict[Any, Any]
    ) -> tuple[SQLCompiler, str, list[Any]]:
        connection = connections[DEFAULT_DB_ALIAS]
        written = []
        for turn in (0, 1):
            names = {
                name: _STAND_INS[_kind(value)](2 * number + turn)
                for number, (name, value) in enumerate(flat.items())
            }
            compiler = self._build(**_folded(values, names)).query.get_compiler(DEFAULT_DB_ALIAS)
            sql, params = compiler.as_sql()
            adapted = {_adapted(value, connection): name for name, value in names.items()}
            written.append((compiler, sql, params, adapted))
        (compiler, sql, params, adapted), (_, other_sql, others, _) = written
        if sql != other_sql:
            raise ValueError("A prepared query reads differently for other values.")
        places = [
            one if one == other else _Place(adapted[one])
            for one, other in zip(params, others, strict=True)
        ]
        return compiler, sql, places


class _Place:
    """Where a value belongs among a query's parameters."""

    def __init__(self, name: Any) -> None:
        self.name = name


def _flat(values: dict[str, Value]) -> Iterator[tuple[Any, Any]]:
    """Single values by name, those of a sequence by name and number."""
    for name, value in values.items():
        if isinstance(value, int | str | UUID | datetime):
            yield name, value
        else:
            more = [value[-1]] * (-len(value) % LENGTHS)
            yield from (((name, number), one) for number, one in enumerate([*value, *more]))


def _folded(names: Iterable[str], flat: dict[Any, Any]) -> dict[str, Any]:
    """The sequences put together again."""
    return {
        name: flat[name] if name in flat else [one for of, one in flat.items() if of[0] == name]
        for name in names
    }


def _kind(value: Any) -> type:
    return next(kind for kind in _STAND_INS if isinstance(value, kind))


def _adapted(value: Any, connection: Any) -> Any:
    """A value as Django hands it to the database."""
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value
