"""What some tests need from the machine: skipped with a sentence without it, failed in CI."""

import os
import re
import shutil
import subprocess
from typing import NoReturn

import pytest


def missing(sentence: str) -> NoReturn:
    """Skip the test, saying what to install; where CI is set, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def chromium() -> str:
    """The path of the system's Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    if os.path.exists(mac):
        return mac
    missing("No Chromium: install the system's package chromium (Debian) or Google Chrome.")


def nginx() -> str:
    """The path of nginx, which a test runs for itself, with a folder and a port of its own."""
    for name in ("nginx", "/usr/sbin/nginx"):
        if path := shutil.which(name):
            return path
    missing("No nginx: install the system's package nginx-light.")


def node() -> str | None:
    """The path of a node that can run the pages' modules, where there is one."""
    path = shutil.which("node")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    # Since then a program can say what an import means.
    return path if version and (int(version[1]), int(version[2])) >= (18, 19) else None
