"""Load a model into transformers to run it, on fixed files and in float32 unless told otherwise.

transformers' own code only, whatever the folder brings.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from ffn_extract.checkpoints.find import Checkpoint
from ffn_extract.errors import CheckpointError
from ffn_extract.gguf_format.runnable_model import model_in_gguf
from ffn_extract.quantised_formats.files import DequantisedFiles


@dataclass(frozen=True)
class Purpose:
    """Purpose of running a model, and the way out without it, for the sentences of a refusal.

    `head` asks for the unembedding too.
    """

    needed_by: str
    way_out: str
    head: bool


UPDATES = Purpose("the kind update", "Leave it out with --kinds value,random", head=False)
MEASUREMENTS = Purpose("a measurement", "Give another model", head=True)
TRACES = Purpose("a trace", "Give another model", head=True)


_Key = tuple[Any, ...]


class KeptModel:
    """The last model that this process loaded, where `keep_last_model` was called.

    `loaded` counts how often one was loaded from its files.
    """

    def __init__(self) -> None:
        self.loaded = 0
        self._key: _Key = ()
        self._model: Any = None

    def get(self, key: _Key, load: Callable[[], Any]) -> Any:
        """The model of `key`; another one is let go of before it is loaded."""
        if key != self._key:
            self._key, self._model = (), None
            self._model = load()
            self._key = key
            self.loaded += 1
        return self._model


_kept: KeptModel | None = None


def keep_last_model() -> KeptModel:
    """From now on, keep the last loaded model of this process for whatever runs it next."""
    global _kept
    _kept = _kept or KeptModel()
    return _kept


def load_model(checkpoint: Checkpoint, purpose: Purpose, dtype: torch.dtype = torch.float32) -> Any:
    """The model, ready to run: with `purpose.head` the causal model, else the base one.

    Raises CheckpointError when transformers cannot load it whole.
    """
    if _kept is None:
        return _loaded(checkpoint, purpose, dtype)
    key = _key_of(checkpoint, purpose, dtype)
    return _kept.get(key, lambda: _loaded(checkpoint, purpose, dtype))


def _key_of(checkpoint: Checkpoint, purpose: Purpose, dtype: torch.dtype) -> _Key:
    """The key of a kept model: its files, as they are now, the head, and the precision."""
    return (*files_of(checkpoint), purpose.head, dtype)


def files_of(checkpoint: Checkpoint) -> tuple[Any, ...]:
    """A checkpoint's files as they are now, to be compared: names, sizes and times."""
    paths = sorted(path for path in checkpoint.folder.iterdir() if path.is_file())
    stats = [(path.name, (found := path.stat()).st_size, found.st_mtime_ns) for path in paths]
    return str(checkpoint.folder.resolve()), checkpoint.gguf_files, tuple(stats)


def _loaded(checkpoint: Checkpoint, purpose: Purpose, dtype: torch.dtype) -> Any:
    if checkpoint.gguf is not None:
        with _quiet():
            return model_in_gguf(
                checkpoint.gguf,
                checkpoint.tensors,
                needed_by=purpose.needed_by,
                way_out=purpose.way_out,
                head=purpose.head,
            ).to(dtype)
    try:
        with _quiet():
            model, loaded = _from_files(checkpoint, purpose, dtype)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{checkpoint.name} cannot be run, which {purpose.needed_by} needs: {reason} "
            f"{purpose.way_out}."
        ) from error
    # What the file lacks is random; a pooler stands behind the layers and changes no update.
    missing = sorted(name for name in loaded["missing_keys"] if "pooler" not in name.split("."))
    if missing:
        raise CheckpointError(
            f"{checkpoint.name} cannot be run, which {purpose.needed_by} needs: transformers does "
            f"not find {missing[0]} under a name that it knows. {purpose.way_out} "
            "or save the model again with save_pretrained."
        )
    return model.eval()


def with_random_weights(model: Any, seed: int) -> Any:
    """A model of the same settings whose weights are drawn as before training."""
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        # The settings name no files, so nothing is loaded.
        return type(model)(model.config).to(model.dtype).eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _from_files(
    checkpoint: Checkpoint, purpose: Purpose, dtype: torch.dtype
) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers says of its tensors.

    A quantised one is built with dequantised weights, so that its packages are not needed.
    """
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    form: dict[str, Any] = {
        "dtype": dtype, "attn_implementation": "eager", "output_loading_info": True
    }  # fmt: skip
    auto: Any = AutoModelForCausalLM if purpose.head else AutoModel  # untyped
    files = checkpoint.tensors
    if not isinstance(files, DequantisedFiles):
        loaded: tuple[Any, dict[str, Any]] = auto.from_pretrained(
            checkpoint.folder, **local, **form
        )  # local files only  # nosec B615
        return loaded
    config: Any = AutoConfig.from_pretrained(checkpoint.folder, **local)  # nosec B615
    parts: list[Any] = [config, getattr(config, "text_config", None)]
    for part in parts:
        if hasattr(part, "quantization_config"):
            del part.quantization_config
    tensors = files.in_memory()
    kinds: Any = (
        transformers.MODEL_FOR_CAUSAL_LM_MAPPING if purpose.head else transformers.MODEL_MAPPING
    )
    model, said = kinds[type(config)].from_pretrained(
        None, config=config, state_dict=tensors, **form
    )
    biased = {n for n in said["unexpected_keys"] if n.endswith(".bias") and tensors[n].any()}
    said["missing_keys"] = {*said["missing_keys"], *(n for n in biased if _in_a_layer(n))}
    return model, said


def _in_a_layer(name: str) -> bool:
    return any(part.isdecimal() for part in name.split("."))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' loading report and bars: a head that is left out is no news."""
    logs: Any = transformers.utils.logging  # untyped
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity(logging.ERROR)
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
