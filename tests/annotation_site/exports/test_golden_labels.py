"""Whole files of labels and of an archive, with everything that a record can hold."""

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import (
    AnnotationRecord,
    LabelsFileError,
    RecordPattern,
)
from annotation_site.exports.archive import ArchiveWriter

WHERE = {
    "model": "gpt2",
    "model_revision": "main",
    "weights_digest": "sha256:00",
    "bundle_digest": "sha256:11",
    "kind": "value",
    "layer": 3,
    "index": 1852,
    "list_use": "study",
    "token_ids": (5, 262),
    "tokens": (" the", "–\u2028"),
    "glosses": ("", 'an "article"'),
}
RECORDS = [
    AnnotationRecord(
        **WHERE,
        annotator="p12ab34cd56",
        annotator_name="ada",
        role="annotator",
        purpose="annotation",
        position=1,
        surplus=False,
        unblinded=False,
        reference_score=None,
        version=2,
        guidelines_version=1,
        opened_at=datetime(2026, 3, 2, 9, 0, 0, 5, tzinfo=UTC),
        submitted_at=datetime(2026, 3, 2, 9, 1, tzinfo=UTC),
        active_seconds=61,
        no_pattern=False,
        comment="=1+1\n",
        patterns=(
            RecordPattern(1, "“words”", "semantic", False, True, (1, 2)),
            RecordPattern(2, "", "names", True, False, ()),
        ),
    ),
    AnnotationRecord(
        **WHERE,
        annotator="p65dc43ba21",
        annotator_name=None,
        role="researcher",
        purpose="reference",
        position=40,
        surplus=True,
        unblinded=True,
        reference_score=0.75,
        version=1,
        guidelines_version=None,
        opened_at=None,
        submitted_at=datetime(2026, 3, 2, 10, tzinfo=UTC),
        active_seconds=0,
        no_pattern=True,
        comment="",
        patterns=(),
        looked_before=True,
    ),
]
_WHERE = (
    '{"schema_version":2,"model":"gpt2","model_revision":"main","weights_digest":"sha256:00",'
    '"bundle_digest":"sha256:11","kind":"value","layer":3,"index":1852,"list_use":"study",'
)
_LIST = '"token_ids":[5,262],"tokens":[" the","–\u2028"],"glosses":["","an \\"article\\""],'
GOLDEN = (
    _WHERE + '"annotator":"p12ab34cd56","annotator_name":"ada","role":"annotator",'
    '"purpose":"annotation","position":1,"surplus":false,"unblinded":false,'
    '"reference_score":null,"version":2,"guidelines_version":1,'
    '"opened_at":"2026-03-02T09:00:00.000005Z","submitted_at":"2026-03-02T09:01:00.000000Z",'
    '"active_seconds":61,"no_pattern":false,"comment":"=1+1\\n",' + _LIST + '"patterns":['
    '{"number":1,"description":"“words”","category":"semantic","stopwords":false,'
    '"stopwords_proposed":true,"ranks":[1,2]},'
    '{"number":2,"description":"","category":"names","stopwords":true,'
    '"stopwords_proposed":false,"ranks":[]}],"looked_before":false}\n'
    + _WHERE
    + '"annotator":"p65dc43ba21",'
    '"annotator_name":null,"role":"researcher","purpose":"reference","position":40,'
    '"surplus":true,"unblinded":true,"reference_score":0.75,"version":1,'
    '"guidelines_version":null,"opened_at":null,"submitted_at":"2026-03-02T10:00:00.000000Z",'
    '"active_seconds":0,"no_pattern":true,"comment":"",' + _LIST + '"patterns":[],'
    '"looked_before":true}\n'
)


def test_a_whole_file_of_json_lines() -> None:
    assert b"".join(map(labels_jsonl.line_of, RECORDS)).decode() == GOLDEN
    assert list(labels_jsonl.read(io.BytesIO(GOLDEN.encode()))) == RECORDS


def test_records_of_the_schema_before_looks_are_read() -> None:
    old = GOLDEN.replace('"schema_version":2', '"schema_version":1')
    for value in ("true", "false"):
        old = old.replace(f',"looked_before":{value}', "")
    expected = [replace(record, looked_before=False) for record in RECORDS]
    assert list(labels_jsonl.read(io.BytesIO(old.encode()))) == expected
    mixed = GOLDEN.replace('"schema_version":2', '"schema_version":1')
    with pytest.raises(LabelsFileError, match="has the field looked_before"):
        list(labels_jsonl.read(io.BytesIO(mixed.encode())))
    file = io.BytesIO()
    table = labels_parquet.schema(version=1).empty_table()
    pq.write_table(table, file)
    assert list(labels_parquet.read(file)) == []


def test_a_parquet_file_gives_the_same_records_and_the_same_bytes() -> None:
    files = []
    for _ in range(2):
        file = io.BytesIO()
        writer = labels_parquet.ParquetWriter(file)
        for record in RECORDS:
            writer.write(record)
        writer.close()
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert list(labels_parquet.read(io.BytesIO(files[0]))) == RECORDS


def test_a_whole_archive() -> None:
    file = io.BytesIO()
    with ArchiveWriter(file) as archive:
        archive.add_text("b.txt", "one")
        archive.add("a/c.txt", [b"t", b"wo"])
    with zipfile.ZipFile(file) as opened:
        found = {info.filename: opened.read(info).decode() for info in opened.infolist()}
        times = {info.date_time for info in opened.infolist()}
        rights = {info.external_attr >> 16 for info in opened.infolist()}
    assert list(found.items()) == [
        ("b.txt", "one"),
        ("a/c.txt", "two"),
        (
            "checksums.sha256",
            "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  a/c.txt\n"
            "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  b.txt\n",
        ),
    ]
    assert (times, rights) == ({(1980, 1, 1, 0, 0, 0)}, {0o100644})
