"""Static files are served under names that carry their content's hash, and cached for ever."""

from django.contrib.staticfiles.apps import StaticFilesConfig
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(StaticFilesConfig):
    """Leaves out htmx's extensions: unused here, and one imports a file that is not shipped."""

    ignore_patterns = (*StaticFilesConfig.ignore_patterns, "ext")


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites `import` statements, so that ES modules find each other's hashed names."""

    support_js_module_import_aggregation = True
