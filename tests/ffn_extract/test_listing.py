"""`tensors` lists what a checkpoint holds, folded over layers and experts."""

import json

import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from ffn_extract.cli import main
from ffn_extract.tensor_names import folded_name, near_names


def lines_of(*arguments):
    ended = CliRunner().invoke(main, ["tensors", *map(str, arguments)])
    assert ended.exit_code == 0, ended.output
    return ended.stdout.splitlines()


def test_tensors_are_folded_over_layers_and_experts(tmp_path):
    expert, dense = torch.zeros(4, 6, dtype=torch.bfloat16), torch.zeros(4, 9)
    tensors = {f"m.{i}.experts.{e}.down.weight": expert for i in (1, 2, 4) for e in range(11)}
    tensors |= {"m.0.down.weight": dense, "head": torch.zeros(7, 4), "step": torch.tensor(3)}
    tensors["q.weight"] = torch.zeros(2, 2, dtype=torch.int8)
    save_file({k: v.clone() for k, v in tensors.items()}, tmp_path / "model.safetensors")
    pattern = "m.{layer}.experts.{expert}.down.weight"
    assert lines_of(tmp_path) == [
        f"{'head':38}  7 × 4     float32",
        f"{'m.{layer}.down.weight':38}  4 × 9     float32   layers 0",
        f"{pattern:38}  4 × 6     bfloat16  layers 1–2, 4; 11 experts, 0–10",
        f"{'q.weight':38}  2 × 2     int8",
        f"{'step':38}  a number  int64",
        "37 tensors, 5 patterns",
    ]
    assert lines_of(tmp_path, "--all")[-1] == "37 tensors"
    stored = json.loads("\n".join(lines_of(tmp_path, "--format", "json")))
    assert stored[2] == {
        "pattern": pattern, "shape": [4, 6], "dtype": "bfloat16",
        "layers": [1, 2, 4], "experts": list(range(11)),
    }  # fmt: skip


def test_every_tensor_of_a_model_is_listed_by_itself_on_request(tiny_model):
    for family in ("t5", "mixtral"):
        names = load_file(tiny_model(family) / "model.safetensors")
        lines = lines_of(tiny_model(family), "--all")
        assert [line.split()[0] for line in lines[:-1]] == sorted(names)
        patterns = {line.split()[0] for line in lines_of(tiny_model(family))[:-1]}
        assert patterns == {folded_name(name)[0] for name in names}


def test_a_second_number_in_a_name_is_no_layers():
    name = "decoder.block.3.layer.2.DenseReluDense.wo.weight"
    assert folded_name(name) == (name.replace(".3.", ".{layer}."), 3, None)


def test_near_names_are_the_files_own():
    shapes = {f"model.layers.{i}.mlp.down_proj.weight": (4, 9) for i in range(3)} | {"a": (4,)}
    said = near_names("model.layers.{layer}.mlp.down_prj.weight", shapes)
    assert said.startswith("Near names: model.layers.{layer}.mlp.down_proj.weight (4, 9); ")
    said = near_names("model.layers.1.mlp.down_prj.weight", shapes)
    assert "model.layers.1.mlp.down_proj.weight (4, 9)" in said
    assert near_names("zzz", shapes) == (
        "`python -m ffn_extract tensors MODEL` lists the names that it has."
    )
