"""Model files that somebody made to do harm: refused with a sentence, unread and not run."""

import json
import struct
import tracemalloc

import pytest

from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.checkpoints.tensor_files import open_tensors
from ffn_extract.errors import CheckpointError


def entry(shape, begin=0, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


# Heads of a file whose data are 16 bytes: what safetensors' own format forbids.
FORBIDDEN = {
    "longer than the file": (1 << 62, {"a": entry([2, 2])}),
    "of no length": (0, {"a": entry([2, 2])}),
    "negative offsets": (None, {"a": entry([2, 2], -16, 0)}),
    "data beyond the file": (None, {"a": entry([1 << 30, 4], 0, 1 << 34)}),
    "data that overlap": (None, {"a": entry([2, 2]), "b": entry([2, 2])}),
    "a hole": (None, {"a": entry([2], 0, 8), "b": entry([1], 12, 16)}),
    "a size that overflows": (None, {"a": entry([1 << 62, 8])}),
    "another size than its data": (None, {"a": entry([4, 4])}),
    "an unknown type": (None, {"a": entry([2, 2], dtype="EVIL")}),
    "a list": (None, [1, 2]),
    "no object": (None, {"a": 5}),
    "nested without end": (None, "[" * 100_000),
}


def write(path, length, head):
    text = (head if isinstance(head, str) else json.dumps(head)).encode()
    length = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", length) + text + b"\0" * 16)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_hostile_safetensors_head_is_refused_without_reading_what_it_claims(tmp_path, name):
    write(tmp_path / "model.safetensors", *FORBIDDEN[name])
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            open_tensors(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "name", ["longer than the file", "of no length", "a list", "no object", "nested without end"]
)
def test_the_page_that_estimates_refuses_a_hostile_head_too(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path / "model.safetensors", *FORBIDDEN[name])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        outline_of_folder(tmp_path)


@pytest.mark.parametrize("shape", [[-1, 4], [1 << 80, 1 << 80], [2.5, 2]])
def test_an_estimate_believes_no_shape_that_cannot_be(tmp_path, shape):
    (tmp_path / "config.json").write_text("{}")
    write(tmp_path / "model.safetensors", None, {"a": entry(shape)})
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        outline_of_folder(tmp_path)
