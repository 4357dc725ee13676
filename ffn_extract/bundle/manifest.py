"""`manifest.json`: what a bundle holds, where it comes from, and its digests."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from ffn_extract.errors import BundleError
from ffn_extract.options import KINDS

MANIFEST_FILE = "manifest.json"
FORMAT = "ffn-concepts-bundle"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 1 << 20
VOCABULARIES = ("word", "subword")
_MAX_INT = 2**63 - 1
_UNSIGNED = ("digest", "environment", "environment_digest")


@dataclass(frozen=True)
class ModelInfo:
    """The model that the vectors come from.

    `d_ff` is the largest number of value vectors that a layer has, `vocab_size` the number of rows
    of the unembedding. `weights_digest` identifies the weights whatever files they are stored in;
    see `ffn_extract.weights_digest`.
    """

    name: str
    revision: str | None
    model_type: str
    n_layers: int
    d_model: int
    d_ff: int
    vocab_size: int
    vocabulary: str
    weights_digest: str


@dataclass(frozen=True)
class Counts:
    """Rows of the two files, and of each kind; `glossed` counts tokens with a gloss."""

    vectors: int
    tokens: int
    glossed: int
    kinds: dict[str, int]


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and sha256 of a content file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The manifest. `digest` covers everything but `environment` (packages, times, device)."""

    model: ModelInfo
    parameters: dict[str, Any]
    counts: Counts
    files: dict[str, FileRecord]
    environment: dict[str, Any] = field(default_factory=dict)
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of everything but the environment."""
        return _digest_of({k: v for k, v in asdict(self).items() if k not in _UNSIGNED})

    def to_json(self) -> dict[str, Any]:
        """The manifest as it is stored, with its two digests."""
        return {
            **asdict(self),
            "digest": self.digest,
            "environment_digest": _digest_of(self.environment),
        }

    def to_bytes(self) -> bytes:
        """The one permitted serialisation: sorted keys, two spaces, UTF-8, a final newline."""
        return _pretty(self.to_json())


def _digest_of(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _pretty(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2)
    return f"{text}\n".encode()


def parse_manifest(content: bytes) -> Manifest:
    """The manifest in `content`, with its form, types and digests checked.

    Raises BundleError when it is not valid, with a sentence that says why.
    """
    try:
        stored = json.loads(content.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_FILE} is not readable as JSON: {error}.") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise BundleError(f"{MANIFEST_FILE} is not the manifest of an FFN Concepts bundle.")
    version = stored.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise BundleError(
            f"The bundle has format version {version!r}; this program reads {FORMAT_VERSION}."
        )
    manifest = _manifest(stored)
    try:
        digest, canonical = manifest.digest, manifest.to_bytes()
    except UnicodeEncodeError:
        raise BundleError(f"{MANIFEST_FILE} holds text that is no valid Unicode.") from None
    if stored.get("digest") != digest:
        raise BundleError(f"The digest in {MANIFEST_FILE} does not match what it describes.")
    if content != canonical:
        raise BundleError(f"{MANIFEST_FILE} has been changed, or not been written canonically.")
    return manifest


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _manifest(stored: Mapping[str, Any]) -> Manifest:
    model = _object(stored, "model")
    counts = _object(stored, "counts")
    files = _object(stored, "files")
    return Manifest(
        model=_model(model),
        parameters=_object(stored, "parameters"),
        counts=_counts(counts),
        files={name: _file(files, name) for name in files},
        environment=_object(stored, "environment"),
    )


def _model(model: Mapping[str, Any]) -> ModelInfo:
    revision = model.get("revision")
    if revision is not None and not isinstance(revision, str):
        raise BundleError(f"model.revision in {MANIFEST_FILE} must be text or null.")
    vocabulary = _text(model, "vocabulary")
    if vocabulary not in VOCABULARIES:
        raise BundleError(f"model.vocabulary must be word or subword, not {vocabulary!r}.")
    return ModelInfo(
        name=_text(model, "name"),
        revision=revision,
        model_type=_text(model, "model_type"),
        n_layers=_integer(model, "n_layers", 1),
        d_model=_integer(model, "d_model", 1),
        d_ff=_integer(model, "d_ff", 1),
        vocab_size=_integer(model, "vocab_size", 1),
        vocabulary=vocabulary,
        weights_digest=_text(model, "weights_digest"),
    )


def _counts(counts: Mapping[str, Any]) -> Counts:
    kinds = _object(counts, "kinds")
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise BundleError(f"The bundle counts vectors of an unknown kind: {', '.join(unknown)}.")
    return Counts(
        vectors=_integer(counts, "vectors", 1),
        tokens=_integer(counts, "tokens", 1),
        glossed=_integer(counts, "glossed", 0),
        kinds={kind: _integer(kinds, kind, 1) for kind in kinds},
    )


def _file(files: Mapping[str, Any], name: str) -> FileRecord:
    record = _object(files, name)
    return FileRecord(bytes=_integer(record, "bytes", 1), sha256=_text(record, "sha256"))


def _object(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if not isinstance(value, dict):
        raise BundleError(f"{MANIFEST_FILE} lacks the object {key!r}.")
    return value


def _text(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise BundleError(f"{MANIFEST_FILE} lacks the text {key!r}.")
    return value


def _integer(parent: Mapping[str, Any], key: str, low: int) -> int:
    value = parent.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= _MAX_INT:
        raise BundleError(f"{MANIFEST_FILE} lacks the whole number {key!r} of at least {low}.")
    return value
