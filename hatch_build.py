"""Compiles the translations before the wheel is built."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileCatalogues(BuildHookInterface):
    """Runs annotation_site/languages.py, and has the files packed that git ignores."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        runpy.run_path(str(Path(self.root) / "annotation_site/languages.py"), run_name="__main__")
        build_data["artifacts"].append("*.mo")
