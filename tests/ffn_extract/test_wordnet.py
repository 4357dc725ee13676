"""Finding WordNet: what is installed, what can be fetched, what can be copied."""

import shutil
import threading
import time

import nltk
import pytest

from ffn_extract import wordnet as finder
from ffn_extract.errors import WordNetError
from ffn_extract.glosses import GLOSS_SOURCES, Gloss, gloss_each
from ffn_extract.glosses.wordnet import WordNetGlosses


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """No NLTK data, no connection, no Debian packages; returns our data folder."""
    monkeypatch.setenv("FFN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(finder, "_reachable", lambda url: False)
    monkeypatch.setattr(finder, "DEBIAN_FOLDER", tmp_path / "no-debian")
    monkeypatch.delenv(finder.HIDE, raising=False)
    return tmp_path / "data"


def place():
    """Where the WordNet is that is found without a download."""
    return finder.Path(str(finder.open_wordnet().root))


def copy_of(wordnet, folder):
    shutil.copytree(wordnet, folder / "corpora" / "wordnet")


def test_a_bare_machine_is_told_what_to_install(bare_machine):
    with pytest.raises(WordNetError) as refused:
        finder.open_wordnet()
    for way_out in ("fetch-wordnet", "wordnet-base", "wordnet-sense-index"):
        assert way_out in str(refused.value)


def test_nothing_is_downloaded_unless_somebody_asks_for_it(bare_machine, monkeypatch):
    monkeypatch.setattr(finder, "_reachable", pytest.fail)
    assert not finder.wordnet_is_at_hand()
    assert GLOSS_SOURCES["wordnet"]().look_up("dogs").lemma == "dog"  # from the packaged file


def test_nltks_data_comes_first(bare_machine, wordnet, tmp_path, monkeypatch):
    copy_of(wordnet, tmp_path / "nltk_data")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    monkeypatch.setattr(finder, "_copy_from_debian", pytest.fail)
    assert place() == tmp_path / "nltk_data" / "corpora" / "wordnet"


def test_the_downloader_is_asked_last(bare_machine, wordnet, monkeypatch):
    monkeypatch.setattr(finder, "_reachable", lambda url: True)

    def downloader(command, **_):
        folder = command[command.index("-d") + 1]
        copy_of(wordnet, finder.Path(folder))

    monkeypatch.setattr(finder.subprocess, "run", downloader)
    assert finder.fetch_wordnet() == bare_machine / "nltk_data" / "corpora" / "wordnet"


def test_an_archive_as_the_downloader_leaves_it_is_read_packed(bare_machine, wordnet):
    corpora = bare_machine / "nltk_data" / "corpora"
    corpora.mkdir(parents=True)
    shutil.make_archive(corpora / "wordnet", "zip", wordnet.parent, "wordnet")
    assert finder.open_wordnet().synsets("dogs")[0].name() == "dog.n.01"


def test_a_damaged_wordnet_is_named(bare_machine, wordnet):
    copy_of(wordnet, bare_machine / "nltk_data")
    (bare_machine / "nltk_data" / "corpora" / "wordnet" / "index.noun").unlink()
    with pytest.raises(WordNetError, match=r"The WordNet in .* cannot be read"):
        finder.open_wordnet()


def test_a_download_that_fails_is_told_with_other_ways(bare_machine):
    with pytest.raises(WordNetError, match=r"cannot reach its server.*wordnet-base"):
        finder.fetch_wordnet()


def test_a_copy_without_counts_is_completed_from_debian(bare_machine, wordnet, monkeypatch):
    copy_of(wordnet, bare_machine / "nltk_data")
    counts = bare_machine / "nltk_data" / "corpora" / "wordnet" / "cntlist.rev"
    counts.unlink()  # as versions before ranked senses copied it
    assert not finder.wordnet_is_at_hand()
    monkeypatch.setattr(finder, "DEBIAN_FOLDER", wordnet)
    finder.open_wordnet()
    assert counts.read_bytes() == (wordnet / "cntlist.rev").read_bytes()


def test_tests_can_hide_the_wordnet_of_this_machine(wordnet, monkeypatch):
    monkeypatch.setenv(finder.HIDE, "1")
    assert not finder.wordnet_is_at_hand()
    for find in (finder.open_wordnet, finder.fetch_wordnet):
        with pytest.raises(WordNetError):
            find()


def test_a_server_that_never_answers_costs_seconds(monkeypatch):
    waiting = threading.Event()

    def never(*_, **__):
        waiting.wait(90)
        raise OSError

    monkeypatch.setattr(finder, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(finder.urllib.request, "urlopen", never)
    start = time.monotonic()
    assert not finder._reachable("http://127.0.0.1:9")
    assert time.monotonic() - start < 30
    waiting.set()


def test_debians_copy_comes_second_and_reads_like_nltks(bare_machine, wordnet, monkeypatch):
    monkeypatch.setattr(finder, "DEBIAN_FOLDER", wordnet)
    assert place() == bare_machine / "nltk_data" / "corpora" / "wordnet"
    reader = finder.open_wordnet()
    assert reader.synset("dog.n.01").lexname() == "noun.animal"
    assert reader.synset("run.v.01").lexname() == "verb.motion"
    assert sorted(p.name for p in bare_machine.rglob(".wordnet.*")) == []


def test_two_processes_may_copy_at_the_same_time(bare_machine, wordnet, monkeypatch):
    monkeypatch.setattr(finder, "DEBIAN_FOLDER", wordnet)
    folder = bare_machine / "nltk_data"
    threads = [threading.Thread(target=finder._copy_from_debian, args=(folder,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in folder.iterdir()] == ["corpora"]
    assert place() == folder / "corpora" / "wordnet"


def test_lexnames_numbers_every_lexicographer_file():
    lines = finder._lexnames().splitlines()
    assert (len(lines), lines[0], lines[5]) == (45, "00\tadj.all\t3", "05\tnoun.animal\t1")
    assert (lines[2], lines[44]) == ("02\tadv.all\t4", "44\tadj.ppl\t3")


def test_each_thread_has_a_reader_of_its_own(wordnet):
    readers = [finder.open_wordnet(), finder.open_wordnet()]
    thread = threading.Thread(target=lambda: readers.append(finder.open_wordnet()))
    thread.start()
    thread.join()
    assert readers[0] is readers[1] is not readers[2]


@pytest.mark.parametrize(
    ("surface", "lemma", "beginning"),
    [
        ("dog", "dog", "a member of the genus Canis"),
        ("Dogs", "dog", "a member of the genus Canis"),
        ("wolves", "wolf", "any of various predatory carnivorous"),
        ("new york", "New York", "the largest city in New York State"),
        ("quickly", "quickly", "with rapid movements"),
    ],
)
def test_wordnet_gives_the_first_synset_and_the_lemma_that_matched(
    wordnet, surface, lemma, beginning
):
    gloss = WordNetGlosses().look_up(surface)
    assert gloss is not None
    assert (gloss.source, gloss.lemma) == ("wordnet", lemma)
    assert gloss.text.startswith(beginning)


def test_the_gloss_is_that_of_nltks_first_synset(wordnet):
    reader = finder.open_wordnet()
    for word in ("run", "fast", "better", "leaves", "slowly", "Paris", "saw", "u.s.", "abandoned"):
        assert WordNetGlosses(reader).look_up(word).text == reader.synsets(word)[0].definition()


@pytest.mark.parametrize("surface", ["the", "xqzt", " ", "ə", "a" * 1000, "%", "\x00"])
def test_wordnet_does_not_know_everything(wordnet, surface):
    assert WordNetGlosses().look_up(surface) is None


def test_every_registered_source_opens_and_tells_its_version(wordnet):
    for name, open_source in GLOSS_SOURCES.items():
        assert open_source().version, name


def test_the_first_source_that_knows_a_word_wins():
    class Source:
        version = "1"

        def __init__(self, name, *words):
            self._name, self._words = name, words

        def look_up(self, surface):
            return Gloss("…", self._name, surface) if surface in self._words else None

    sources = [Source("first", "a"), Source("second", "a", "b")]
    found = [g and g.source for g in gloss_each(["a", "b", "c", None, ""], sources)]
    assert found == ["first", "second", None, None, None]
