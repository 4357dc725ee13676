"""Static files are served under names that carry their content's hash, and cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """Also rewrites `import` statements, so that ES modules find each other's hashed names."""

    support_js_module_import_aggregation = True
