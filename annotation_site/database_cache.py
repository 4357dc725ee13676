"""Database cache with atomic counters."""

from typing import Any

from django.core.cache.backends import db as django_cache
from django.db import connections, router, transaction


class DatabaseCache(django_cache.DatabaseCache):
    """Django's database cache, with `incr` in one locked step instead of two."""

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add to a counter and return it, its row locked. Raises ValueError where it is gone."""
        using = router.db_for_write(self.cache_model_class)  # type: ignore[attr-defined]
        connection: Any = connections[using]
        quote = connection.ops.quote_name
        table, column = quote(self._table), quote("cache_key")  # type: ignore[attr-defined]
        # SQLite locks the whole file as a transaction begins.
        lock = connection.ops.for_update_sql() if connection.features.has_select_for_update else ""
        with transaction.atomic(using=using), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM {table} WHERE {column} = %s {lock}",  # noqa: S608
                [self.make_and_validate_key(key, version=version)],
            )
            return super().incr(key, delta, version=version)
