"""A small language model with fairseq's adaptive input and softmax, saved as fairseq saves one.

Modules are named so that their state_dict has fairseq's names.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import linear, log_softmax, relu

D_MODEL, D_FF, LAYERS = 16, 24, 2
CUTOFFS = (8, 20, 40)  # of a vocabulary of 40, in three bands
WORDS = [
    *("the", "cat", "of", "London", "dogs", "@-@", "running", "1984", "##s", "Mary", "\u00a0x"),
    *(f"word{number}" for number in range(23)),
    "madeupword0000",
    "madeupword0001",
]


@dataclass(frozen=True)
class Form:
    """What differs between checkpoints of this structure."""

    widths: tuple[int, ...] = (16, 4, 2)
    tied_rows: bool = True
    tied_maps: bool = True
    final_norm: bool = False


FORMS = {
    "released": Form(),
    "own maps": Form(tied_maps=False),
    "nothing tied": Form(tied_rows=False),
    "a narrow first band": Form(widths=(8, 4, 2)),
    "square maps": Form(widths=(16, 16, 16)),
    "square maps of its own": Form(widths=(16, 16, 16), tied_maps=False),
    "a final norm": Form(final_norm=True),
}


class Shared(nn.Module):
    """x to W·x, or to Wᵀ·x, with a weight that another module has too."""

    def __init__(self, weight, transposed=False):
        super().__init__()
        self.weight, self.transposed = weight, transposed

    def forward(self, x):
        return linear(x, self.weight.T if self.transposed else self.weight)


class Bands(nn.Module):
    """The adaptive input: per band an embedding of its own width and a map to d_model."""

    def __init__(self, widths):
        super().__init__()
        sizes = [stop - start for start, stop in zip((0, *CUTOFFS), CUTOFFS, strict=False)]
        self.embeddings = nn.ModuleList(
            nn.Sequential(nn.Embedding(size, width), nn.Linear(width, D_MODEL, bias=False))
            for size, width in zip(sizes, widths, strict=True)
        )

    def forward(self, ids):
        x = torch.zeros(*ids.shape, D_MODEL)
        for band, start, stop in zip(self.embeddings, (0, *CUTOFFS), CUTOFFS, strict=False):
            inside = (ids >= start) & (ids < stop)
            x[inside] = band(ids[inside] - start)
        return x


class TiedHead(nn.Module):
    """Scores of the first band's words, and one for each band after it."""

    def __init__(self, rows, n_tails):
        super().__init__()
        self.word_proj = Shared(rows)
        if rows.shape[1] != D_MODEL:
            self.word_proj = nn.Sequential(
                nn.Linear(D_MODEL, rows.shape[1], bias=False), Shared(rows)
            )
        self.class_proj = nn.Linear(D_MODEL, n_tails, bias=False)

    def forward(self, x):
        return torch.cat([self.word_proj(x), self.class_proj(x)], dim=-1)


class AdaptiveSoftmax(nn.Module):
    def __init__(self, bands, form):
        super().__init__()
        first, *others = bands.embeddings
        n_tails = len(others)
        if form.tied_rows:
            self.head = TiedHead(first[0].weight, n_tails)
        else:
            self.head = nn.Linear(D_MODEL, CUTOFFS[0] + n_tails, bias=False)
        self.tail = nn.ModuleList(self._tail(band, form) for band in others)
        self.register_buffer("version", torch.LongTensor([1]))

    @staticmethod
    def _tail(band, form):
        rows, into = band[0].weight, band[1].weight
        own_map = nn.Linear(D_MODEL, rows.shape[1], bias=False)
        own_rows = nn.Linear(rows.shape[1], rows.shape[0], bias=False)
        return nn.Sequential(
            Shared(into, transposed=True) if form.tied_rows and form.tied_maps else own_map,
            nn.Dropout(0.0),
            Shared(rows) if form.tied_rows else own_rows,
        )

    def band_scores(self, x):
        """What each band's softmax takes for its words, side by side: (…, vocab)."""
        head = self.head(x)[..., : CUTOFFS[0]]
        return torch.cat([head, *(tail(x) for tail in self.tail)], dim=-1)

    def log_probabilities(self, x):
        head = log_softmax(self.head(x), dim=-1)
        parts = [head[..., : CUTOFFS[0]]]
        for number, tail in enumerate(self.tail):
            of_band = head[..., CUTOFFS[0] + number, None]
            parts.append(of_band + log_softmax(tail(x), dim=-1))
        return torch.cat(parts, dim=-1)


class Layer(nn.Module):
    """A block without its attention, which is not read."""

    def __init__(self):
        super().__init__()
        self.final_layer_norm = nn.LayerNorm(D_MODEL)
        self.fc1, self.fc2 = nn.Linear(D_MODEL, D_FF), nn.Linear(D_FF, D_MODEL)

    def forward(self, x):
        return x + self.fc2(relu(self.fc1(self.final_layer_norm(x))))


class Decoder(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.embed_tokens = Bands(form.widths)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(D_MODEL) if form.final_norm else nn.Identity()
        self.adaptive_softmax = AdaptiveSoftmax(self.embed_tokens, form)

    def forward(self, ids):
        """The hidden state in front of the softmax."""
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class WikiLM(nn.Module):
    def __init__(self, form):
        super().__init__()
        torch.manual_seed(0)
        self.decoder = Decoder(form)


def settings(**changed) -> argparse.Namespace:
    return argparse.Namespace(
        **{
            "arch": "transformer_lm_wiki103", "decoder_layers": LAYERS,
            "decoder_embed_dim": D_MODEL, "decoder_ffn_embed_dim": D_FF, "activation_fn": "relu",
            "adaptive_input": True, "adaptive_input_cutoff": "8,20", "adaptive_input_factor": 4,
            "tie_adaptive_weights": True, "criterion": "adaptive_loss", "data": ["wiki103"],
            **changed,
        }
    )  # fmt: skip


def save(folder: Path, form: Form = FORMS["released"], *, zipped: bool = True) -> WikiLM:
    """Save a small model into a new folder; released files are of before torch's zip format."""
    folder.mkdir()
    model = WikiLM(form)
    content = {
        "args": settings(), "model": model.state_dict(), "optimizer_history": [{"num_updates": 3}],
        "extra_state": {"epoch": 1, "val_loss": None},
    }  # fmt: skip
    torch.save(content, folder / "model.pt", _use_new_zipfile_serialization=zipped)
    lines = [f"{word} {1000 - place}\n" for place, word in enumerate(WORDS)]
    (folder / "dict.txt").write_text("".join(lines), encoding="utf-8")
    return model
