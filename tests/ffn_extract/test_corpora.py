"""The texts at which updates are read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffn_extract import wordnet as wordnet_module
from ffn_extract.corpora import open_corpus
from ffn_extract.errors import CorpusError, WordNetError


def test_a_file_gives_one_text_per_line(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("  one text \n\nanother, with café\r\n", encoding="utf-8")
    corpus = open_corpus(str(path))
    assert (corpus.name, corpus.texts) == ("file", ["one text", "another, with café"])


def test_the_digest_follows_the_texts_and_not_the_place(tmp_path):
    digests = []
    for name, content in (("a", "x\ny\n"), ("b", "x\n\ny"), ("c", "y\nx\n")):
        (tmp_path / name).write_text(content)
        digests.append(open_corpus(str(tmp_path / name)).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b" \n", "has no text"),
        (b"\xff\xfe", "has no text"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_corpus_that_cannot_be_had_says_what_to_do(tmp_path, content, sentence):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=sentence + r".*--corpus FILE.*--kinds value,random"):
        open_corpus(str(path))


def write(path, content):
    """A corpus file in the format that its name says; for .parquet, columns."""
    if path.suffix.lower() == ".parquet":
        pq.write_table(pa.table(content), path)
    else:
        path.write_bytes(content)
    return str(path)


JSONL = b"""{"text": " one text ", "title": "A"}

{"text": null, "title": "B"}
{"text": "", "title": "C"}
{"text": "another,\\nwith caf\\u00e9", "title": "D"}
"""
PARQUET = {"text": [" one text ", None, "", "another,\nwith café"], "title": list("ABCD")}


@pytest.mark.parametrize(("name", "content"), [("a.jsonl", JSONL), ("b.PARQUET", PARQUET)])
def test_a_field_of_a_table_holds_the_texts(tmp_path, name, content):
    path = write(tmp_path / name, content)
    corpus = open_corpus(path)
    assert (corpus.name, corpus.texts) == ("file", ["one text", "another,\nwith café"])
    titles = open_corpus(path, "title")
    assert titles.texts == ["A", "B", "C", "D"]
    assert titles.digest != corpus.digest


def test_the_same_texts_have_the_same_digest_in_every_format(tmp_path):
    lines = write(tmp_path / "a.txt", b"x\ny\n")
    objects = write(tmp_path / "a.jsonl", b'{"text": "x"}\n{"text": "y"}')
    words = pa.array(["x", "y"]).dictionary_encode()
    columns = write(tmp_path / "a.parquet", {"other": [1, 2], "text": words})
    large = write(tmp_path / "b.parquet", {"text": pa.array(["x", "y"], pa.large_string())})
    assert len({open_corpus(path).digest for path in (lines, objects, columns, large)}) == 1


def test_other_line_ends_than_the_newline_stay_inside_a_json_text(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "one\u2028text\x85"}\n{"text": "b"}'.encode())
    assert open_corpus(path).texts == ["one\u2028text", "b"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "has no JSON object in line 2: Expecting value"),
        ("a.jsonl", b'"x"', 'has no JSON object in line 1, but "x".'),
        ("a.jsonl", b"[" * 100_000, "has no JSON object in line 1"),
        ("a.jsonl", b'{"body": 1, "id": 2}', "has no 'text'. Line 1 has: body, id. Name one"),
        ("a.jsonl", b"{}", "has no 'text'. Line 1 has: nothing."),
        ("a.jsonl", b'{"text": ["x"]}', "has no text in 'text' of line 1, but [\"x\"]."),
        ("a.jsonl", b'{"text": "\\ud800"}', "is not UTF-8 text."),
        ("a.jsonl", b'{"text": "\xff"}', "is not UTF-8 text."),
        ("a.jsonl", b'{"text": " "}', "has no text."),
        ("a.parquet", {"body": ["x"]}, "has no 'text'. It has: body. Name one that holds text"),
        ("a.parquet", {"text": [1]}, "has no text in the column 'text', but int64."),
        ("a.parquet", {"text": pa.array([], pa.string())}, "has no text."),
    ],
)
def test_a_table_that_holds_no_texts_says_why(tmp_path, name, content, sentence):
    path = write(tmp_path / name, content)
    with pytest.raises(CorpusError) as refused:
        open_corpus(path)
    assert str(refused.value).startswith(f"The corpus {path} {sentence}")
    assert str(refused.value).endswith("(--kinds value,random).")


@pytest.mark.parametrize("kept", [0, 3, 40, -9])
def test_a_damaged_parquet_file_is_named(tmp_path, kept):
    path = tmp_path / "a.parquet"
    write(path, {"text": ["some text"] * 100})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CorpusError, match=r"cannot be read as Parquet|is damaged"):
        open_corpus(str(path))


def test_without_wordnet_the_default_corpus_says_what_to_do(monkeypatch):
    def nowhere():
        raise WordNetError(wordnet_module.MISSING)

    monkeypatch.setattr(wordnet_module, "open_wordnet", nowhere)
    with pytest.raises(CorpusError, match=r"wordnet-base .*--corpus FILE"):
        open_corpus("wordnet")


def test_wordnets_examples_are_those_of_nltk_in_the_order_of_the_files(wordnet):
    texts = open_corpus("wordnet").texts
    reader = wordnet_module.open_wordnet()
    expected: dict[str, None] = {}
    for synset, _ in zip(reader.all_synsets("n"), range(3000), strict=False):
        expected.update((example.strip(), None) for example in synset.examples())
    assert len(texts) > 40_000
    assert len(set(texts)) == len(texts)
    assert list(texts[: len(expected)]) == list(expected)
