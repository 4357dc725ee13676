"""Names that version 0.1 gave to what is kept outside the database, or was never to be changed.

Drafts in browsers, pages that were open during an upgrade, scripts, and the log say them still.
"""

from typing import Any

ANNOTATION = "answer"
"""What a draft and a submission called the annotation in them."""

ACTIONS = {
    "final_answer_given": "adjudicated_annotation_given",
    "labels_imported": "annotations_imported",
}
"""Entries of the log, which never change, by today's names."""


def annotation_renamed(content: Any) -> Any:
    """A draft or a submission with its annotation under today's name, in its undo steps too."""
    found = _renamed(content)
    ui = found.get("ui") if isinstance(found, dict) else None
    if isinstance(ui, dict):
        steps = {name: ui[name] for name in ("past", "future") if isinstance(ui.get(name), list)}
        ui = {**ui, **{name: list(map(_renamed, of)) for name, of in steps.items()}}
        return {**found, "ui": ui}
    return found


def _renamed(content: Any) -> Any:
    if not isinstance(content, dict) or ANNOTATION not in content or "annotation" in content:
        return content
    return {"annotation" if name == ANNOTATION else name: of for name, of in content.items()}


def action_today(action: str) -> str:
    """The current name of a log action."""
    return ACTIONS.get(action, action)


def action_always(action: str) -> list[str]:
    """The current name of a log action, and its old one."""
    return [action, *(old for old, new in ACTIONS.items() if new == action)]
