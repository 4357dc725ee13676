"""`manifest.json`: content, origin and digests of a bundle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from ffn_extract.errors import BundleError
from ffn_extract.limits import MOST_EXPERTS, MOST_LAYERS, MOST_VOCABULARY, MOST_WIDTH
from ffn_extract.options import KEY_KINDS, USUAL_KINDS, VECTOR_KINDS

MANIFEST_FILE = "manifest.json"
FORMAT = "ffn-concepts-bundle"
FORMAT_VERSION = 2
FORMAT_VERSIONS = (1, FORMAT_VERSION)
"""The versions that are read; the last one is written."""
MAX_MANIFEST_BYTES = 1 << 20
VOCABULARIES = ("word", "subword")
_MAX_INT = 2**63 - 1
_UNSIGNED = ("digest", "environment", "environment_digest")


UNEMBEDDINGS = {
    "head": "the head in the file",
    "config": "the embeddings, to which the model's own settings tie the head",
    "family": "the embeddings, to which the family ties the head by default",
    "named": "named with --unembedding-tensor",
    "encoder": "the embeddings, onto which an encoder is projected",
    "adaptive": "the bands of the adaptive softmax",
}
"""How the unembedding was chosen, in words."""


@dataclass(frozen=True)
class UnembeddingInfo:
    """The tensors of the unembedding, and how they were chosen: a key of `UNEMBEDDINGS`."""

    tensors: list[str]
    chosen: str


@dataclass(frozen=True)
class ModelInfo:
    """The model of the vectors.

    `d_ff` is the largest number of value vectors that a layer has, `vocab_size` the number of rows
    of the unembedding. `fingerprint` identifies the weights whatever files they are stored in; see
    `ffn_extract.checkpoints.fingerprint`. `unembedding` is None in bundles that do not tell;
    `layers_read` are the numbers of the layers read where those are not all of `n_layers`.
    `stored_as` names the tensors that define the lists by their types, in a GGUF or quantised
    model.
    """

    name: str
    revision: str | None
    model_type: str
    n_layers: int
    d_model: int
    d_ff: int
    vocab_size: int
    vocabulary: str
    fingerprint: str
    unembedding: UnembeddingInfo | None = None
    layers_read: list[int] | None = None
    stored_as: dict[str, list[str]] | None = None

    def to_json(self, version: int = FORMAT_VERSION) -> dict[str, Any]:
        """The manifest's entries, without optional ones that are not there."""
        optional = ("unembedding", "layers_read", "stored_as")
        names = {"fingerprint": _fingerprint_key(version)}
        return {
            names.get(name, name): value
            for name, value in asdict(self).items()
            if value is not None or name not in optional
        }


def _fingerprint_key(version: int) -> str:
    return "weights_digest" if version == 1 else "fingerprint"


@dataclass(frozen=True)
class Counts:
    """Rows of the files, and of each kind; `glossed` counts tokens with a gloss.

    The rows of an optional file are None where the bundle lacks it. `keys` counts, of each kind
    that has trigger prefixes, the keys that are `never_active` and those with a `short` list, of
    fewer prefixes with a positive coefficient than people are shown; None in bundles that do not
    tell.
    """

    vectors: int
    tokens: int
    glossed: int
    kinds: dict[str, int]
    value_statistics: int | None = None
    trigger_prefixes: int | None = None
    keys: dict[str, dict[str, int]] | None = None

    def to_json(self) -> dict[str, Any]:
        """The manifest's entries, without those of files that are not there."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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
        return digest_of({k: v for k, v in self._entries().items() if k not in _UNSIGNED})

    def _entries(self) -> dict[str, Any]:
        parts = {"model": self.model.to_json(self.format_version), "counts": self.counts.to_json()}
        return {**asdict(self), **parts}

    def to_json(self) -> dict[str, Any]:
        """The manifest as it is stored, with its two digests."""
        return {
            **self._entries(),
            "digest": self.digest,
            "environment_digest": digest_of(self.environment),
        }

    def to_bytes(self) -> bytes:
        """The canonical serialisation: sorted keys, two spaces, UTF-8, a final newline."""
        return canonical_json(self.to_json())


def digest_of(value: object) -> str:
    """sha256 of a value's JSON, with sorted keys and without spaces."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_json(value: object) -> bytes:
    """A value as a manifest is stored: sorted keys, two spaces, UTF-8, a final newline."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2)
    return f"{text}\n".encode()


def parse_manifest(content: bytes) -> Manifest:
    """Parse a manifest and check its form, types and digests.

    Raises BundleError when it is not valid, with a sentence that says why.
    """
    try:
        stored = json.loads(content.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{MANIFEST_FILE} is not readable as JSON: {error}.") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise BundleError(f"{MANIFEST_FILE} is not the manifest of an FFN Concepts bundle.")
    version = stored.get("format_version")
    if type(version) is not int or version not in FORMAT_VERSIONS:
        raise BundleError(
            f"The bundle has format version {version!r}; this program reads the versions "
            f"{' and '.join(map(str, FORMAT_VERSIONS))}. Install a newer ffn-concepts, or make the "
            "bundle again."
        )
    manifest = _manifest(stored, version)
    try:
        digest, canonical = manifest.digest, manifest.to_bytes()
    except UnicodeEncodeError:
        raise BundleError(f"{MANIFEST_FILE} holds text that is not valid Unicode.") from None
    if stored.get("digest") != digest:
        raise BundleError(
            f"The digest in {MANIFEST_FILE} does not match its content. Copy the bundle again."
        )
    if content != canonical:
        raise BundleError(
            f"{MANIFEST_FILE} was changed, or not written canonically. Copy the bundle again."
        )
    return manifest


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _manifest(stored: Mapping[str, Any], version: int) -> Manifest:
    model = _object(stored, "model")
    counts = _object(stored, "counts")
    files = _object(stored, "files")
    return Manifest(
        model=_model(model, version),
        parameters=_object(stored, "parameters"),
        counts=_counts(counts, version),
        files={name: _file(files, name) for name in files},
        environment=_object(stored, "environment"),
        format_version=version,
    )


def _model(model: Mapping[str, Any], version: int) -> ModelInfo:
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
        n_layers=_integer(model, "n_layers", 1, MOST_LAYERS),
        d_model=_integer(model, "d_model", 1, MOST_WIDTH),
        d_ff=_integer(model, "d_ff", 1, MOST_EXPERTS * MOST_WIDTH),
        vocab_size=_integer(model, "vocab_size", 1, MOST_VOCABULARY),
        vocabulary=vocabulary,
        fingerprint=_text(model, _fingerprint_key(version)),
        unembedding=_unembedding(model),
        layers_read=_layers_read(model),
        stored_as=_stored_as(model),
    )


def _unembedding(model: Mapping[str, Any]) -> UnembeddingInfo | None:
    if "unembedding" not in model:
        return None
    entry = _object(model, "unembedding")
    tensors, chosen = entry.get("tensors"), entry.get("chosen")
    if not isinstance(tensors, list) or not tensors or not all(isinstance(t, str) for t in tensors):
        raise BundleError(f"unembedding.tensors in {MANIFEST_FILE} must be a list of names.")
    if chosen not in UNEMBEDDINGS:
        raise BundleError(
            f"unembedding.chosen must be one of {', '.join(UNEMBEDDINGS)}, not {chosen!r}."
        )
    return UnembeddingInfo(tensors, chosen)


def _layers_read(model: Mapping[str, Any]) -> list[int] | None:
    if "layers_read" not in model:
        return None
    layers, n_layers = model["layers_read"], _integer(model, "n_layers", 1)
    whole = isinstance(layers, list) and all(type(layer) is int for layer in layers)
    if not whole or not layers or layers != sorted({n for n in layers if 0 <= n < n_layers}):
        raise BundleError(
            f"layers_read in {MANIFEST_FILE} must be ascending numbers below n_layers."
        )
    return list(layers)


def _stored_as(model: Mapping[str, Any]) -> dict[str, list[str]] | None:
    if "stored_as" not in model:
        return None
    types = _object(model, "stored_as")
    for names in types.values():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BundleError(f"stored_as in {MANIFEST_FILE} must be lists of names by their type.")
    return types


def kinds_of(version: int) -> tuple[str, ...]:
    """The kinds that a version of the format knows, in their order."""
    return USUAL_KINDS if version == 1 else VECTOR_KINDS


def _counts(counts: Mapping[str, Any], version: int) -> Counts:
    kinds = _object(counts, "kinds")
    unknown = sorted(set(kinds) - set(kinds_of(version)))
    if unknown:
        raise BundleError(f"The bundle counts vectors of an unknown kind: {', '.join(unknown)}.")
    return Counts(
        vectors=_integer(counts, "vectors", 1),
        tokens=_integer(counts, "tokens", 1),
        glossed=_integer(counts, "glossed", 0),
        kinds={kind: _integer(kinds, kind, 1) for kind in kinds},
        **{
            name: _integer(counts, name, 0)
            for name in ("value_statistics", "trigger_prefixes")
            if name in counts and version > 1
        },
        keys=_keys(counts) if "keys" in counts and version > 1 else None,
    )


def _keys(counts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    keys = _object(counts, "keys")
    if set(keys) - set(KEY_KINDS):
        raise BundleError(f"counts.keys in {MANIFEST_FILE} names a kind that has no keys.")
    return {
        kind: {name: _integer(_object(keys, kind), name, 0) for name in ("never_active", "short")}
        for kind in keys
    }


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


def _integer(parent: Mapping[str, Any], key: str, low: int, most: int = _MAX_INT) -> int:
    value = parent.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
        raise BundleError(f"{MANIFEST_FILE} lacks the whole number {key!r} from {low} to {most:,}.")
    return value
