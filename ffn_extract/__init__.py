"""From a language model's weights to token lists: the offline half of FFN Concepts.

The names in `__all__` are the public Python API; `docs/first-look.ipynb` shows it at work. They
are loaded when they are first used: this package never imports Django, and importing it loads
nothing heavy (torch, transformers), so that a web server can read bundles and check options.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ffn_extract.version import __version__

if TYPE_CHECKING:
    from ffn_extract.bundle import Bundle, Manifest, open_bundle
    from ffn_extract.errors import FFNExtractError
    from ffn_extract.options import ExtractOptions
    from ffn_extract.pipeline import extract
    from ffn_extract.projection.projector import project
    from ffn_extract.projection.working_rows import HeldRows
    from ffn_extract.tables import list_entries, top_tokens
    from ffn_extract.traces.run import trace

__all__ = [
    "Bundle",
    "ExtractOptions",
    "FFNExtractError",
    "HeldRows",
    "Manifest",
    "__version__",
    "extract",
    "list_entries",
    "open_bundle",
    "project",
    "top_tokens",
    "trace",
]

_MODULES = {
    "Bundle": "bundle", "Manifest": "bundle", "open_bundle": "bundle",
    "FFNExtractError": "errors", "ExtractOptions": "options", "extract": "pipeline",
    "project": "projection.projector", "list_entries": "tables", "top_tokens": "tables",
    "HeldRows": "projection.working_rows", "trace": "traces.run",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
