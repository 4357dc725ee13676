"""Word marks of a tokenizer, as its own files or its class declare them; never guessed.

A tokenizer.json says it in its model, its pre-tokenizer, its normalizer and its decoder. A
tokenizer that transformers runs in Python has no such file; there its class says it. Everything
else is `UNMARKED`: its pieces may or may not be whole words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from ffn_extract.tokens import BYTE_LEVEL, METASPACE, UNMARKED, WHOLE_WORDS, WORDPIECE, Marking

_CONTINUATION_SUFFIX = Marking(goes_on="@@")
_WORD_END_SUFFIX = Marking(ends="</w>")
_BY_CLASS = {
    "BertweetTokenizer": _CONTINUATION_SUFFIX,
    "PhobertTokenizer": _CONTINUATION_SUFFIX,
    "CTRLTokenizer": _CONTINUATION_SUFFIX,
    "BlenderbotSmallTokenizer": _CONTINUATION_SUFFIX,
    "BioGptTokenizer": _WORD_END_SUFFIX,
    "FlaubertTokenizer": _WORD_END_SUFFIX,
    "FSMTTokenizer": _WORD_END_SUFFIX,
    "XLMTokenizer": _WORD_END_SUFFIX,
    "ProphetNetTokenizer": WORDPIECE,
    "RoCBertTokenizer": WORDPIECE,
    "TapasTokenizer": WORDPIECE,
    "M2M100Tokenizer": METASPACE,
    "MarianTokenizer": METASPACE,
    "Speech2TextTokenizer": METASPACE,
    "SentencePieceBackend": METASPACE,
}
"""Classes that transformers runs in Python, and their subclasses."""

_WITH_PREFIX = ("WordPiece", "BPE")

# A pre-tokenizer of these alone cuts a text into words, so that an entry of WordLevel is one.
_INTO_WORDS = {
    *("BertPreTokenizer", "CharDelimiterSplit", "Digits", "Punctuation", "Sequence"),
    *("Whitespace", "WhitespaceSplit"),
}


def marking_of(
    tokenizer: PreTrainedTokenizerBase, description: Mapping[str, Any] | None, texts: Iterable[str]
) -> Marking:
    """The marking of a tokenizer; `description` is its tokenizer.json, None if it has none."""
    if description is not None:
        return declared_marking(description, list(texts))
    names = (kind.__name__ for kind in type(tokenizer).__mro__)
    marking = next((_BY_CLASS[name] for name in names if name in _BY_CLASS), UNMARKED)
    if type(tokenizer).__name__ == "BertJapaneseTokenizer":
        pieces = getattr(tokenizer, "subword_tokenizer_type", None)
        return WORDPIECE if pieces == "wordpiece" else UNMARKED
    return marking


def declared_marking(description: Mapping[str, Any], texts: list[str]) -> Marking:
    """The marking that a tokenizer.json declares.

    A sign counts only where an entry carries it: byte-level pieces of texts that were cut at their
    spaces before have no leading space, and then nothing tells where a word starts.
    """
    model = description["model"]
    kind = model.get("type") or _kind_of(model)
    parts = list(_parts(description))
    in_bytes = any(part["type"] == "ByteLevel" for _, part in parts)
    continues = (model.get("continuing_subword_prefix") or "") if kind in _WITH_PREFIX else ""
    ends = model.get("end_of_word_suffix") or _decoders_suffix(parts) if kind == "BPE" else ""
    ends = ends if _some(texts, ends, str.endswith) else ""
    goes_on = _decoders_continuation(parts)
    goes_on = goes_on if not ends and _some(texts, goes_on, str.endswith) else ""
    if continues or ends or goes_on:
        return Marking(continues=continues, ends=ends, goes_on=goes_on, in_bytes=in_bytes)
    space = BYTE_LEVEL.space if in_bytes else _space(parts)
    if _some(texts, space, str.startswith):
        return Marking(space=space, in_bytes=in_bytes)
    cuts = {part["type"] for stage, part in parts if stage == "pre"}
    if kind == "WordLevel" and cuts <= _INTO_WORDS:
        return WHOLE_WORDS
    if not in_bytes and _some(texts, " ", str.startswith):
        return Marking(space=" ")  # spaces stay in the pieces as they are
    return Marking(in_bytes=in_bytes)


def _kind_of(model: Mapping[str, Any]) -> str:
    """The model's type, which the first files with one left out."""
    if "merges" in model:
        return "BPE"
    if "unk_id" in model:
        return "Unigram"
    return "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"


def _some(texts: list[str], sign: str, carries: Callable[[str, str], bool]) -> bool:
    """Whether an entry carries the sign at that end, beside something else."""
    return bool(sign) and any(text != sign and carries(text, sign) for text in texts)


def _parts(description: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The steps before and after the model, out of their sequences, each with its stage."""
    stages = {"normalizer": "norm", "pre_tokenizer": "pre", "decoder": "decode"}
    for key, stage in stages.items():
        for part in _flat(description.get(key)):
            yield stage, part


def _flat(part: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(part, Mapping) or "type" not in part:
        return
    inner = part.get("normalizers") or part.get("pretokenizers") or part.get("decoders")
    if part["type"] == "Sequence":
        for one in inner or ():
            yield from _flat(one)
    else:
        yield part


def _space(parts: list[tuple[str, Mapping[str, Any]]]) -> str:
    """The sign for a space: Metaspace's, or the replacement in a step."""
    for stage, part in parts:
        if part["type"] == "Metaspace":
            return str(part.get("replacement") or part.get("str_rep") or METASPACE.space)
        if part["type"] != "Replace":
            continue
        before, after = _pattern(part), part.get("content")
        if stage == "norm" and before == " " and after:
            return str(after)
        if stage == "decode" and after == " " and before:
            return before
    return ""


def _decoders_suffix(parts: list[tuple[str, Mapping[str, Any]]]) -> str:
    found = (part.get("suffix") for _, part in parts if part["type"] == "BPEDecoder")
    return str(next(found, None) or "")


def _decoders_continuation(parts: list[tuple[str, Mapping[str, Any]]]) -> str:
    """The sign that a decoder takes out together with the space behind it, such as "@@ "."""
    for stage, part in parts:
        if stage == "decode" and part["type"] == "Replace" and part.get("content") == "":
            before = _pattern(part)
            if before != before.rstrip(" ") and before.strip():
                return before.strip()
    return ""


def _pattern(part: Mapping[str, Any]) -> str:
    pattern = part.get("pattern")
    return str(pattern.get("String", "")) if isinstance(pattern, Mapping) else ""
