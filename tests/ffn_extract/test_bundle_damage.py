"""Damaged, truncated, foreign and forged bundles: each refused with a BundleError, nothing else."""

import contextlib
import dataclasses
import hashlib
import json
import math
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffn_extract.bundle import BundleError, open_bundle
from ffn_extract.bundle.columns import (
    PREFIXES_SCHEMA,
    STATISTICS_SCHEMA,
    TOKENS_SCHEMA,
    VECTORS_SCHEMA,
)
from ffn_extract.bundle.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from tests.ffn_extract.small_bundles import (
    every_kind,
    small_prefixes,
    small_statistics,
    small_tokens,
    small_vectors,
)

STATISTICS, PREFIXES = OPTIONAL = ("value_statistics.parquet", "trigger_prefixes.parquet")
FILES = ("manifest.json", "vectors.parquet", "tokens.parquet")
SENSE = {"gloss": "a dog", "lemma": "dog", "part": "noun", "count": 1}
VECTORS, TOKENS = "vectors.parquet", "tokens.parquet"


def test_every_changed_byte_is_noticed(small_bundle):
    for name in FILES:
        path = small_bundle / name
        intact = path.read_bytes()
        for position in range(0, len(intact), 1 if name == "manifest.json" else 11):
            for flip in (0x01, 0x8A):
                damaged = bytearray(intact)
                damaged[position] ^= flip
                path.write_bytes(damaged)
                with pytest.raises(BundleError):
                    open_bundle(small_bundle)
        path.write_bytes(intact)
    open_bundle(small_bundle)


@pytest.mark.parametrize("name", [*FILES, *OPTIONAL])
def test_a_truncated_file_is_noticed(full_bundle, name):
    path = full_bundle / name
    intact = path.read_bytes()
    for length in {0, 1, 4, len(intact) // 2, len(intact) - 1}:
        path.write_bytes(intact[:length])
        with pytest.raises(BundleError):
            open_bundle(full_bundle)


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_changed_byte_of_an_optional_file_is_noticed(full_bundle, name):
    path = full_bundle / name
    intact = path.read_bytes()
    for position in range(0, len(intact), 97):
        path.write_bytes(intact[:position] + bytes([intact[position] ^ 1]) + intact[position + 1 :])
        with pytest.raises(BundleError):
            open_bundle(full_bundle)


@pytest.mark.parametrize("name", [VECTORS, TOKENS])
def test_damaged_parquet_with_a_forged_digest_is_still_only_a_bundle_error(small_bundle, name):
    path = small_bundle / name
    intact = path.read_bytes()
    for position in range(0, len(intact), 13):
        damaged = bytearray(intact)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        _resign(small_bundle)
        try:
            open_bundle(small_bundle)  # a flip in an unused byte may well leave a valid bundle
        except BundleError:
            continue


@pytest.mark.parametrize("name", OPTIONAL)
def test_damage_of_optional_files_is_still_only_a_bundle_error(full_bundle, name):
    path = full_bundle / name
    intact = path.read_bytes()
    for position in range(0, len(intact), 41):
        path.write_bytes(
            intact[:position] + bytes([intact[position] ^ 0x55]) + intact[position + 1 :]
        )
        _resign(full_bundle)
        with contextlib.suppress(BundleError):
            open_bundle(full_bundle)


@pytest.mark.parametrize("name", [*FILES, *OPTIONAL])
def test_a_missing_file_is_named(full_bundle, name):
    (full_bundle / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        open_bundle(full_bundle)


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_file_must_be_listed_and_counted(full_bundle, small_bundle, name):
    shutil.copy(full_bundle / name, small_bundle)
    with pytest.raises(BundleError, match=f"its manifest does not list: {name}"):
        open_bundle(small_bundle)
    manifest = _manifest(small_bundle)
    record = _manifest(full_bundle).files[name]
    files = {**manifest.files, name: record}
    _write(small_bundle, dataclasses.replace(manifest, files=files))
    with pytest.raises(BundleError, match="must list exactly the files"):
        open_bundle(small_bundle)
    counted = {name.partition(".")[0]: 3}
    counts = dataclasses.replace(manifest.counts, **counted)
    _write(small_bundle, dataclasses.replace(manifest, files=files, counts=counts))
    with pytest.raises(BundleError, match="rows; the manifest says 3"):
        open_bundle(small_bundle)


def test_a_bundle_of_version_1_has_no_optional_file_and_no_new_kind(full_bundle):
    stored = json.loads((full_bundle / "manifest.json").read_text())
    stored["model"]["weights_digest"] = stored["model"].pop("fingerprint")
    stored["format_version"] = 1
    (full_bundle / "manifest.json").write_text(json.dumps(stored))
    with pytest.raises(BundleError, match="counts vectors of an unknown kind: key, permuted"):
        open_bundle(full_bundle)


def test_a_file_that_does_not_belong_is_named(small_bundle):
    (small_bundle / "extra.pickle").write_bytes(b"")
    with pytest.raises(BundleError, match=r"do not belong to a bundle: extra\.pickle"):
        open_bundle(small_bundle)


def test_a_folder_in_a_files_place_is_named(small_bundle):
    (small_bundle / VECTORS).unlink()
    (small_bundle / VECTORS).mkdir()
    with pytest.raises(BundleError, match=f"{VECTORS} in .* is not a file"):
        open_bundle(small_bundle)


def test_a_missing_folder_is_a_bundle_error(tmp_path):
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not readable as JSON"),
        (b"\xff", "not readable as JSON"),
        (b"[" * 100_000, "not readable as JSON"),
        (b'{"format": NaN}', "NaN is not a JSON number"),
        (b"[]", "not the manifest of an FFN Concepts bundle"),
        (b'{"format": "other"}', "not the manifest of an FFN Concepts bundle"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "larger than"),
    ],
)
def test_a_foreign_manifest_is_refused(small_bundle, content, sentence):
    (small_bundle / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(small_bundle)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("norm", 1.0, "shuffled tokens has norm"),
        ("scores", [3.0, 2.0, 1.0], "shuffled tokens has scores"),
        ("bottom_token_ids", [4, 5, 6], "shuffled tokens has bottom_token_ids"),
        ("bottom_scores", [1.0, 2.0, 3.0], "shuffled tokens has bottom_scores"),
        ("token_ids", [1, 2, 2], "names a token twice"),
        ("token_ids", [1, 2, 7], "tokens.parquet does not have"),
    ],
)
def test_a_broken_list_of_shuffled_tokens_is_refused(full_bundle, column, value, sentence):
    rows = [dataclasses.asdict(row) for row in every_kind()]
    assert rows[-1]["kind"] == "shuffled"
    rows[-1][column] = value
    _rewrite(full_bundle, VECTORS, pa.Table.from_pylist(rows, VECTORS_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(full_bundle)


@pytest.mark.parametrize("column", ["norm", "scores"])
def test_a_vector_needs_its_numbers(full_bundle, column):
    rows = [dataclasses.asdict(row) for row in every_kind()]
    rows[0][column] = None
    _rewrite(full_bundle, VECTORS, pa.Table.from_pylist(rows, VECTORS_SCHEMA))
    with pytest.raises(BundleError, match=f"Column {column} has an empty cell"):
        open_bundle(full_bundle)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("layer", None, "Column layer has an empty cell"),
        ("layer", 2, "wrong layer"),
        ("layer", -1, "wrong layer"),
        ("index", 8, "wrong index"),
        ("index", 1, "repeated or out of order"),
        ("norm", -1.0, "norm of a value vector"),
        ("norm", math.nan, "norm of a value vector"),
        ("kurtosis", -2.5, "kurtosis of a value vector"),
        ("kurtosis", None, "kurtosis and the skew of a value vector are not both given"),
        ("skew", math.inf, "skew of a value vector"),
        ("key_cosine", 1.5, "key_cosine of a value vector"),
    ],
)
def test_broken_statistics_are_refused(full_bundle, column, value, sentence):
    rows = [dataclasses.asdict(row) for row in small_statistics()]
    rows[0][column] = value
    _rewrite(full_bundle, STATISTICS, pa.Table.from_pylist(rows, STATISTICS_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(full_bundle)


@pytest.mark.parametrize(
    ("number", "changed", "sentence"),
    [
        (0, {"kind": "value"}, "unknown kind 'value'"),
        (0, {"side": "both"}, "unknown side 'both'"),
        (0, {"prefix": None}, "Column prefix has an empty cell"),
        (0, {"prefix": "x" * 4_001}, "column prefix has 4,001 bytes"),
        (0, {"layer": 2}, "wrong layer"),
        (0, {"index": -1}, "wrong index"),
        (0, {"index": 2}, "key that is not among the vectors"),
        (0, {"rank": 0}, "ranks of a key's trigger prefixes"),
        (1, {"rank": 3}, "ranks of a key's trigger prefixes"),
        (3, {"rank": 2}, "ranks of a key's trigger prefixes"),
        (0, {"sentence": -1}, "wrong sentence"),
        (0, {"position": -1}, "wrong position"),
        (0, {"copies": 0}, "wrong copies"),
        (0, {"token_id": 100}, "wrong token_id"),
        (0, {"token_id": -1}, "wrong token_id"),
        (0, {"coefficient": 0.0}, "does not have its side's sign"),
        (0, {"coefficient": -3.0}, "does not have its side's sign"),
        (3, {"coefficient": 3.0}, "does not have its side's sign"),
        (0, {"coefficient": math.inf}, "does not have its side's sign"),
        (1, {"coefficient": 3.5}, "not in the order of the coefficients"),
        (1, {"coefficient": 3.0, "sentence": 5}, "not in the order of the coefficients"),
        (2, {"sentence": 10}, "two trigger prefixes of one sentence"),
        (0, {"gate_sign": None}, "for some trigger prefixes only"),
        (0, {"gate_sign": None, "up_sign": None}, "for some trigger prefixes only"),
        (0, {"gate_sign": 1}, "do not multiply to the coefficient's sign"),
        (0, {"gate_sign": 0}, "do not multiply to the coefficient's sign"),
    ],
)
def test_a_broken_trigger_prefix_is_refused(full_bundle, number, changed, sentence):
    rows = [dataclasses.asdict(row) for row in small_prefixes()]
    rows[number].update(changed)
    _rewrite(full_bundle, PREFIXES, pa.Table.from_pylist(rows, PREFIXES_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(full_bundle)


def test_a_key_has_at_most_so_many_trigger_prefixes_on_a_side(full_bundle):
    (row, *_) = small_prefixes()
    rows = [dataclasses.replace(row, rank=n, sentence=n) for n in range(1, 52)]
    for most in (50, 51):
        table = pa.Table.from_pylist([dataclasses.asdict(r) for r in rows[:most]], PREFIXES_SCHEMA)
        counts = dataclasses.replace(
            _manifest(full_bundle).counts, trigger_prefixes=most, keys=None
        )
        _write(full_bundle, dataclasses.replace(_manifest(full_bundle), counts=counts))
        _rewrite(full_bundle, PREFIXES, table)
        if most == 50:
            open_bundle(full_bundle)
    with pytest.raises(BundleError, match="more than 50 trigger prefixes"):
        open_bundle(full_bundle)


def test_a_wrong_number_of_keys_with_a_short_list_is_refused(full_bundle):
    counts = _manifest(full_bundle).counts
    wrong = {**counts.keys, "key": {"never_active": 0, "short": 3}}
    _write(
        full_bundle,
        dataclasses.replace(_manifest(full_bundle), counts=dataclasses.replace(counts, keys=wrong)),
    )
    with pytest.raises(BundleError, match=r"counts keys as .*'short': 3.*; the trigger"):
        open_bundle(full_bundle)


@pytest.mark.parametrize("version", [0, 3, "1", 2.0, True, None])
def test_an_unknown_version_is_refused(small_bundle, version):
    with pytest.raises(BundleError, match=r"version .*; this program reads the versions 1 and 2"):
        _edit_manifest(small_bundle, ("format_version",), version)


@pytest.mark.parametrize(
    "path",
    [
        ("digest",), ("environment_digest",), ("environment", "python"), ("parameters", "seed"),
        ("model", "name"), ("model", "fingerprint"), ("counts", "tokens"),
        ("files", TOKENS, "sha256"), ("files", TOKENS, "bytes"),
    ],
)  # fmt: skip
def test_a_tampered_manifest_is_refused(small_bundle, path):
    with pytest.raises(BundleError):
        _edit_manifest(small_bundle, path, 7 if path[-1] in ("tokens", "bytes", "seed") else "f")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model",), None), (("model", "n_layers"), 0), (("model", "n_layers"), 10**30),
        (("model", "vocabulary"), "syllable"), (("model", "revision"), 3),
        (("model", "name"), ""), (("model", "name"), "\ud800"), (("counts", "kinds"), {"lock": 1}),
        (("counts", "vectors"), 12.0), (("parameters",), []), (("files",), {}),
        (("files", "../evil"), {"bytes": 1, "sha256": "0"}),
    ],
)  # fmt: skip
def test_a_malformed_manifest_is_refused(small_bundle, path, value):
    with pytest.raises(BundleError):
        _edit_manifest(small_bundle, path, value)


def test_a_manifest_that_is_not_canonical_is_refused(small_bundle):
    path = small_bundle / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(BundleError, match="not written canonically"):
        open_bundle(small_bundle)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model": {"n_layers": 1}}, "is of layer 1; the model has 1"),
        ({"model": {"d_ff": 2}}, "value vector of layer 0 has the index 2"),
        ({"model": {"vocab_size": 6}}, "outside the vocabulary"),
        ({"parameters": {"top_k": 4}}, "does not have 4 entries"),
        ({"parameters": {"top_k": "3"}}, "top_k is '3'"),
        ({"counts": {"vectors": 11}}, "has 12 rows; the manifest says 11"),
        ({"counts": {"tokens": 7}}, "has 6 rows; the manifest says 7"),
        ({"counts": {"glossed": 0}}, "1 tokens have a gloss; the manifest says 0"),
        ({"counts": {"kinds": {"value": 12}}}, "holds 6 update, 6 value; the manifest says"),
    ],
)
def test_a_manifest_that_does_not_fit_the_rows_is_refused(small_bundle, changed, sentence):
    manifest = parse_manifest((small_bundle / "manifest.json").read_bytes())
    for part, values in changed.items():
        before = getattr(manifest, part)
        after = (
            {**before, **values}
            if isinstance(before, dict)
            else dataclasses.replace(before, **values)
        )
        manifest = dataclasses.replace(manifest, **{part: after})
    _write(small_bundle, manifest)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(small_bundle)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("kind", "lock", "unknown kind 'lock'"),
        ("kind", None, "Column kind has an empty cell"),
        ("layer", -1, "is of layer -1"),
        ("index", -1, "has the index -1"),
        ("index", 1, "is repeated or out of order"),
        ("norm", math.nan, "norm is not a finite number"),
        ("norm", -1.0, "norm is not a finite number"),
        ("token_ids", [1, 2], "does not have 3 entries"),
        ("token_ids", [1, 2, 2], "names a token twice"),
        ("token_ids", [1, 2, 7], "tokens.parquet does not have"),
        ("token_ids", [1, 2, -3], "tokens.parquet does not have"),
        ("token_ids", [1, 2, None], "empty entry"),
        ("token_ids", None, "empty cell"),
        ("scores", [1.0, 2.0, 3.0], "not in the order of its scores"),
        ("scores", [math.inf, 2.0, 1.0], "not a finite number"),
        ("scores", [3.0, math.nan, 1.0], "not a finite number"),
        ("bottom_token_ids", None, "for some vectors only"),
        ("bottom_scores", None, "for some vectors only"),
        ("bottom_scores", [3.0, 2.0, 1.0], "not in the order of its scores"),
        ("context", "a text", "for updates, and for them only"),
    ],
)
def test_a_broken_vector_is_refused(small_bundle, column, value, sentence):
    rows = [dataclasses.asdict(row) for row in small_vectors()]
    rows[0][column] = value
    _rewrite(small_bundle, VECTORS, pa.Table.from_pylist(rows, VECTORS_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(small_bundle)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("token_id", 2, "ascending order of distinct ids"),
        ("token_id", -1, "outside the vocabulary"),
        ("text", None, "Column text has an empty cell"),
        ("display", None, "Column display has an empty cell"),
        ("gloss", "alone", "gloss and its gloss_source are not both given"),
        ("gloss_lemma", "alone", "gloss and its gloss_lemma are not both given"),
        ("gloss_part", "noun", "A token has gloss_part without a gloss"),
        ("senses", [SENSE], "A token has senses without a gloss"),
    ],
)
def test_a_broken_token_is_refused(small_bundle, column, value, sentence):
    rows = [dataclasses.asdict(row) for row in small_tokens()]
    rows[0][column] = value
    _rewrite(small_bundle, TOKENS, pa.Table.from_pylist(rows, TOKENS_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(small_bundle)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("gloss_part", "pronoun", "unknown part of speech 'pronoun'"),
        ("senses", [SENSE] * 5, "more than 4 senses"),
        ("senses", [None], "sense has an empty cell"),
        ("senses", [{**SENSE, "lemma": None}], "sense has an empty cell"),
        ("senses", [{**SENSE, "part": "pronoun"}], "unknown part of speech 'pronoun'"),
        ("senses", [{**SENSE, "count": -1}], "negative count"),
        ("senses", [{**SENSE, "gloss": "x" * 2_001}], r"column senses\.gloss has 2,001 bytes"),
    ],
)
def test_a_broken_meaning_is_refused(small_bundle, column, value, sentence):
    rows = [dataclasses.asdict(row) for row in small_tokens()]
    assert rows[1]["gloss"]
    rows[1][column] = value
    _rewrite(small_bundle, TOKENS, pa.Table.from_pylist(rows, TOKENS_SCHEMA))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(small_bundle)


def test_text_that_is_not_unicode_is_refused(small_bundle):
    table = pq.read_table(small_bundle / TOKENS)
    broken = pa.array([b"\xff"] * 6).view(pa.string())
    _rewrite(small_bundle, TOKENS, table.set_column(2, "display", broken))
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(small_bundle)


def test_other_columns_and_types_are_refused(small_bundle):
    table = pq.read_table(small_bundle / TOKENS)
    _rewrite(small_bundle, TOKENS, table.append_column("score", table["token_id"]))
    with pytest.raises(BundleError, match=r"tokens\.parquet has the columns"):
        open_bundle(small_bundle)
    wide = table.set_column(0, "token_id", table["token_id"].cast(pa.int64()))
    _rewrite(small_bundle, TOKENS, wide)
    with pytest.raises(BundleError, match=r"token_id of .* has the type int64, not int32"):
        open_bundle(small_bundle)


def test_a_row_group_too_large_to_read_is_refused_unread(small_bundle):
    n = 70_000
    rows = {name: [getattr(small_tokens()[0], name)] * n for name in TOKENS_SCHEMA.names}
    _rewrite(small_bundle, TOKENS, pa.table(rows, TOKENS_SCHEMA))
    manifest = _manifest(small_bundle)
    counts = dataclasses.replace(manifest.counts, tokens=n)
    _write(small_bundle, dataclasses.replace(manifest, counts=counts))
    with pytest.raises(BundleError, match="too large to be read safely"):
        open_bundle(small_bundle)


def test_a_bundle_can_be_moved(small_bundle, tmp_path):
    shutil.move(small_bundle, tmp_path / "elsewhere")
    assert open_bundle(tmp_path / "elsewhere").manifest.counts.vectors > 0


def _manifest(folder) -> Manifest:
    return parse_manifest((folder / "manifest.json").read_bytes())


def _write(folder, manifest: Manifest) -> None:
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


def _edit_manifest(folder, path, value) -> None:
    """Change one entry of the JSON as it is and open the bundle."""
    stored = json.loads((folder / "manifest.json").read_text())
    target = stored
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    text = json.dumps(stored, sort_keys=True, indent=2) + "\n"
    (folder / "manifest.json").write_text(text)
    open_bundle(folder)


def _rewrite(folder, name, table) -> None:
    """Replace a content file and make sizes and digests fit again, as a forger would."""
    pq.write_table(table, folder / name)
    _resign(folder)


def _resign(folder) -> None:
    manifest = _manifest(folder)
    files = {
        name: dataclasses.replace(
            record,
            bytes=(folder / name).stat().st_size,
            sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        )
        for name, record in manifest.files.items()
    }
    _write(folder, dataclasses.replace(manifest, files=files))
