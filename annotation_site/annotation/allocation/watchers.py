"""Later stages that are told of changes to studies, within the transaction of the change.

A stage imports nothing from those to its right. One that has to act in the same moment (a public
page goes when people begin to annotate its vectors) registers a function when the site starts.
"""

from typing import Protocol

from annotation_site.annotation.models import Study


class Watcher(Protocol):
    """Protocol of a function that is told of a study whose state, lists or people changed.

    `removed`: annotations of a person were removed. What it raises undoes the change.
    """

    def __call__(self, study: Study, *, removed: bool) -> None: ...


_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Register a function; a second time is a no-op."""
    if watcher not in _watchers:
        _watchers.append(watcher)


def study_tell(study: Study, *, removed: bool = False) -> None:
    """Tell everybody who registered that a study has changed."""
    for watcher in _watchers:
        watcher(study, removed=removed)
