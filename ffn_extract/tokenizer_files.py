"""Open the tokenizer in a model's folder, and check that it is the right one.

transformers falls back in silence: where a folder's files are not those that a class reads, it
makes a tokenizer of a handful of special tokens, or one that cuts texts in another way. So what it
made is held against the file itself.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, TokenizersBackend

from ffn_extract.checkpoints.model_files import (
    SENTENCEPIECE_FILES,
    TOKENIZER_FILES,
    VOCABULARY_FILES,
)
from ffn_extract.errors import CheckpointError
from ffn_extract.json_files import MOST_TOKENIZER_BYTES, read_json

WAY_OUT = (
    "Put a tokenizer.json beside the weights: where the tokenizer loads, "
    "tokenizer.save_pretrained(FOLDER) writes one."
)
_PROBES = 12
_SAME = 0.99  # of the pieces: some families take one or two of a file for tokens of their own
_FOREIGN = {
    "tekken.json": "Mistral's own format",
    "prophetnet.tokenizer": "ProphetNet's own format",
    ".tiktoken": "a tiktoken file",
}
"""Formats that are known and not read, by a file's name or its ending."""

_SETTINGS = "tokenizer_config.json"
MOST_ADDED = 100_000
"""Tokens that may be added to a trained tokenizer."""
_MOST_GROWTH = 1_000


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder; no code in the folder is ever run.

    Raises CheckpointError, with the file that was found and what to do, when there is none that
    can be read, or transformers makes something else of it.
    """
    found = [name for name in VOCABULARY_FILES if (folder / name).is_file()]
    if not found:
        raise _refusal(folder, _nothing_found(folder))
    _require_small(folder)
    settings = _settings(folder)
    _require_whole(folder, found[0])
    _require_no_code(folder, settings, found)
    if found[0] in SENTENCEPIECE_FILES:
        return _of_sentencepiece(folder, found[0], settings)
    tokenizer = _loaded(folder, found, AutoTokenizer.from_pretrained)
    _require_entries(folder, found, tokenizer)
    return tokenizer


def _require_small(folder: Path) -> None:
    """Refuse files that transformers would read whole, whatever they are."""
    for path in sorted({*folder.glob("*.json"), *(folder / name for name in TOKENIZER_FILES)}):
        if path.exists() and not path.is_file():
            raise _refusal(folder, f"{path.name} is no regular file", "Copy the model again.")
        if path.exists() and path.stat().st_size > MOST_TOKENIZER_BYTES:
            what = f"{path.name} is larger than {MOST_TOKENIZER_BYTES:,} bytes"
            raise _refusal(folder, what, "Copy the model again.")


def tokenizer_json(folder: Path) -> dict[str, Any] | None:
    """The content of tokenizer.json, if the folder has one."""
    path = folder / "tokenizer.json"
    content = _json(folder, path.name) if path.is_file() else None
    return content if isinstance(content, dict) else None


def _refusal(folder: Path, what: str, way_out: str = WAY_OUT) -> CheckpointError:
    return CheckpointError(
        f"The tokenizer in the model's folder {folder.name} cannot be read: {what}. {way_out}"
    )


def _nothing_found(folder: Path) -> str:
    for path in sorted(folder.glob("*")):
        kind = _FOREIGN.get(path.name, _FOREIGN.get(path.suffix))
        if kind is not None:
            return f"{path.name} is {kind}, which is not read"
    code = sorted(path.name for path in folder.glob("tokenization*.py"))
    if code:
        return f"its tokenizer is Python code ({', '.join(code)}), which is never run"
    return f"it has none of {', '.join(VOCABULARY_FILES)}"


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / _SETTINGS
    if not path.is_file():
        return {}
    content = _json(folder, _SETTINGS)
    if not isinstance(content, dict):
        raise _refusal(folder, f"{_SETTINGS} is no JSON object", "Copy the model again.")
    return content


def _json(folder: Path, name: str) -> Any:
    try:
        return read_json(folder / name, MOST_TOKENIZER_BYTES)
    except (OSError, ValueError) as error:
        what = f"{name} is no whole JSON file: {error}"
        raise _refusal(folder, what, "Copy the model again.") from error


def _require_whole(folder: Path, name: str) -> None:
    """Refuse a file that is empty, a pointer, cut off or of another format than its name says."""
    path = folder / name
    with path.open("rb") as file:
        head = file.read(512)
    again = "Copy the model again."
    if not head:
        raise _refusal(folder, f"{name} is empty", again)
    if head.startswith(b"version ") and b"\noid sha256:" in head:
        what = f"{name} is only a Git LFS pointer to the file"
        raise _refusal(folder, what, "Run `git lfs pull` in the folder.")
    if name in SENTENCEPIECE_FILES:
        _processor(folder, name)
    elif name.endswith(".json"):
        content = _json(folder, name)
        if not isinstance(content, dict) or (name == "vocab.json" and not content):
            raise _refusal(folder, f"{name} holds no vocabulary", again)
        model = content.get("model")
        if name == "tokenizer.json" and not (isinstance(model, dict) and model.get("vocab")):
            raise _refusal(folder, f"{name} has no model with a vocabulary in it", again)
        _require_modest(folder, name, content)


def _require_modest(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Refuse a description that makes millions of tokens, or gigabytes of a line of text."""
    added = content.get("added_tokens")
    if isinstance(added, list) and len(added) > MOST_ADDED:
        what = f"{name} adds {len(added):,} tokens, and at most {MOST_ADDED:,} are read"
        raise _refusal(folder, what, "Take them out of added_tokens.")
    if _growth(content.get("normalizer")) > _MOST_GROWTH:
        what = f"the normalizer in {name} makes texts more than {_MOST_GROWTH} times as long"
        raise _refusal(folder, what, "Copy the model again.")


def _growth(normalizer: Any) -> int:
    """How many times as long as a text what a normalizer makes of it can be."""
    if not isinstance(normalizer, dict):
        return 1
    inner = normalizer.get("normalizers")
    if isinstance(inner, list):
        return math.prod(map(_growth, inner))
    content = normalizer.get("content")
    if not isinstance(content, str):
        return 1
    pattern = normalizer.get("pattern")
    anywhere = isinstance(pattern, dict) and "Regex" in pattern  # it may match nothing
    return len(content) + 1 if anywhere else max(1, len(content))


@contextmanager
def sentences_for(folder: Path, doing: str) -> Iterator[None]:
    """Turn any exception of an untrusted tokenizer into a CheckpointError.

    Its backend panics, which is no Exception, for instance where a pattern backtracks without end.
    """
    try:
        yield
    except CheckpointError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        raise _refusal(folder, f"{doing} ({reason})") from error


def _processor(folder: Path, name: str) -> Any:
    """The SentencePiece model in a file, as the library of that name reads it; untyped."""
    try:
        import_module("google.protobuf")  # what transformers reads the file with
        library = import_module("sentencepiece")
    except ImportError as error:
        raise _refusal(
            folder,
            f"{name} is a SentencePiece model, and {error.name} is not installed",
            "Install it with pip install -r requirements/extract.txt.",
        ) from error
    content = (folder / name).read_bytes()
    first = content.split(b"\n", 1)[0].split()
    if len(first) == 2 and first[1].isdigit() and first[0].isascii():
        what = f"{name} is a tiktoken file in spite of its name, which is not read"
        raise _refusal(folder, what)
    try:
        processor = library.SentencePieceProcessor(model_proto=content)
        if processor.get_piece_size() > 0:
            return processor
    except (RuntimeError, ValueError, OSError) as error:
        what = f"{name} is no whole SentencePiece model"
        raise _refusal(folder, what, "Copy the model again.") from error
    raise _refusal(folder, f"{name} is a SentencePiece model without pieces", "Copy it again.")


def _require_no_code(folder: Path, settings: Mapping[str, Any], found: list[str]) -> None:
    code = settings.get("auto_map")
    named = code.get("AutoTokenizer") if isinstance(code, Mapping) else code
    name = settings.get("tokenizer_class")
    known = isinstance(name, str) and hasattr(transformers, name)
    if named and not known:
        raise _refusal(
            folder,
            f"{found[0]} is read by Python code of the model's ({_SETTINGS} names "
            f"{_flat(named)}), which is never run",
            "Where transformers has a class of its own for these files, name it as tokenizer_class "
            f"in {_SETTINGS} and take auto_map out.",
        )


def _flat(named: Any) -> str:
    names = named if isinstance(named, list) else [named]
    return ", ".join(str(name) for name in names if name)


def _loaded(
    folder: Path, found: Iterable[str], load: Callable[..., Any]
) -> PreTrainedTokenizerBase:
    with (
        sentences_for(folder, f"transformers makes none of {', '.join(found)}"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # Marian's recommends a package that changes no entry
        made: PreTrainedTokenizerBase = load(folder, local_files_only=True, trust_remote_code=False)
    return made


def _of_sentencepiece(
    folder: Path, name: str, settings: Mapping[str, Any]
) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder with nothing but a SentencePiece model.

    Without a class in the settings, Llama and its kin get a backend that knows nothing of the
    space in front of a text's first word; LlamaTokenizer does. Where the settings say nothing, both
    Llama and Gemma begin a text with a BOS token, as their models were trained.
    """
    processor = _processor(folder, name)
    tokenizer = _loaded(folder, [name], AutoTokenizer.from_pretrained)
    if type(tokenizer) is TokenizersBackend and not _agrees(tokenizer, processor):
        tokenizer = _loaded(folder, [name], transformers.LlamaTokenizer.from_pretrained)
    if not _agrees(tokenizer, processor):
        raise _refusal(
            folder,
            f"{name} holds {processor.get_piece_size():,} pieces, of which transformers' "
            f"{type(tokenizer).__name__} makes something else",
            f"Name the class that reads it as tokenizer_class in {_SETTINGS}, or put a "
            "tokenizer.json beside the weights.",
        )
    begins = isinstance(tokenizer, transformers.LlamaTokenizer | transformers.GemmaTokenizer)
    if begins and "add_bos_token" not in settings:
        tokenizer.add_bos_token = True
    return tokenizer


def _agrees(tokenizer: PreTrainedTokenizerBase, processor: Any) -> bool:
    """Whether a tokenizer has a file's pieces, all by one offset, and cuts words as it does."""
    entries: Mapping[str, int] = tokenizer.get_vocab()
    ids = range(processor.get_piece_size())
    odd = (processor.is_control, processor.is_unknown, processor.is_unused, processor.is_byte)
    pieces = {i: processor.id_to_piece(i) for i in ids if not any(is_odd(i) for is_odd in odd)}
    offsets = Counter(entries[piece] - i for i, piece in pieces.items() if piece in entries)
    if not offsets or offsets.most_common(1)[0][1] < _SAME * len(pieces):
        return False
    plain = (i for i, piece in pieces.items() if _is_plain(piece))
    words = [processor.decode([i]) for i, _ in zip(plain, range(_PROBES), strict=False)]
    equal = Counter(
        tokenizer.tokenize(word) == processor.encode(word, out_type=str) for word in words
    )
    return equal[True] >= 2 * equal[False]


def _is_plain(piece: str) -> bool:
    letters = piece.strip("▁")
    return letters.isalpha() and letters == letters.lower()


def _require_entries(folder: Path, found: list[str], tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that knows less than half of every vocabulary that the folder holds."""
    entries: Mapping[str, int] = tokenizer.get_vocab()
    counts: dict[str, tuple[int, int]] = {}
    for name in found:
        stored = _stored(folder, name)
        known = sum(1 for names in stored if any(text in entries for text in names))
        if 2 * known >= len(stored):
            return
        counts[name] = known, len(stored)
    name, (known, stored_count) = next(iter(counts.items()))
    raise _refusal(
        folder,
        f"{name} holds {stored_count:,} entries, and transformers' {type(tokenizer).__name__} "
        f"knows {known:,} of them, so it reads another file",
        f"Name the class that reads it as tokenizer_class in {_SETTINGS}, or put a tokenizer.json "
        "beside the weights.",
    )


def _stored(folder: Path, name: str) -> list[tuple[str, ...]]:
    """The entries of a file, each with the forms in which a tokenizer may know it."""
    if name == "tokenizer.json":
        entries = _json(folder, name)["model"]["vocab"]
        return [(entry if isinstance(entry, str) else entry[0],) for entry in entries]
    if name == "vocab.json":
        return [(str(entry),) for entry in _json(folder, name)]
    if name in SENTENCEPIECE_FILES:
        processor = _processor(folder, name)
        return [(processor.id_to_piece(i),) for i in range(processor.get_piece_size())]
    lines = (folder / name).read_text(encoding="utf-8", errors="replace").split("\n")
    # Some have a count behind each entry.
    return [(line, line.rsplit(" ", 1)[0]) for line in lines if line]
