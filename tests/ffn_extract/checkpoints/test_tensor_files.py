"""Weights on disk: the same through every kind of file, and never by running a pickle."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from ffn_extract.checkpoints.fingerprint import fingerprint
from ffn_extract.checkpoints.tensor_files import open_tensors
from ffn_extract.errors import CheckpointError

TENSORS = {
    "a": torch.arange(60, dtype=torch.float32).reshape(10, 6),
    "b": torch.arange(24).to(torch.bfloat16).reshape(4, 6),
    "c": torch.ones(5, dtype=torch.float16),
    "stack": torch.arange(60, dtype=torch.float32).reshape(3, 5, 4),
}


def safetensors(folder):
    save_file(TENSORS, folder / "model.safetensors")


def sharded_safetensors(folder):
    for name, tensor in TENSORS.items():
        save_file({name: tensor}, folder / f"model-{name}.safetensors")
    index(folder, "model.safetensors.index.json", {n: f"model-{n}.safetensors" for n in TENSORS})


def torch_bin(folder):
    torch.save(TENSORS, folder / "pytorch_model.bin")


def old_torch_bin(folder):
    torch.save(TENSORS, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def sharded_torch_bin(folder):
    for name, tensor in TENSORS.items():
        torch.save({name: tensor}, folder / f"part-{name}.bin")
    index(folder, "pytorch_model.bin.index.json", {n: f"part-{n}.bin" for n in TENSORS})


def index(folder, name, weight_map):
    (folder / name).write_text(json.dumps({"weight_map": weight_map}))


KINDS = [safetensors, sharded_safetensors, torch_bin, old_torch_bin, sharded_torch_bin]


@pytest.mark.parametrize("write", KINDS)
def test_rows_and_columns_are_the_same_from_every_kind_of_file(tmp_path, write):
    write(tmp_path)
    files = open_tensors(tmp_path)
    assert files.names == set(TENSORS)
    assert files.shape("a") == (10, 6)
    assert torch.equal(files.rows("a", 3, 5), TENSORS["a"][3:5])
    assert torch.equal(files.columns("b", 2, 3), TENSORS["b"][:, 2:3])
    assert files.rows("b", 0, 4).dtype == torch.bfloat16
    assert torch.equal(files.rows("stack", 1, 4, 2), TENSORS["stack"][2, 1:4])
    assert torch.equal(files.columns("stack", 1, 3, 2), TENSORS["stack"][2, :, 1:3])


def test_the_fingerprint_does_not_depend_on_the_files(tmp_path):
    digests = set()
    for write in KINDS:
        folder = tmp_path / write.__name__
        folder.mkdir()
        write(folder)
        digests.add(fingerprint(open_tensors(folder), ["stack", "c", "a", "b"]))
    assert len(digests) == 1


def test_the_fingerprint_notices_a_value_a_name_and_a_type(tmp_path):
    changed = (
        TENSORS,
        {**TENSORS, "a": TENSORS["a"] + 1},
        {**TENSORS, "c": TENSORS["c"].to(torch.bfloat16)},
        {**TENSORS, "a": TENSORS["a"].reshape(6, 10)},
        {"a2" if name == "a" else name: tensor for name, tensor in TENSORS.items()},
    )
    digests = set()
    for number, tensors in enumerate(changed):
        (tmp_path / str(number)).mkdir()
        save_file(tensors, tmp_path / str(number) / "model.safetensors")
        files = open_tensors(tmp_path / str(number))
        digests.add(fingerprint(files, files.names))
    assert len(digests) == len(changed)


def test_the_fingerprint_of_a_large_tensor_sees_its_first_and_last_row(tmp_path):
    digests = set()
    for number, row in enumerate((None, 0, -1)):
        tensor = torch.zeros(70_000, 64)
        if row is not None:
            tensor[row, 63] = 1
        (tmp_path / str(number)).mkdir()
        save_file({"a": tensor}, tmp_path / str(number) / "model.safetensors")
        digests.add(fingerprint(open_tensors(tmp_path / str(number)), ["a"]))
    assert len(digests) == 3


class Reads:
    """The tensors of a file, and how many bytes were read of them."""

    def __init__(self, files):
        self.names, self.shape, self._files, self.bytes = files.names, files.shape, files, 0

    def rows(self, *place):
        rows = self._files.rows(*place)
        self.bytes += rows.numel() * rows.element_size()
        return rows


@pytest.mark.parametrize("place", [(0, 0), (3, 1499), (7, 1499)])
def test_the_fingerprint_of_a_stack_reads_a_part_and_sees_its_first_and_last_row(tmp_path, place):
    stack = torch.zeros(8, 1500, 200)
    digests = set()
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        save_file({"experts": stack}, tmp_path / str(number) / "model.safetensors")
        reads = Reads(open_tensors(tmp_path / str(number)))
        digests.add(fingerprint(reads, ["experts"]))
        assert reads.bytes <= (1 << 20) + 800
        stack[(*place, slice(None))] = 1
    assert len(digests) == (1 if place[0] == 3 else 2)  # between its windows nothing is read


def test_the_fingerprint_of_many_tensors_reads_less_of_each(tmp_path):
    tensors = {f"expert {number}": torch.zeros(512, 128) for number in range(1100)}
    save_file(tensors, tmp_path / "model.safetensors")
    reads = Reads(open_tensors(tmp_path))
    fingerprint(reads, tensors)
    assert reads.bytes < 256 << 20 < 1100 * 512 * 128 * 4


def test_safetensors_are_preferred(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    safetensors(tmp_path)
    assert open_tensors(tmp_path).names == set(TENSORS)


class Evil:
    def __reduce__(self):
        return os.system, ("touch pickle-was-run",)


def test_a_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled objects other than tensors"):
        open_tensors(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(CheckpointError):
        open_tensors(tmp_path)
    assert not (tmp_path / "pickle-was-run").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 100, b"{}"])
def test_a_damaged_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        open_tensors(tmp_path)


def test_a_folder_without_weights_says_what_is_needed(tmp_path):
    with pytest.raises(CheckpointError, match=r"one of model\.safetensors, .* is needed"):
        open_tensors(tmp_path)


def test_a_missing_shard_is_named(tmp_path):
    sharded_safetensors(tmp_path)
    (tmp_path / "model-b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"does not have: model-b\.safetensors"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"weight_map": []}', "[]"])
def test_a_damaged_index_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match="no readable index of shards"):
        open_tensors(tmp_path)


def test_an_index_cannot_point_outside_the_folder(tmp_path):
    index(tmp_path, "model.safetensors.index.json", {"a": "../secret.safetensors"})
    with pytest.raises(CheckpointError, match="outside the model's folder"):
        open_tensors(tmp_path)


def test_quantised_weights_are_refused_by_name(tmp_path):
    save_file({"a": torch.ones(4, 4, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"a is stored as int8; .* not quantised"):
        open_tensors(tmp_path).rows("a", 0, 1)
