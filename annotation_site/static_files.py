"""Static files under names with a hash of their content, which browsers may cache for ever."""

from collections.abc import Iterator
from pathlib import Path

from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import staticfiles_storage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(StaticFilesConfig):
    """Finder that leaves out htmx's extensions: unused here, and one imports a file that is not
    shipped.
    """

    ignore_patterns = (*StaticFilesConfig.ignore_patterns, "ext")


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Storage that also rewrites `import` statements of ES modules to hashed names."""

    support_js_module_import_aggregation = True


def static_sources() -> Iterator[tuple[str, Path]]:
    """Every static file of this version: its name and its path before it is collected."""
    for finder in get_finders():
        for name, storage in finder.list(StaticFiles.ignore_patterns):
            yield name, Path(storage.path(name))


def static_files_missing() -> bool:
    """Whether `collectstatic` has not made the files that pages need."""
    return getattr(staticfiles_storage, "hashed_files", None) == {}
