"""Families that options describe: the lists equal float64 brute force, or a sentence says why."""

import itertools
import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from ffn_extract.bundle import open_bundle
from ffn_extract.checkpoints.outline import outline_of_folder
from ffn_extract.errors import FFNExtractError
from ffn_extract.estimate import estimate
from ffn_extract.model_sizes import sizes_of
from ffn_extract.norm_check import compare_norm
from ffn_extract.options import ExtractOptions
from ffn_extract.pipeline import extract
from tests.ffn_extract.tiny_families import LLAMA
from tests.ffn_extract.tiny_models import SENTENCES, byte_level_tokenizer

VOCABULARY = byte_level_tokenizer().get_vocab_size()
D, D_FF, LAYERS, EXPERTS = 12, 20, 3, 4
BASE = ExtractOptions(kinds=("value",), per_layer="all", top_k=6, glosses=(), name="it")


@dataclass
class Layout:
    """A model of no known family: its tensors, what describes them, and its value vectors."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    values: list[torch.Tensor] = field(default_factory=list)
    through: torch.Tensor | None = None

    def save(self, folder):
        folder.mkdir(exist_ok=True)
        save_file(
            {k: v.contiguous() for k, v in self.tensors.items()}, folder / "model.safetensors"
        )
        (folder / "config.json").write_text(json.dumps(self.config))
        fast = t.PreTrainedTokenizerFast(tokenizer_object=byte_level_tokenizer())
        fast.save_pretrained(folder)
        return folder


def layout(*, orientation="col", experts="none", shared=False, width=D, prefix="net.", norm=None):
    """Random tensors in one of the ways in which files hold an FFN."""
    random = torch.Generator().manual_seed(hash((orientation, experts, shared, width)) % 1000)

    def matrix(*shape):
        return torch.randn(*shape, generator=random)

    made = Layout(config={
        "model_type": "unheard_of", "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY,
        "layer_norm_eps": 1e-3,
    })  # fmt: skip
    middle = "" if shared else "{layer}."
    name = f"{prefix}blocks.{middle}ffn." + ("experts.{expert}.out" if experts == "many" else "out")
    for layer in range(1 if shared else LAYERS):
        own = [matrix(D_FF, D) for _ in range(EXPERTS if experts != "none" else 1)]
        stored = [one if orientation == "row" else one.T for one in own]
        if experts == "stack":
            made.tensors[name.format(layer=layer)] = torch.stack(stored)
        else:
            for expert, one in enumerate(stored):
                made.tensors[name.format(layer=layer, expert=expert)] = one
        made.tensors[f"{prefix}blocks.{layer}.ffn.gate_up.weight"] = matrix(2 * D_FF, D)
        made.values.append(torch.cat(own))
    if experts != "none":
        made.config["num_experts"] = EXPERTS
    made.tensors[f"{prefix}tokens"] = matrix(VOCABULARY, width)
    made.options = {
        "value_tensor": name, "unembedding_tensor": f"{prefix}tokens", "orientation": orientation
    }  # fmt: skip
    if width != D:
        made.tensors[f"{prefix}narrow"] = matrix(D, width)
        made.options["projection_tensor"] = f"{prefix}narrow"
        made.through = made.tensors[f"{prefix}narrow"].T
    if norm is not None:
        made.tensors |= {f"{prefix}norm.g": matrix(D), f"{prefix}norm.b": matrix(D)}
        made.options |= {"norm_gain_tensor": f"{prefix}norm.g", "norm_kind": norm}
        if norm == "layer":
            made.options["norm_bias_tensor"] = f"{prefix}norm.b"
        else:
            made.options["norm_offset"] = 1.0
    return made


def brute_force(made: Layout, projection: str) -> list[torch.Tensor]:
    """E·v of every layer in float64, by the definitions of the projections."""
    e = made.tensors[made.options["unembedding_tensor"]].double()
    scores = []
    for values in made.values:
        v = values.double()
        if projection != "raw":
            if made.options["norm_kind"] == "layer":
                v = v - v.mean(dim=1, keepdim=True)
            variance = (v**2).mean(dim=1, keepdim=True)
            gain = made.tensors[made.options["norm_gain_tensor"]].double()
            v = v * (gain + made.options.get("norm_offset", 0.0))
            if projection == "norm":
                v = v / torch.sqrt(variance + 1e-3)
                if "norm_bias_tensor" in made.options:
                    v = v + made.tensors[made.options["norm_bias_tensor"]].double()
        if made.through is not None:
            v = v @ made.through.double().T
        scores.append(v @ e.T)
    return scores


def require_equal(folder, scores: list[torch.Tensor], n_tokens: int = VOCABULARY) -> None:
    """Every value list of the bundle is the top of the scores, in their order."""
    rows = [row for rows in open_bundle(folder).iter_vectors() for row in rows]
    assert [(row.layer, row.index) for row in rows] == [
        (layer, i) for layer, some in enumerate(scores) for i in range(len(some))
    ]
    for row in rows:
        of_row = scores[row.layer][row.index, :n_tokens].numpy()
        best = np.lexsort((np.arange(len(of_row)), -of_row))[: BASE.top_k]
        assert row.token_ids == best.tolist()
        np.testing.assert_allclose(row.scores, of_row[best], rtol=1e-5)


LAYOUTS = [
    {"orientation": orientation, "experts": experts}
    for orientation, experts in itertools.product(("row", "col"), ("none", "many", "stack"))
] + [
    {"shared": True}, {"shared": True, "width": 5}, {"width": 5, "orientation": "row"},
    {"prefix": "language_model.model."}, {"prefix": ""},
]  # fmt: skip


@pytest.mark.parametrize("how", LAYOUTS, ids=str)
def test_every_way_in_which_files_hold_an_ffn_is_read(tmp_path, how):
    made = layout(**how)
    folder = made.save(tmp_path / "x")
    options = replace(BASE, **made.options)
    manifest = extract(str(folder), tmp_path / "out", options)
    require_equal(tmp_path / "out", brute_force(made, "raw"))
    assert manifest.model.n_layers == len(made.values)
    sizes = sizes_of(outline_of_folder(folder), options)
    assert sizes.values == tuple(len(values) for values in made.values)
    assert estimate(outline_of_folder(folder), options).lists == manifest.counts.vectors


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("projection", ["fold", "norm"])
@pytest.mark.parametrize("how", [{}, {"width": 5}, {"experts": "many"}], ids=str)
def test_fold_and_norm_are_those_of_the_norm_that_is_described(tmp_path, norm, projection, how):
    made = layout(norm=norm, **how)
    options = replace(BASE, **made.options, projection=projection)
    extract(str(made.save(tmp_path / "x")), tmp_path / "out", options)
    require_equal(tmp_path / "out", brute_force(made, projection))


def test_compare_norm_takes_the_norm_that_is_described(tmp_path):
    made = layout(norm="layer")
    wanted = {"kinds": ("value", "random"), "per_layer": D_FF, "projection": "norm"}
    options = replace(BASE, **made.options, **wanted)
    rows = compare_norm(str(made.save(tmp_path / "x")), options).rows
    raw, normed = (brute_force(made, projection) for projection in ("raw", "norm"))
    for row in rows:
        if row.kind == "value":
            tops = [
                s[row.layer].argsort(1, descending=True)[:, : BASE.top_k] for s in (raw, normed)
            ]
            shared = [len(set(a.tolist()) & set(b.tolist())) for a, b in zip(*tops, strict=True)]
            assert row.mean_iou == pytest.approx(
                np.mean([n / (2 * BASE.top_k - n) for n in shared]), abs=1e-6
            )


def without(made: Layout, *names: str) -> Layout:
    made.tensors = {k: v for k, v in made.tensors.items() if k not in names}
    return made


REFUSED = {
    "a typo": (layout(), {"value_tensor": "net.blocks.{layer}.ffn.outt"},
               r"have no net.blocks.\{layer\}.ffn.outt. Near names: net.blocks.\{layer\}.ffn.out "),
    "a typo in the unembedding": (layout(), {"unembedding_tensor": "net.token"},
                                  r"have no net.token. Near names: net.tokens \(\d+, 12\)"),
    "a typo in the key": (layout(), {"key_tensor": "net.blocks.{layer}.fn.gate_up.weight"},
                          r"Near names: net.blocks.\{layer\}.ffn.gate_up.weight \(40, 12\)"),
    "gate and up in one": (layout(), {"key_tensor": "net.blocks.{layer}.ffn.gate_up.weight"},
                           "holds two matrices, gate and up. Leave out --key-tensor"),
    "the other orientation": (layout(), {"orientation": "row"}, "Give --orientation col"),
    "fold without a norm": (layout(), {"projection": "fold"}, "Name its gain with --norm-gain"),
    "no epsilon": (layout(norm="rms"), {"projection": "norm"}, "Give --norm-epsilon"),
    "a gain of another size": (
        layout(norm="rms"), {"projection": "fold", "norm_gain_tensor": "net.tokens"},
        r"a norm of value vectors has shape \(12,\)"),
    "no matrix between": (layout(width=5), {"projection_tensor": None},
                          "Name the matrix between the two with --projection-tensor"),
    "a matrix between nothing": (layout(), {"projection_tensor": "net.tokens"},
                                 "so no matrix is between them. Leave out --projection-tensor"),
    "a matrix that does not fit": (layout(width=5), {"projection_tensor": "net.tokens"},
                                   r"should be \(5, 12\) or \(12, 5\)"),
    "an unembedding that is none": (
        layout(), {"unembedding_tensor": "net.blocks.0.ffn.gate_up.weight"},
        r"has 40 rows, .* no row for each token. Those that do: net.tokens"),
    "an expert too few": (
        without(layout(experts="many"), "net.blocks.1.ffn.experts.2.out"), {},
        "Layer 1 has no net.blocks.{layer}.ffn.experts.{expert}.out for expert 2"),
    "another number of experts": (
        without(layout(experts="many"), *(f"net.blocks.{i}.ffn.experts.3.out" for i in range(3))),
        {}, "have 3 experts in each layer .* says 4"),
    "updates of a shared FFN": (layout(shared=True), {"kinds": ("value", "update")},
                                "share one FFN, so it has no updates of one layer"),
    "a model that cannot be run": (layout(), {"kinds": ("value", "update")},
                                   "cannot be run, which the kind update needs"),
    "a layer too many": (layout(), {"per_layer": 10, "vectors": ((3, 0),)},
                         "has 3:0, and the model has 3 layers, 0 to 2"),
    "an index too many": (layout(), {"per_layer": 10, "vectors": ((2, 20),)},
                          "has 2:20, and layer 2 has 20 value vectors, 0 to 19"),
    "more than a layer has": (layout(), {"per_layer": 21},
                              "per_layer is 21, and layer 0 has 20 value vectors"),
    "lists longer than the vocabulary": (layout(), {"top_k": 1000}, "top_k is 1000, and the voc"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence_before_any_work(tmp_path, monkeypatch, case):
    made, changed, sentence = REFUSED[case]
    if case == "no epsilon":
        made.config.pop("layer_norm_eps", None)
    monkeypatch.setattr("ffn_extract.pipeline.Run.sampled", lambda *_: pytest.fail("it worked"))
    options = replace(BASE, corpus=str(SENTENCES), **{**made.options, **changed})
    monkeypatch.setattr(
        "ffn_extract.whole_layers.LayeredExtraction.layer", lambda *_: pytest.fail("it worked")
    )
    with pytest.raises(FFNExtractError, match=sentence.replace("{", r"\{").replace(r"\\{", r"\{")):
        extract(str(made.save(tmp_path / "x")), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def tiny(kind, **config):
    """A saved tiny model of transformers."""
    torch.manual_seed(0)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": VOCABULARY}
    model = kind(kind.config_class(**{**LLAMA, **special, **config}))
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def saved(model, folder):
    model.save_pretrained(folder)
    t.PreTrainedTokenizerFast(
        tokenizer_object=byte_level_tokenizer(), pad_token="<|endoftext|>"
    ).save_pretrained(folder)
    return folder


DOWN = "model.layers.{layer}.mlp.down_proj.weight"
HEADED = {"unembedding_tensor": "lm_head.weight", "orientation": "col", "norm_kind": "rms",
          "norm_gain_tensor": "model.norm.weight"}  # fmt: skip
TIED = {**HEADED, "unembedding_tensor": "model.embed_tokens.weight"}
LAYER_NORM = {"orientation": "col", "norm_kind": "layer"}
FAMILIES = {
    "glm": (t.GlmForCausalLM, {"head_dim": 8, "partial_rotary_factor": 0.5},
            {**HEADED, "value_tensor": DOWN}, "model.norm"),
    "smollm3": (t.SmolLM3ForCausalLM, {}, {**TIED, "value_tensor": DOWN}, "model.norm"),
    "granite": (t.GraniteForCausalLM, {"tie_word_embeddings": False},
                {**HEADED, "value_tensor": DOWN}, "model.norm"),
    "olmoe": (t.OlmoeForCausalLM, {"num_experts": 4, "num_experts_per_tok": 2},
              {**HEADED, "value_tensor": DOWN.replace("mlp", "mlp.experts.{expert}")},
              "model.norm"),
    "modernbert": (t.ModernBertForMaskedLM, {"cls_token_id": 1, "sep_token_id": 2},
                   {**LAYER_NORM, "value_tensor": "model.layers.{layer}.mlp.Wo.weight",
                    "unembedding_tensor": "model.embeddings.tok_embeddings.weight",
                    "norm_gain_tensor": "model.final_norm.weight"}, "model.final_norm"),
    "deberta-v2": (t.DebertaV2ForMaskedLM, {},
                   {**LAYER_NORM,
                    "value_tensor": "deberta.encoder.layer.{layer}.output.dense.weight",
                    "unembedding_tensor": "deberta.embeddings.word_embeddings.weight",
                    "norm_gain_tensor": "deberta.encoder.layer.{layer}.output.LayerNorm.weight",
                    "norm_bias_tensor": "deberta.encoder.layer.{layer}.output.LayerNorm.bias"},
                   "deberta.encoder.layer.{layer}.output.LayerNorm"),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_that_is_not_known_is_read_as_its_own_modules_say(tmp_path, family):
    """norm equals the model's own norm module and unembedding; updates equal its own FFN's."""
    kind, config, options, norm = FAMILIES[family]
    model = tiny(kind, **config)
    folder = saved(model, tmp_path / "x")
    stored = load_file(folder / "model.safetensors")
    extract(str(folder), tmp_path / "out", replace(BASE, **options, projection="norm"))
    e = stored[options["unembedding_tensor"]].double()
    head = model.get_output_embeddings()
    if family in ("glm", "smollm3", "granite", "olmoe"):
        torch.testing.assert_close(e, head.weight.double())
    scores = []
    for layer in range(2):
        pattern = options["value_tensor"]
        experts = range(4) if "{expert}" in pattern else range(1)
        values = torch.cat([stored[pattern.format(layer=layer, expert=i)].T for i in experts])
        module = model.get_submodule(norm.format(layer=layer)).double()
        with torch.no_grad():
            scores.append(module(values.double()) @ e.T)
    rows = [row for rows in open_bundle(tmp_path / "out").iter_vectors() for row in rows]
    assert len(rows) == sum(map(len, scores))
    for row in rows:
        of_row = scores[row.layer][row.index].numpy()
        # A norm of transformers may compute in float32, so what is compared is the scores.
        np.testing.assert_allclose(row.scores, of_row[row.token_ids], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            row.scores, np.sort(of_row)[::-1][: BASE.top_k], rtol=1e-3, atol=1e-4
        )


def test_albert_is_one_shared_ffn_in_front_of_narrow_embeddings(tmp_path):
    model = tiny(t.AlbertForMaskedLM, embedding_size=6)
    folder = saved(model, tmp_path / "x")
    stored = load_file(folder / "model.safetensors")
    options = replace(
        BASE,
        value_tensor="albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight",
        unembedding_tensor="albert.embeddings.word_embeddings.weight",
        orientation="col",
        projection_tensor="predictions.dense.weight",
    )
    manifest = extract(str(folder), tmp_path / "out", options)
    assert manifest.model.n_layers == 1
    values = stored[options.value_tensor].T.double()
    narrow = values @ stored["predictions.dense.weight"].double().T
    require_equal(tmp_path / "out", [narrow @ stored[options.unembedding_tensor].double().T])


def test_updates_of_a_model_in_parts_are_its_language_models(tmp_path):
    """The file calls the place `language_model.model.`, the running model otherwise."""
    text = {**LLAMA, "vocab_size": VOCABULARY, "model_type": "llama", "pad_token_id": 0}
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 8, "patch_size": 4,
    }  # fmt: skip
    config = t.LlavaConfig(text_config=text, vision_config=vision, image_token_index=5)
    torch.manual_seed(0)
    model = t.LlavaForConditionalGeneration(config).eval()
    folder = saved(model, tmp_path / "x")
    names = load_file(folder / "model.safetensors")
    (value,) = [name for name in names if name.endswith("0.mlp.down_proj.weight")]
    (head,) = [name for name in names if name.endswith("lm_head.weight")]
    options = replace(
        BASE, kinds=("update",), per_layer=4, corpus=str(SENTENCES), orientation="col",
        value_tensor=value.replace(".0.", ".{layer}."), unembedding_tensor=head,
    )  # fmt: skip
    extract(str(folder), tmp_path / "out", options)
    rows = [row for rows in open_bundle(tmp_path / "out").iter_vectors() for row in rows]
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    seen = {}
    for layer, block in enumerate(model.model.language_model.layers):
        block.mlp.register_forward_hook(lambda _m, _i, out, layer=layer: seen.update({layer: out}))
    for row in rows:
        with torch.no_grad():
            model(input_ids=torch.tensor([tokenizer(row.context)["input_ids"]]))
        update = seen[row.layer][0, row.context_position].double().numpy()
        assert row.norm == pytest.approx(np.linalg.norm(update), rel=1e-4)
        scores = load_file(folder / "model.safetensors")[head].double().numpy() @ update
        np.testing.assert_allclose(row.scores, np.sort(scores)[::-1][: BASE.top_k], atol=1e-4)


def test_an_encoders_updates_are_not_read_at_the_decoders_positions(tmp_path):
    model = tiny(t.BartForConditionalGeneration, d_model=16, encoder_layers=2, decoder_layers=2,
                 encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
                 decoder_ffn_dim=24, decoder_start_token_id=0)  # fmt: skip
    folder = saved(model, tmp_path / "x")
    options = replace(
        BASE, kinds=("update",), per_layer=2, corpus=str(SENTENCES), orientation="col",
        value_tensor="model.decoder.layers.{layer}.fc2.weight",
        unembedding_tensor="model.shared.weight",
    )  # fmt: skip
    assert extract(str(folder), tmp_path / "out", options).counts.vectors == 4
    other = replace(options, value_tensor="model.encoder.layers.{layer}.fc2.weight")
    with pytest.raises(FFNExtractError, match=r"layers.0.fc2 is the encoder's, .* in the decoder"):
        extract(str(folder), tmp_path / "other", other)
