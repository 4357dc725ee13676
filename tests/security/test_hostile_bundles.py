"""Bundles that somebody made to fill memory or the database: refused, in a process of their own."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation_site.corpus import extraction_runs, importing
from annotation_site.corpus.models import Extraction, Token
from ffn_extract import child
from ffn_extract.bundle import BundleError, apart, open_bundle, parquet
from ffn_extract.bundle.columns import PREFIXES_SCHEMA, TOKENS_SCHEMA, VECTORS_SCHEMA
from ffn_extract.bundle.contents import CONTENTS
from ffn_extract.bundle.manifest import parse_manifest
from ffn_extract.bundle.rows import (
    CUT,
    LONGEST_TEXTS,
    PREFIXES_FILE,
    TOKENS_FILE,
    VECTORS_FILE,
    fitting,
)
from ffn_extract.glosses.gloss import Sense
from tests.ffn_extract.small_bundles import (
    small_prefixes,
    small_statistics,
    small_tokens,
    small_vectors,
    write_full_bundle,
    write_small_bundle,
)
from tests.security.environment import SECRETS

MOST_OF_A_BOMB_MB = 300
MOST_OF_ANY_MB = apart.MOST_MEMORY_MB + 64  # the program itself is beside its data
N = 7_249
GLOSS = ("gloss", "senses")
GLOSSED = ("gloss", "gloss_source", "gloss_lemma", "gloss_part")


@pytest.fixture
def folder(tmp_path):
    write_small_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def full(tmp_path):
    write_full_bundle(tmp_path / "full")
    return tmp_path / "full"


@pytest.fixture
def bundles(settings, tmp_path):
    settings.BUNDLES_DIR = tmp_path / "bundles"
    return settings.BUNDLES_DIR


def resign(folder, **counts):
    """Make sizes, digests and counts in the manifest fit the files, as a forger would."""
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    files = {
        name: dataclasses.replace(
            record,
            bytes=(folder / name).stat().st_size,
            sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        )
        for name, record in manifest.files.items()
    }
    counts = dataclasses.replace(manifest.counts, **counts)
    manifest = dataclasses.replace(manifest, files=files, counts=counts)
    (folder / "manifest.json").write_bytes(manifest.to_bytes())


def tokens_with(n=N, **columns):
    """The columns of tokens.parquet for the ids from 0 to n."""
    usual = {
        "token_id": pa.array(range(n), pa.int32()),
        "text": [f"t{i}" for i in range(n)],
        "display": [f"t{i}" for i in range(n)],
        **{f.name: pa.nulls(n, f.type) for f in TOKENS_SCHEMA if f.name.startswith(GLOSS)},
    }
    return pa.table({**usual, **columns})


def repeated(text, n=N):
    """A column that says one text so many times, and holds it once."""
    return pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), [text])


def write(folder, name, table, **options):
    pq.write_table(table, folder / name, compression="zstd", store_schema=False, **options)


def dictionary_bomb(folder, column="display", text="x" * 1_000_000):
    columns = {column: repeated(text)}
    if column.startswith("gloss"):
        columns.update({name: repeated("noun") for name in {*GLOSSED} - {column}})
    write(folder, TOKENS_FILE, tokens_with(**columns))
    resign(folder, tokens=N, glossed=N if column.startswith("gloss") else 0)


@pytest.mark.parametrize("column", ["text", "display", *GLOSSED])
def test_a_dictionary_bomb_is_refused_by_the_length_of_its_text(folder, column):
    dictionary_bomb(folder, column)
    assert (folder / TOKENS_FILE).stat().st_size < 300_000  # 7.2 GB when it is written out
    assert apart.check("heads", folder).refusal == ""
    outcome = apart.check("rows", folder)
    most = LONGEST_TEXTS[column]
    said = f"A text in column {column} has 1,000,000 bytes; at most {most:,} are read."
    assert outcome.refusal == said
    assert outcome.peak_mb < MOST_OF_A_BOMB_MB


@pytest.mark.parametrize("field", ["gloss", "lemma", "part"])
def test_a_dictionary_bomb_within_lists_is_refused_too(folder, field):
    count = pa.array([1] * N, pa.int32())
    names = ("gloss", "lemma", "part")
    texts = {name: repeated("x" * 1_000_000 if name == field else "noun") for name in names}
    senses = pa.StructArray.from_arrays([*texts.values(), count], [*texts, "count"])
    lists = pa.ListArray.from_arrays(np.arange(N + 1, dtype=np.int32), senses)
    glossed = {name: repeated("noun") for name in GLOSSED}
    write(folder, TOKENS_FILE, tokens_with(**glossed, senses=lists))
    resign(folder, tokens=N, glossed=N)
    assert (folder / TOKENS_FILE).stat().st_size < 300_000
    assert apart.check("heads", folder).refusal == ""
    outcome = apart.check("rows", folder)
    most = LONGEST_TEXTS[f"senses.{field}"]
    said = f"A text in column senses.{field} has 1,000,000 bytes; at most {most:,} are read."
    assert outcome.refusal == said
    assert outcome.peak_mb < MOST_OF_A_BOMB_MB


@pytest.mark.parametrize("column", ["kind", "context", "context_token"])
def test_a_dictionary_bomb_among_the_vectors_is_refused_too(folder, column):
    rows = [dataclasses.asdict(row) for row in small_vectors()]
    table = pa.Table.from_pylist(rows, VECTORS_SCHEMA)
    place = table.schema.get_field_index(column)
    write(
        folder, VECTORS_FILE, table.set_column(place, column, repeated("x" * 1_000_000, len(rows)))
    )
    resign(folder)
    outcome = apart.check("rows", folder)
    assert outcome.refusal.startswith(f"A text in column {column} has 1,000,000 bytes; at most")
    assert outcome.peak_mb < MOST_OF_A_BOMB_MB


@pytest.mark.parametrize("column", ["kind", "side", "prefix"])
def test_a_dictionary_bomb_among_the_trigger_prefixes_is_refused_too(full, column):
    rows = small_prefixes()
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], PREFIXES_SCHEMA)
    place = table.schema.get_field_index(column)
    bomb = table.set_column(place, column, repeated("x" * 1_000_000, len(rows)))
    write(full, PREFIXES_FILE, bomb)
    resign(full)
    outcome = apart.check("rows", full)
    assert outcome.refusal.startswith(f"A text in column {column} has 1,000,000 bytes; at most")
    assert outcome.peak_mb < MOST_OF_A_BOMB_MB


def many_statistics():
    row = small_statistics()[0]
    return [dataclasses.replace(row, index=index) for index in range(N)]


def many_prefixes():
    """Each text is as long as it may be; the file holds it once."""
    row = dataclasses.replace(small_prefixes()[0], prefix="x" * LONGEST_TEXTS["prefix"])
    return [
        dataclasses.replace(row, index=index, side=side, rank=n, sentence=n, up_sign=up,
                            coefficient=-up)
        for index in (0, 1)
        for side, up in (("positive", -1), ("negative", 1))
        for n in range(1, 51)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "rows", "most"),
    [
        ("value_statistics", many_statistics(), 100_000),
        ("trigger_prefixes", many_prefixes(), 700_000),
    ],
)
def test_optional_rows_are_counted_as_they_are_read(full, what, rows, most):
    content = CONTENTS[what]
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], content.schema)
    write(full, content.file, table)
    manifest = parse_manifest((full / "manifest.json").read_bytes())
    model = dataclasses.replace(manifest.model, d_ff=N)
    (full / "manifest.json").write_bytes(dataclasses.replace(manifest, model=model).to_bytes())
    full_lists = {"never_active": 2, "short": 0}  # of two of four keys; random ones have none
    keys = {"key": full_lists, "random-key": {"never_active": 4, "short": 0}}
    counts = {"keys": keys} if what == "trigger_prefixes" else {}
    resign(full, **{what: len(rows)}, **counts)
    assert apart.check("rows", full).refusal == ""
    assert apart.check("heads", full, max_bytes=most).refusal == ""
    refusal = apart.check("rows", full, max_bytes=most).refusal
    assert f"bytes or more when they are unpacked; at most {most:,} are read" in refusal


def test_long_texts_without_a_dictionary_are_refused_as_well(folder):
    long = ["x" * 100_000] * 2_000  # 200 MB, packed to some kilobytes
    plain = {"use_dictionary": False, "data_page_size": 1 << 30}
    write(folder, TOKENS_FILE, tokens_with(2_000, display=long), **plain)
    resign(folder, tokens=2_000, glossed=0)
    outcome = apart.check("rows", folder)
    assert (
        "100,000 bytes; at most 1,000" in outcome.refusal or "more than 384 MB" in outcome.refusal
    )
    assert (outcome.peak_mb or 0) < MOST_OF_ANY_MB


def test_rows_that_a_run_length_repeats_are_counted_as_they_are_read(folder):
    """Each text is allowed, their number is too, and the footer knows of some kilobytes."""
    text = "x" * LONGEST_TEXTS["display"]
    write(folder, TOKENS_FILE, tokens_with(display=repeated(text)))
    resign(folder, tokens=N, glossed=0)
    assert apart.check("heads", folder, max_bytes=1_000_000).refusal == ""
    outcome = apart.check("rows", folder, max_bytes=1_000_000)
    assert "bytes or more when they are unpacked; at most 1,000,000 are read" in outcome.refusal


def test_a_list_without_end_ends_the_check_and_not_the_site(folder):
    """A run length makes an entry of a list for next to nothing."""
    rows = [dataclasses.asdict(row) for row in small_vectors()]
    table = pa.Table.from_pylist(rows, VECTORS_SCHEMA)
    n = 40_000_000
    offsets = np.array([0] + [n] * len(rows), np.int32)
    endless = pa.ListArray.from_arrays(offsets, np.zeros(n, np.int32))
    write(folder, VECTORS_FILE, table.set_column(4, "token_ids", endless), data_page_size=1 << 30)
    resign(folder)
    assert (folder / VECTORS_FILE).stat().st_size < 10_000
    outcome = apart.check("rows", folder)
    assert "more than 384 MB of memory" in outcome.refusal or "3 entries" in outcome.refusal
    assert (outcome.peak_mb or 0) < MOST_OF_ANY_MB


def many_columns(folder):
    table = tokens_with(2)
    for n in range(5_000):
        table = table.append_column(f"c{n}" + "x" * 100, pa.array([1, 2]))
    write(folder, TOKENS_FILE, table)


def many_groups(folder):
    write(folder, TOKENS_FILE, tokens_with(15_000), row_group_size=1)


def long_metadata(folder):
    table = tokens_with(2).replace_schema_metadata({"k": "x" * (17 << 20)})
    pq.write_table(table, folder / TOKENS_FILE)


def footer_of(content):
    def make(folder):
        tail = len(content).to_bytes(4, "little") + b"PAR1"
        (folder / TOKENS_FILE).write_bytes(b"PAR1" + content + tail)

    return make


def footer_longer_than_the_file(folder):
    (folder / TOKENS_FILE).write_bytes(b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1")


FOOTERS = {
    "many columns": (many_columns, "has the columns"),
    "many row groups": (many_groups, "rows; the manifest says"),
    "long metadata": (long_metadata, "The footer of tokens.parquet has"),
    "longer than the file": (footer_longer_than_the_file, "The footer of tokens.parquet has"),
    # FileMetaData: a list of 2^31 - 1 schema elements; structs in structs; a string of 2 GB.
    "an endless list": (
        footer_of(b"\x15\x02\x19\xfc\xff\xff\xff\xff\x07"),
        "Couldn't deserialize thrift",
    ),
    "nested without end": (footer_of(b"\x1c" * 1_000_000), "Couldn't deserialize thrift"),
    "an endless string": (
        footer_of(b"\x15\x02\x68\xff\xff\xff\xff\x07"),
        "Couldn't deserialize thrift",
    ),
    "a million empty row groups": (
        footer_of(b"\x15\x02\x19\x0c\x16\x00\x19\xfc\xc0\x84\x3d" + b"\x00" * 1_000_000 + b"\x00"),
        "Couldn't deserialize thrift",
    ),
    "nothing": (footer_of(b""), "Couldn't deserialize thrift"),
}


@pytest.mark.parametrize("shape", FOOTERS)
def test_a_hostile_footer_is_refused_in_little_memory(folder, shape):
    make, sentence = FOOTERS[shape]
    make(folder)
    resign(folder, tokens=2)
    outcome = apart.check("heads", folder)
    assert sentence in outcome.refusal
    assert (outcome.peak_mb or 0) < MOST_OF_ANY_MB


def test_a_page_that_claims_to_be_huge_is_refused(folder):
    """The head of a page says how much it unpacks to."""
    n = 40_000  # 1.1 MB of texts, so that the size takes as many bytes as one of 128 MiB does
    texts = [f"{i:020}" for i in range(n)]
    table = tokens_with(n, text=texts)
    write(folder, TOKENS_FILE, table, use_dictionary=False, data_page_size=1 << 30)
    column = pq.read_metadata(folder / TOKENS_FILE).row_group(0).column(1)
    content = bytearray((folder / TOKENS_FILE).read_bytes())
    size = content.index(b"\x15", column.data_page_offset + 1)  # PageHeader's second field
    end = next(i for i in range(size + 1, size + 9) if content[i] < 0x80)
    content[size + 1 : end + 1] = b"\xfe" + b"\xff" * (end - size - 2) + b"\x7f"
    (folder / TOKENS_FILE).write_bytes(content)
    resign(folder, tokens=n, glossed=0)
    outcome = apart.check("rows", folder)
    assert "Corrupt ZSTD compressed data" in outcome.refusal
    assert outcome.peak_mb < MOST_OF_ANY_MB


def test_the_process_that_checks_has_a_limit_that_the_site_has_not(folder):
    """An allocation beyond the limit fails there, whatever the machine has."""
    program = (
        "from ffn_extract.bundle import apart;"
        "apart._limit(apart.resource.RLIMIT_DATA, apart.MOST_MEMORY_MB << 20);"
        "print(len(bytes(1 << 29)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=apart.environment(), capture_output=True, check=False
    )
    assert b"MemoryError" in done.stderr
    assert apart._sentence_about("x", done).startswith("x needs more than 384 MB of memory")


@pytest.mark.parametrize("status", [-9, -6, -11])
def test_a_check_that_was_killed_is_a_sentence(folder, monkeypatch, status):
    done = subprocess.CompletedProcess([], status, b"", b"")
    monkeypatch.setattr(apart.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(BundleError, match="needs more than 384 MB of memory"):
        apart.open_bundle_apart(folder)


def test_the_process_that_checks_sees_no_secret(folder, monkeypatch):
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    run, seen = subprocess.run, {}

    def watched(command, **options):
        printing = [sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"]
        seen.update(json.loads(run(printing, **options).stdout))
        return run(command, **options)

    monkeypatch.setattr(apart.subprocess, "run", watched)
    assert apart.open_bundle_apart(folder).manifest.counts.vectors == 12
    assert set(seen) <= {*child.TO_START, *apart._OWN, "PYTHONPATH", "LC_CTYPE"}
    assert not set(SECRETS.values()) & set(seen.values())
    assert "PATH" in seen


@pytest.mark.django_db
def test_an_uploaded_bomb_fails_with_its_sentence_and_leaves_no_row(folder, bundles):
    dictionary_bomb(folder)
    files = {path.name: path for path in folder.iterdir()}
    with importing.upload_staged(files=files) as upload:
        extraction, _ = importing.upload_take(upload=upload)
    extraction_runs.extraction_work(extraction_id=extraction.pk)
    extraction.refresh_from_db()
    assert extraction.state == Extraction.State.FAILED
    assert str(extraction.error).startswith("A text in column display has 1,000,000 bytes")
    assert (Token.objects.count(), os.listdir(bundles)) == (0, [".incoming"])


@pytest.mark.parametrize("what", ["upload", "command"])
@pytest.mark.django_db
def test_no_parquet_of_a_stranger_is_opened_in_the_site_itself(
    folder, tmp_path, bundles, monkeypatch, what
):
    """Neither to be checked nor to be loaded."""
    bomb = shutil.copytree(folder, tmp_path / "bomb")
    dictionary_bomb(bomb)

    def opened(*_, **__):
        raise AssertionError("opened in the site's own process")

    monkeypatch.setattr(parquet.pq, "ParquetFile", opened)
    if what == "command":
        with pytest.raises(BundleError, match="A text in column display"):
            importing.bundle_import(path=bomb)
        extraction, _ = importing.bundle_import(path=folder)
    else:
        with importing.upload_staged(files={p.name: p for p in folder.iterdir()}) as upload:
            extraction, _ = importing.upload_take(upload=upload)
        extraction_runs.extraction_work(extraction_id=extraction.pk)
        extraction.refresh_from_db()
    assert (extraction.state, extraction.error) == (Extraction.State.READY, "")
    assert extraction.vectors.count() == 12


def test_rows_that_are_read_apart_are_the_bundles_own(folder):
    here, there = open_bundle(folder), apart.open_bundle_apart(folder)
    assert list(there.iter_tokens(5)) == list(here.iter_tokens(5))
    assert list(there.iter_vectors(5)) == list(here.iter_vectors(5))


@pytest.mark.parametrize("name", [TOKENS_FILE, VECTORS_FILE, "manifest.json"])
def test_a_bundle_that_changed_after_it_was_checked_gives_no_row(folder, tmp_path, name):
    bundle = apart.open_bundle_apart(folder)
    if name == "manifest.json":  # a whole other bundle, which would pass a check of its own
        shutil.rmtree(folder)
        rows = [dataclasses.replace(row, norm=9.0) for row in small_vectors()]
        write_small_bundle(folder, vectors=rows, tokens=small_tokens())
        open_bundle(folder)
    else:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 3] ^= 1
        (folder / name).write_bytes(content)
    for rows in (bundle.iter_tokens(), bundle.iter_vectors()):
        with pytest.raises(BundleError, match=r"changed while it was read|does not match its dig"):
            next(rows)


def test_rows_that_kill_what_reads_them_are_a_sentence(folder, monkeypatch):
    """And so is a process that says something else than rows."""
    bundle = apart.open_bundle_apart(folder)
    for program in ("import os; os.abort()", "print('[1')", "print('7')"):
        monkeypatch.setattr(
            apart, "command", lambda *_, program=program: [sys.executable, "-c", program]
        )
        with pytest.raises(BundleError, match="crashes what reads it"):
            list(bundle.iter_tokens())


def test_what_is_written_always_fits_what_is_read(tmp_path):
    """Strange tokenizers and long texts: cut with a sign, at the end of a character."""
    long = "ж" * 20_000
    vectors = [
        dataclasses.replace(row, context=long if row.context else None, context_token=long)
        if row.kind == "update"
        else row
        for row in small_vectors()
    ]
    senses = (Sense(long, long, "noun", 1),) * 4
    glossed = {"gloss": long, "gloss_source": long, "gloss_lemma": long, "senses": senses}
    tokens = [
        dataclasses.replace(row, text=long, display=long, **glossed) for row in small_tokens()
    ]
    write_small_bundle(tmp_path / "out", vectors=vectors, tokens=tokens)
    bundle = open_bundle(tmp_path / "out")
    (written,) = bundle.iter_tokens()
    (rows,) = bundle.iter_vectors()
    for row in [*written, *(row for row in rows if row.kind == "update")]:
        for name, value in dataclasses.asdict(row).items():
            if isinstance(value, str) and name not in ("kind", "gloss_part"):
                assert value == "ж" * ((LONGEST_TEXTS[name] - 3) // 2) + CUT
    (sense, *_) = written[0].senses
    assert sense.gloss == "ж" * ((LONGEST_TEXTS["senses.gloss"] - 3) // 2) + CUT
    assert sense.lemma == "ж" * ((LONGEST_TEXTS["senses.lemma"] - 3) // 2) + CUT


def test_every_column_of_text_has_a_limit():
    fields = [
        (f"{column.name}.{field.name}" if within else column.name, field.type)
        for schema in [content.schema for content in CONTENTS.values()]
        for column in schema
        for within in [pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type)]
        for field in (column.type.value_type if within else [column])
    ]
    assert {name for name, kind in fields if pa.types.is_string(kind)} == set(LONGEST_TEXTS)


def test_a_text_of_just_the_longest_length_stays_as_it_is():
    for column, most in LONGEST_TEXTS.items():
        assert fitting("x" * most, column) == "x" * most
        left = "x" * (most - 3)
        cut = CUT + left if column == "prefix" else left + CUT
        assert fitting("x" * (most + 1), column) == cut
