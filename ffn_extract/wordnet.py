"""Find WordNet on this machine, or fetch it, and open it with NLTK's reader.

Looked for in this order: NLTK's data where it is installed (and what an earlier run put into our
data folder), Debian's packages `wordnet-base` and `wordnet-sense-index`. Nothing is downloaded
unless `fetch_wordnet` is called; glosses do without (`ffn_extract.glosses.packaged`).
"""

import io
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.corpus.reader.wordnet import WordNetError as NLTKWordNetError
from nltk.data import PathPointer
from nltk.downloader import Downloader

from ffn_extract.data_folder import data_folder
from ffn_extract.errors import WordNetError

DEBIAN_FOLDER = Path("/usr/share/wordnet")
CONNECT_SECONDS = 8.0
DOWNLOAD_SECONDS = 300.0
HIDE = "FFN_HIDE_WORDNET"
"""For tests: where this is set, no WordNet of this machine is found."""
MISSING = (
    "WordNet is not installed: NLTK's data has no corpora/wordnet, and Debian's copy is not there. "
    "Run `python -m ffn_extract fetch-wordnet` on a machine with a connection, or install the "
    "packages wordnet-base and wordnet-sense-index."
)
UNREACHABLE = (
    "WordNet cannot be fetched: NLTK's downloader cannot reach its server. Install the packages "
    "wordnet-base and wordnet-sense-index, or run `python -m nltk.downloader wordnet` on a machine "
    "with a connection and copy its nltk_data."
)

_RESOURCE = "corpora/wordnet"
_INSTALLED_AS = (_RESOURCE, f"{_RESOURCE}.zip")  # the downloader leaves the archive packed
_PARTS_OF_SPEECH = ("noun", "verb", "adj", "adv")
_DEBIAN_FILES = (
    *(f"{prefix}.{part}" for prefix in ("index", "data") for part in _PARTS_OF_SPEECH),
    *(f"{part}.exc" for part in _PARTS_OF_SPEECH),
    "index.sense",
    "cntlist.rev",
)
_LEXNAMES = (
    *("adj.all", "adj.pert", "adv.all"),
    *("noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute", "noun.body"),
    *("noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food"),
    *("noun.group", "noun.location", "noun.motive", "noun.object", "noun.person"),
    *("noun.phenomenon", "noun.plant", "noun.possession", "noun.process", "noun.quantity"),
    *("noun.relation", "noun.shape", "noun.state", "noun.substance", "noun.time"),
    *("verb.body", "verb.change", "verb.cognition", "verb.communication", "verb.competition"),
    *("verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion"),
    *("verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather"),
    "adj.ppl",
)
"""Names of the lexicographer files, by number: lexnames(5WN)."""

_readers = threading.local()


class _EnglishReader(WordNetCorpusReader):  # type: ignore[misc]
    """NLTK's reader, opened in a third of the time: every worker that computes opens one."""

    def open(self, file: str) -> Any:
        """The indexes from memory: line by line, NLTK's own streams are slow."""
        stream = super().open(file)
        if not file.startswith("index."):
            return stream
        with stream:
            return io.StringIO(stream.read())

    def map_wn(self, version: str = "wordnet") -> None:
        """No other language is asked for, so nothing has to be mapped to this version."""


def open_wordnet() -> WordNetCorpusReader:
    """A reader of WordNet that belongs to the calling thread.

    NLTK's reader must not be shared between threads; each thread opens its own, once.

    Raises
    ------
    WordNetError
        When WordNet is not installed; the message says what to do.
    """
    pointer = _find()
    if pointer is None:
        raise WordNetError(MISSING)
    readers: dict[str, WordNetCorpusReader] = _readers.__dict__
    if str(pointer) not in readers:
        readers[str(pointer)] = _reader_at(pointer)
    return readers[str(pointer)]


def fetch_wordnet() -> Path:
    """The place of an installed WordNet, a folder or inside an archive; else download one.

    Raises WordNetError, within about ten seconds where there is no connection.
    """
    pointer = _find()
    if pointer is None and not os.environ.get(HIDE) and _download(data_folder() / "nltk_data"):
        pointer = _installed()
    if pointer is None:
        raise WordNetError(UNREACHABLE)
    return Path(str(pointer))


def wordnet_is_at_hand() -> bool:
    """Whether WordNet can be opened; makes no request and writes nothing."""
    return _installed() is not None or _debian_has_it()


def _find() -> PathPointer | None:
    found = _installed()
    if found is None and _debian_has_it():
        _copy_from_debian(data_folder() / "nltk_data")
        found = _installed()
    return found


def _installed() -> PathPointer | None:
    """A whole WordNet in NLTK's data or in our data folder.

    Copies that earlier versions made lack the counts of senses; they do not count.
    """
    if os.environ.get(HIDE):
        return None
    folder = data_folder() / "nltk_data"
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
    for place in (_RESOURCE, f"{_RESOURCE}.zip/wordnet/"):
        try:
            pointer = nltk.data.find(place)
            pointer.join("cntlist.rev")
        except (LookupError, OSError, ValueError):  # the last two: NLTK refuses odd paths, links
            continue
        return pointer
    return None


def _debian_has_it() -> bool:
    return not os.environ.get(HIDE) and all(
        (DEBIAN_FOLDER / name).is_file() for name in _DEBIAN_FILES
    )


def _reader_at(pointer: PathPointer) -> WordNetCorpusReader:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the multilingual wordnets are not loaded
            reader = _EnglishReader(pointer, None)
        reader.synsets("dog")
    except (LookupError, OSError, ValueError, NLTKWordNetError) as error:
        raise WordNetError(f"The WordNet in {pointer} cannot be read: {error}.") from error
    return reader


def _download(folder: Path) -> bool:
    """Fetch WordNet with NLTK's downloader; False when that fails."""
    return _reachable(Downloader.DEFAULT_URL) and _run_downloader(folder)


def _reachable(url: str) -> bool:
    """Whether the server answers soon; in a thread, because name lookups know no timeout."""
    answer: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response:  # noqa: S310 (our own address)  # nosec B310
                answer.put(response.status == 200)
        except (OSError, ValueError):
            answer.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        return False


def _run_downloader(folder: Path) -> bool:
    """NLTK's downloader in a process of its own, so that a stalled connection can be ended."""
    with _installed_at_once(folder) as temporary:
        command = [sys.executable, "-m", "nltk.downloader", "-q", "-d", str(temporary), "wordnet"]
        try:
            subprocess.run(
                command,
                timeout=DOWNLOAD_SECONDS,
                check=True,
                stdin=subprocess.DEVNULL,  # on failure it asks whether to try again
                capture_output=True,
                env={**os.environ, "NLTK_DATA": str(temporary)},  # it writes below its data only
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return any((temporary / name).exists() for name in _INSTALLED_AS)


def _copy_from_debian(folder: Path) -> None:
    """Copy Debian's files and add the `lexnames` that NLTK wants; NLTK refuses links to them."""
    with _installed_at_once(folder) as temporary:
        target = temporary / _RESOURCE
        target.mkdir(parents=True)
        for name in _DEBIAN_FILES:
            shutil.copyfile(DEBIAN_FOLDER / name, target / name)
        (target / "lexnames").write_text(_lexnames())
        earlier = folder / _RESOURCE
        if earlier.is_dir() and not (earlier / "cntlist.rev").exists():
            (target / "cntlist.rev").rename(earlier / "cntlist.rev")


def _lexnames() -> str:
    """The file `lexnames`: number, name and part of speech of each lexicographer file."""
    numbers = {part: number for number, part in enumerate(_PARTS_OF_SPEECH, start=1)}
    lines = (
        f"{number:02d}\t{name}\t{numbers[name.split('.')[0]]}\n"
        for number, name in enumerate(_LEXNAMES)
    )
    return "".join(lines)


@contextmanager
def _installed_at_once(folder: Path) -> Iterator[Path]:
    """A temporary folder whose WordNet is renamed into `folder` when it is complete.

    Two processes may do this at the same time; the first one's copy stays.
    """
    (folder / "corpora").mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".wordnet.", dir=folder))
    try:
        yield temporary
        for name in _INSTALLED_AS:
            if (temporary / name).exists() and not (folder / name).exists():
                try:
                    (temporary / name).rename(folder / name)
                except OSError:
                    if not (folder / name).exists():
                        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
