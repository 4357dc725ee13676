"""Quantised files against what another implementation made of the same bytes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "quantised"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def fixture(name):
    """A fixture's tensors as stored, their numbers, and its quantization_config."""
    tensors = load_file(FIXTURES / f"{name}.safetensors")
    stored = {n.removeprefix("stored."): t for n, t in tensors.items() if n.startswith("stored.")}
    numbers = {n.removeprefix("numbers."): t for n, t in tensors.items() if n not in stored}
    numbers = {n: t for n, t in numbers.items() if not n.startswith("stored.")}
    settings = json.loads((FIXTURES / f"{name}.json").read_text())["quantization_config"]
    return stored, numbers, settings


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_other_implementation(name, tmp_path):
    from safetensors.torch import save_file

    from ffn_extract.checkpoints.tensor_files import open_tensors
    from ffn_extract.quantised_formats.files import dequantised

    stored, numbers, settings = fixture(name)
    save_file(stored, tmp_path / "model.safetensors")
    files = dequantised(open_tensors(tmp_path), {"quantization_config": settings})
    assert files.names == numbers.keys()
    for tensor, expected in numbers.items():
        assert files.shape(tensor) == tuple(expected.shape)
        expected = expected.to(torch.float32)
        for place in range(len(expected)) if expected.dim() == 3 else (None,):
            whole = expected if place is None else expected[place]
            rows, columns = whole.shape
            assert torch.equal(files.rows(tensor, 0, rows, place), whole)
            assert torch.equal(files.columns(tensor, 0, columns, place), whole)
            for start, stop in ((0, 1), (5, 19), (rows - 3, rows), (7, 7)):
                assert torch.equal(files.rows(tensor, start, stop, place), whole[start:stop])
                assert torch.equal(files.columns(tensor, start, stop, place), whole[:, start:stop])
