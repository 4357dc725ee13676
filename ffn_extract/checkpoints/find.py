"""Find a model: a local folder, or a hub id of which only needed files are fetched."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import huggingface_hub.errors
from huggingface_hub import (
    HfApi,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ffn_extract.checkpoints.config import read_config
from ffn_extract.checkpoints.fairseq import FairseqModel, is_fairseq, open_fairseq
from ffn_extract.checkpoints.model_files import (
    CONFIG,
    TOKENIZER_FILES,
    VOCABULARY_FILES,
    WEIGHT_FILES,
    require_small,
    shard_names,
)
from ffn_extract.checkpoints.other_formats import other_format, require_no_adapter
from ffn_extract.checkpoints.tensor_files import TensorFiles, open_tensors
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.choice import chosen_files, is_gguf, stem_of
from ffn_extract.gguf_format.model import GGUFModel, open_gguf
from ffn_extract.gguf_format.tensors import GGUFFiles
from ffn_extract.quantised_formats.files import DequantisedFiles, dequantised

HUB_SECONDS = 10.0
# The base class of what the hub's HTTP client raises, whichever client that is.
_ConnectionFailure: type[Exception] = huggingface_hub.errors.HTTPError  # type: ignore[attr-defined]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_SHA256 = re.compile("[0-9a-f]{64}")
_DEFAULT_REVISION = "main"
_UNAUTHORISED = 401
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}

FileReport = Callable[[int, int], None]


@dataclass(frozen=True)
class Checkpoint:
    """A model's files on this machine. `revision` is the hub's commit, None for a folder.

    `gguf_files` are the names of the GGUF files that are the model, where it is kept so.
    """

    folder: Path
    name: str
    revision: str | None
    gguf_files: tuple[str, ...] = ()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json. Raises CheckpointError if it cannot be read."""
        if self.gguf is not None:
            return self.gguf.config
        if self._fairseq is not None:
            return self._fairseq.config
        return read_config(self.folder, self.name)

    @cached_property
    def tensors(self) -> TensorFiles:
        """The weights. Raises CheckpointError if they cannot be opened."""
        if self.gguf is not None:
            return GGUFFiles(self.gguf)
        if self._fairseq is not None:
            return self._fairseq.tensors
        files = open_tensors(self.folder)
        # What is in a folder without settings can be listed, though not extracted from.
        return dequantised(files, self.config) if (self.folder / CONFIG).exists() else files

    def stored_as(self, names: list[str]) -> dict[str, list[str]] | None:
        """Names of tensors by storage type, of a model in GGUF files or a quantised one."""
        if self.gguf is not None:
            return self.gguf.types_of(names)
        files = self.tensors
        return files.types_of(names) if isinstance(files, DequantisedFiles) else None

    @cached_property
    def gguf(self) -> GGUFModel | None:
        """The model in the GGUF files; None in other formats."""
        return open_gguf([self.folder / n for n in self.gguf_files]) if self.gguf_files else None

    @cached_property
    def _fairseq(self) -> FairseqModel | None:
        return open_fairseq(self.folder) if is_fairseq(self.folder) else None


def find_checkpoint(
    model: str,
    revision: str | None = None,
    report: FileReport = lambda done, total: None,
    *,
    gguf_file: str | None = None,
) -> Checkpoint:
    """Open the folder `model`, or fetch the hub id `model` at `revision` into the hub's cache.

    A GGUF file can be given itself, or by its name in the folder or repository as `gguf_file`.

    A hub that cannot be reached is no obstacle when the files are in the cache already. Private
    models use the token in HF_TOKEN or of `hf auth login`.

    Raises
    ------
    CheckpointError
        When there is neither; within seconds where there is no connection.
    """
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        require_no_adapter(os.listdir(folder), folder.resolve().name, folder)
        report(1, 1)
        return _in_folder(folder, gguf_file)
    if model and folder.is_file() and is_gguf(folder.name):
        report(1, 1)
        return _in_folder(folder.parent, folder.name)
    if model and folder.is_file():
        raise CheckpointError(
            f"{folder.name} is a file; a model is a folder with {CONFIG}, weights and the "
            f"tokenizer's files.{other_format([folder.name])}"
        )
    if not model or folder.exists() or not _HUB_ID.fullmatch(model):
        raise CheckpointError(
            f"{model or 'The empty name'} is neither a folder nor a hub id (such as gpt2 or "
            "google-bert/bert-base-uncased)."
        )
    try:
        return _from_hub(model, revision, report, gguf_file)
    except GatedRepoError as error:
        raise CheckpointError(
            f"The hub does not let you read {model}: ask for access on its page, and set HF_TOKEN."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"The hub has no model {model} (or it is private: then set HF_TOKEN), and there is no "
            "folder of that name."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{model} has no revision {revision} on the hub.") from error
    except (
        HfHubHTTPError, _ConnectionFailure, OfflineModeIsEnabled, OSError,
        # What its client makes of an answer that is no hub's.
        ValueError, KeyError, TypeError, AttributeError,
    ) as error:  # fmt: skip
        if isinstance(error, HfHubHTTPError) and error.response.status_code == _UNAUTHORISED:
            raise CheckpointError(
                "The hub does not accept the token in HF_TOKEN (or that of `hf auth login`): set a "
                "valid one, or none for public models."
            ) from error
        return _from_cache(model, revision, error, gguf_file)


def _in_folder(folder: Path, gguf_file: str | None) -> Checkpoint:
    name = folder.resolve().name
    if gguf_file is None and is_fairseq(folder):
        return Checkpoint(folder, name, None)
    files = chosen_files(os.listdir(folder), gguf_file, name)
    return Checkpoint(folder, stem_of(files[0]) if files else name, None, files)


def _refuse_a_cache_that_cannot_be_written(model: str, error: Exception) -> None:
    """The hub answered, and what it sent could not be kept: that is no connection's fault."""
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        where = error.filename or HF_HUB_CACHE
        raise CheckpointError(
            f"{model} cannot be kept on this machine: {where}: {os.strerror(error.errno)}. Set "
            "HF_HOME to a folder that this user can write and that has room."
        ) from error


def _from_hub(
    model: str, revision: str | None, report: FileReport, gguf_file: str | None
) -> Checkpoint:
    # By the branch's name and not by the commit's, so that the cache learns what the name means
    # and can answer without a connection.
    revision = revision or _DEFAULT_REVISION
    info = HfApi().model_info(model, revision=revision, timeout=HUB_SECONDS, files_metadata=True)
    present = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    require_small(model, present)
    require_no_adapter(present, model)
    gguf_files = chosen_files(present, gguf_file, f"{model} on the hub")
    if not gguf_files and not set(WEIGHT_FILES).intersection(present):
        raise CheckpointError(
            f"{model} on the hub has none of {', '.join(WEIGHT_FILES)}.{other_format(present)}"
        )
    names = [CONFIG, *TOKENIZER_FILES, *_first(WEIGHT_FILES, present)]
    wanted = list(gguf_files) or [name for name in names if name in present]
    folders: list[Path] = []
    while len(folders) < len(wanted):
        report(len(folders), len(wanted))
        name = wanted[len(folders)]
        known = try_to_load_from_cache(model, name, revision=revision)
        path = Path(hf_hub_download(model, name, revision=revision, etag_timeout=HUB_SECONDS))
        if str(path) != known:
            _require_named_content(path, model)
        folders.append(path.parent)
        if name.endswith(".index.json"):
            wanted.extend(shard_names(path))
    if not folders:
        raise CheckpointError(f"{model} on the hub has none of the files of a model.")
    if len(set(folders)) > 1:
        raise CheckpointError(f"{model} was changed on the hub while it was fetched; try again.")
    report(len(folders), len(wanted))
    return Checkpoint(folders[0], model, folders[0].name, gguf_files)


def _require_named_content(path: Path, model: str) -> None:
    """Refuse a fetched file whose bytes are not those that the hub named, and forget it.

    The cache names large files by the SHA-256 that the hub gave; its client compares sizes alone.
    """
    stored = path.resolve()
    if not _SHA256.fullmatch(stored.name):
        return
    with stored.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == stored.name:
            return
    path.unlink()
    stored.unlink(missing_ok=True)
    raise CheckpointError(
        f"The hub sent {path.name} of {model} with another SHA-256 than it announced. The file "
        "is not kept. Try again; if it happens again, tell the operator of the hub."
    )


def _first(names: tuple[str, ...], present: Collection[str]) -> list[str]:
    return [name for name in names if name in present][:1]


def _from_cache(
    model: str, revision: str | None, reason: Exception, gguf_file: str | None
) -> Checkpoint:
    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
        require_no_adapter(os.listdir(folder), model, folder)
        gguf_files = chosen_files(os.listdir(folder), gguf_file, model)
        if not gguf_files:
            open_tensors(folder)
        if not gguf_files and not any((folder / name).is_file() for name in VOCABULARY_FILES):
            raise CheckpointError(f"{model} has no vocabulary.")
    except (OSError, ValueError, CheckpointError):
        _refuse_a_cache_that_cannot_be_written(model, reason)
        raise CheckpointError(
            f"The hub cannot be reached, or the transfer stopped ({_sentence(reason)}), and "
            f"{model} is not in its cache on this machine, or is incomplete there. Either give a "
            "local folder with the model's config.json, safetensors and tokenizer files, or "
            "connect (HF_HOME names a filled cache, HF_TOKEN a private model's token, HF_ENDPOINT "
            "another hub)."
        ) from reason
    return Checkpoint(folder, model, folder.name, gguf_files)


def _sentence(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
