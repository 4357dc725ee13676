"""Compiles the translations and the native kernel before the wheel is built."""

import os
import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = "ffn_extract/projection/native"


class Compile(BuildHookInterface):
    """Runs annotation_site/languages.py, and has the files packed that git ignores.

    So it does with the kernel of the projection where there is a compiler; such a wheel is for
    machines of this kind alone. FFN_KERNEL=off builds the wheel for every machine.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files."""
        runpy.run_path(str(Path(self.root) / "annotation_site/languages.py"), run_name="__main__")
        build_data["artifacts"].append("*.mo")
        if os.environ.get("FFN_KERNEL") == "off":
            return
        building = runpy.run_path(str(Path(self.root) / KERNEL / "building.py"))
        try:
            library = building["compile_kernel"](Path(self.root) / KERNEL)
        except building["CannotCompile"] as reason:
            self.app.display_warning(f"Without the native kernel: {reason}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["artifacts"].append(f"{KERNEL}/{library.name}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
