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


def test_without_wordnet_the_default_corpus_is_the_packaged_one(monkeypatch):
    monkeypatch.setenv(wordnet_module.HIDE, "1")
    corpus = open_corpus("wordnet")
    assert (corpus.name, len(corpus.texts)) == ("wordnet-packaged", 1_000)
    assert len(set(corpus.texts)) == 1_000
    assert min(len(text.split()) for text in corpus.texts) >= 7


def test_a_wordnet_that_cannot_be_read_is_no_reason_for_the_packaged_one(monkeypatch):
    def damaged():
        raise WordNetError("The WordNet in X cannot be read.")

    monkeypatch.setattr(wordnet_module, "wordnet_is_at_hand", lambda: True)
    monkeypatch.setattr(wordnet_module, "open_wordnet", damaged)
    with pytest.raises(CorpusError, match=r"cannot be read\. .*--corpus FILE"):
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


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
MARKS = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}
FORMATS = {
    "a.txt": "one, café\nb\n",
    "a.jsonl": '{"text": "one, café"}\n{"text": "b"}\n',
    "a.json": '[\n  {"text": "one, café"},\n  {"text": "b"}\n]\n',
    "b.json": '[\n  "one, café",\n  null,\n  "b"\n]\n',
    "c.json": '{"text": "one, café"}\n{"text": "b"}\n',
    "a.csv": 'id,text\r\n1,"one, café"\r\n\r\n2,b\r\n',
    "a.TSV": "text\tid\none, café\t1\nb\t2\n",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_text_format_is_read_in_every_encoding_with_a_mark(tmp_path, name, encoding):
    content = (MARKS.get(encoding, "") + FORMATS[name]).encode(encoding)
    assert open_corpus(write(tmp_path / name, content)).texts == ["one, café", "b"]


def test_the_mark_of_a_file_joined_to_another_is_no_text(tmp_path):
    path = write(tmp_path / "a.txt", "a\n\ufeffb\n\ufeff\n \ufeff c\n".encode())
    assert open_corpus(path).texts == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", "plain text".encode("utf-16-le"), "is not UTF-8 text: it looks like UTF-16"),
        ("a.csv", b"id;text\n1;x\n", "has no 'text'. Its first line has: id;text. Name one"),
        ("a.csv", b"id,text\n1,x, y\n", "has 3 cells in the row that ends in line 2, and 2 in"),
        ("a.csv", b'text\n"x\n', "is no whole table at line 2: unexpected end of data."),
        ("a.tsv", b"text\ttext\nx\ty\n", "has more than one column 'text'."),
        ("a.csv", b"text\n", "has no text."),
        ("a.csv", b"", "has no text."),
        ("a.json", b"[]", "has no text."),
        (
            "a.json",
            b'{\n  "text": "x"\n}',
            'holds no array of texts or objects, but {"text": "x"}.',
        ),
        ("a.json", b'[{"text": "x"},', "is no whole JSON file: "),
        ("a.json", b"", "is no whole JSON file: "),
        ("a.json", b'["x", 3]', "has no JSON object in entry 2, but 3."),
        ("a.json", b'[{"body": 1}]', "has no 'text'. Entry 1 has: body. Name one"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, name, content, sentence):
    path = write(tmp_path / name, content)
    with pytest.raises(CorpusError) as refused:
        open_corpus(path)
    assert str(refused.value).startswith(f"The corpus {path} {sentence}")


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_every_kind_of_text_column_is_read(tmp_path, kind):
    path = write(tmp_path / "a.parquet", {"text": pa.array(["x", None, "y"]).cast(kind)})
    assert open_corpus(path).texts == ["x", "y"]
