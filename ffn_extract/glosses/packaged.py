"""WordNet's glosses for the words of the demo's two models, as a file of this package.

They serve where no WordNet is installed, so that nothing has to be downloaded first. The file holds
what `WordNetGlosses` says of each word that starts a token in the two vocabularies, and example
sentences for FFN updates. `python -m fixtures.packaged_wordnet` writes it; its licence is beside
it.
"""

import json
import logging
import lzma
from functools import cache
from pathlib import Path
from typing import Any

from ffn_extract.glosses.gloss import Gloss, Sense

FOLDER = Path(__file__).parent / "packaged_data"
FILE = FOLDER / "wordnet-3.0.json.xz"
LICENCE = FOLDER / "LICENSE"
_log = logging.getLogger(__name__)


class PackagedGlosses:
    """Looks words up in the packaged file. A word outside it has no gloss, which is said once."""

    def __init__(self) -> None:
        stored = _stored()
        self._glosses: list[str] = stored["glosses"]
        self._words: dict[str, list[Any]] = stored["words"]
        self._without = frozenset(stored["without"].split("\n"))
        self._warned = False

    @property
    def version(self) -> str:
        """That of the WordNet from which the file was made, with its end: "3.0, …, packaged"."""
        return f"{_stored()['version']}, packaged"

    def look_up(self, surface: str) -> Gloss | None:
        """The same gloss as from all of WordNet, if the word is in one of the two vocabularies."""
        word = surface.strip()
        found = self._words.get(word)
        if found is None:
            if word and word not in self._without:
                self._warn()
            return None
        text, lemma, part, senses = found
        return Gloss(
            self._glosses[text],
            "wordnet",
            lemma,
            part,
            tuple(Sense(self._glosses[gloss], *rest) for gloss, *rest in senses),
        )

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "WordNet is not installed. The part of it that is packaged with this program "
                "covers the vocabularies of the demo's two models only; other words get no gloss. "
                "For the whole of it, run `python -m ffn_extract fetch-wordnet` or install the "
                "packages wordnet-base and wordnet-sense-index, then extract again."
            )


def packaged_examples() -> list[str]:
    """Example sentences of WordNet, in the order of its files."""
    return list(_stored()["examples"])


@cache
def _stored() -> dict[str, Any]:
    return dict(json.loads(lzma.decompress(FILE.read_bytes())))
