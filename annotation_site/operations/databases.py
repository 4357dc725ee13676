"""Checks of the database that a command uses, and sentences about it.

A command that is typed without the installation's settings finds an SQLite file of its own: nothing
may act on that without a word.
"""

import re
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from annotation_site.accounts.models import User
from annotation_site.errors import Invalid

_KINDS = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
OTHER_SETTINGS = (
    "If this site is set up already, this command lacks its settings: put them into "
    f"{settings.ENV_FILE}, or name their file in FFN_ENV_FILE."
)


def database_described() -> str:
    """The database's kind and place, without a password."""
    of = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"SQLite, {of['NAME']}"
    host = f"{of['HOST'] or 'the local socket'}{':' if of['PORT'] else ''}{of['PORT']}"
    return f"{_KINDS.get(connection.vendor, connection.vendor)}, {of['NAME']} at {host}"


def database_file() -> Path | None:
    """The path of SQLite's file; None for a server."""
    return Path(str(connection.settings_dict["NAME"])) if connection.vendor == "sqlite" else None


def database_make_file() -> None:
    """Make SQLite's file and its folder, private to their owner. Raises Invalid if that fails."""
    file = database_file()
    if file is None or file.exists():
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
    except OSError as error:
        raise Invalid(
            f"{file} cannot be made: {error.strerror}. Set VAR_DIR to a folder that can be written."
        ) from error


def database_answers() -> bool:
    """Whether the database responds."""
    try:
        connection.introspection.table_names()
    except DatabaseError:
        return False
    return True


def database_is_new() -> bool:
    """Whether no migration ever ran on it. Does not create SQLite's file."""
    file = database_file()
    if file is not None and not file.exists():
        return True
    return User._meta.db_table not in connection.introspection.table_names()


def migrations_waiting() -> int:
    """Number of unapplied migrations."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def migrations_unknown() -> list[str]:
    """Applied migrations of the site that this older version does not have."""
    loader = MigrationLoader(connection)
    ours = {app.label for app in apps.get_app_configs() if app.name.startswith("annotation_site.")}
    applied = {(app, name) for app, name in loader.applied_migrations or () if app in ours}
    return sorted(f"{app}.{name}" for app, name in applied - set(loader.disk_migrations))


def require_database(*, with_people: bool = False) -> None:
    """Raises Invalid, naming the database, unless it responds and its tables are up to date.

    `with_people` also refuses one in which nobody is: nothing that is worth keeping is there.
    """
    where = database_described()
    try:
        if database_is_new():
            raise Invalid(
                f"There are no tables in the database ({where}). {OTHER_SETTINGS} For a new site, "
                "run `manage.py migrate` first."
            )
        if waiting := migrations_waiting():
            raise Invalid(
                f"{waiting} changes of the tables wait ({where}). Run `manage.py migrate` first, "
                "or this command with the version of the site that was running."
            )
        if newer := migrations_unknown():
            raise Invalid(
                f"A newer version of the site changed the database ({where}: {newer[0]}). Run the "
                "command with that version."
            )
        if with_people and not User.objects.exists():
            raise Invalid(f"Nobody is in the database ({where}). {OTHER_SETTINGS}")
    except DatabaseError as error:
        raise Invalid(f"The database ({where}) does not answer: {plain(error)}") from error


_NOT_TAKEN = re.compile(r"disk is full|readonly|read-only|No space left|disk I/O", re.IGNORECASE)


def what_is_wrong(error: DatabaseError) -> str | None:
    """The reason why a command failed at the database, if it is no bug: it is new, is down, or its
    disk is full or read-only.
    """
    if isinstance(error, OperationalError) and _NOT_TAKEN.search(str(error)):
        return (
            f"The database ({database_described()}) takes nothing: {plain(error)} Make room, or "
            "see to it that it can be written; then run the command again."
        )
    try:
        require_database()
    except Invalid as reason:
        return str(reason)
    return None


def plain(error: Exception) -> str:
    """A server's error as one line, without any password of the settings."""
    said = re.sub(r"\s+", " ", str(error)).strip()
    for secret in _secrets():
        said = said.replace(secret, "…")
    return said if said.endswith(".") else f"{said}."


def _secrets() -> list[str]:
    broker = re.match(r"\w+://[^/@]*:([^/@]+)@", settings.REDIS_URL)
    found = [str(settings.DATABASES["default"].get("PASSWORD") or ""), settings.SECRET_KEY]
    return [one for one in (*found, broker.group(1) if broker else "") if one]
