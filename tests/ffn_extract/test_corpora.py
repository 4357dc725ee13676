"""The texts at which updates are read."""

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
    [(None, "cannot be read"), (b" \n", "has no text"), (b"\xff\xfe", "is not UTF-8")],
)
def test_a_corpus_that_cannot_be_had_says_what_to_do(tmp_path, content, sentence):
    path = tmp_path / "texts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match=sentence + r".*--corpus FILE.*--kinds value,random"):
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
