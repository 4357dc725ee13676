"""Bundles, and archives of them, as people bring them to the site."""

import io
import zipfile

from django.core.files.uploadedfile import SimpleUploadedFile

from ffn_extract.bundle import (
    ModelInfo,
    TokenRow,
    VectorRow,
    write_bundle,
)


def make_bundle(path, *, seed=0, name="tiny", model_type="bert"):
    """A small bundle: two lists of three tokens."""
    write_bundle(
        path,
        model=ModelInfo(name, None, model_type, 1, 4, 8, 9, "subword", "0" * 64),
        parameters={"kinds": ["value", "update"], "top_k": 3, "seed": seed},
        vectors=[
            VectorRow(
                "value", 0, 5, 1.5, [1, 2, 3], [0.5, 0.25, 0.125], [4, 5, 6], [-3.0, -2.0, -1.0]
            ),
            VectorRow(
                "update", 0, 0, 2.5, [3, 2, 1], [3.0, 2.0, 1.0], [6, 5, 4], [-3.0, -2.0, -1.0],
                "the text", 1, "text",
            ),
        ],
        tokens=[
            TokenRow(i, f"t{i}", "the" if i == 1 else f"⋯{i}", *gloss)
            for i in range(1, 7)
            for gloss in [("a gloss", "wordnet", "lemma") if i == 2 else (None, None, None)]
        ],
        environment={"packages": {}},
    )  # fmt: skip
    return path


URL = "/models/import/"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def zipped(files, *, within="", method=zipfile.ZIP_DEFLATED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        if within:
            archive.mkdir(within)
        for name, content in files.items():
            archive.writestr(f"{within}/{name}" if within else name, content)
    return {"bundle.zip": target.getvalue()}


def send(client, files):
    return client.post(
        URL, {"files": [SimpleUploadedFile(name, content) for name, content in files.items()]}
    )


def left_behind(bundles):
    """Every file below the folder of bundles."""
    return sorted(str(path.relative_to(bundles)) for path in bundles.rglob("*") if path.is_file())
