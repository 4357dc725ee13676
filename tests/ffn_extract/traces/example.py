"""A real trace of a tiny model in a file, for tests of what shows traces.

Run ``python -m tests.ffn_extract.traces.example`` in the repository's root to write it again.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ffn_extract import trace
from ffn_extract.options import ExtractOptions
from ffn_extract.traces import RequestedIntervention, TraceRequest
from tests.ffn_extract.tiny_models import save_tiny_model

EXAMPLE = Path(__file__).resolve().parents[1] / "data" / "trace.json"
REQUEST = TraceRequest(
    "the cat sat on the",
    new_tokens=6,
    interventions=(
        RequestedIntervention(0, 3, "set", 40.0),
        RequestedIntervention(1, 5, "scale", -2.5, from_position=2),
        RequestedIntervention(1, 7, "zero"),
    ),
)
SECONDS = {"load": 3.25, "trace": 0.5}
"""Instead of those that it took."""


def example_trace(folder: Path) -> dict[str, Any]:
    """The trace of the tiny model gpt2 in `folder`."""
    options = ExtractOptions(kinds=("value",), glosses=(), name="tiny-gpt2")
    return {**trace(folder, REQUEST, options), "seconds": SECONDS}


def as_stored(found: dict[str, Any]) -> str:
    """The text of the file."""
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Write the file."""
    with TemporaryDirectory() as folder:
        save_tiny_model("gpt2", Path(folder))
        EXAMPLE.parent.mkdir(exist_ok=True)
        EXAMPLE.write_text(as_stored(example_trace(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
