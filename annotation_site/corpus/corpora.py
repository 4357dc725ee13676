"""Corpora of sentences: WordNet's, files in CORPORA_DIR, and those that researchers upload."""

import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext, gettext_noop, ngettext

from annotation_site import bounds
from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.corpus.locations import file_of_texts, local_corpora
from annotation_site.corpus.models import (
    UNFINISHED,
    UPLOADED,
    Corpus,
    CorpusContent,
    Extraction,
)
from annotation_site.errors import Invalid, NotAllowed
from annotation_site.sentences import Sentence
from ffn_extract import corpora
from ffn_extract.atomic_file import atomic_file
from ffn_extract.options import WORDNET_CORPUS, ExtractOptions

MOST_BYTES = 32 * 2**20
MOST_SENTENCES = 500_000
MOST_CORPORA = 100  # of one person
BLOCK = 2**20  # bytes of a text that are decompressed at a time
GONE = gettext_noop(
    "The corpus was deleted. Upload it again, or enqueue the model with another one."
)


@transaction.atomic
def corpus_add(*, name: str, licence: str, path: Path, by: User) -> Corpus:
    """Store an uploaded file with a sentence on each line.

    Raises Invalid for a name that is taken, for what is not UTF-8, holds no sentence, too many or
    too long ones, and beyond MOST_CORPORA of one person.
    """
    if Corpus.objects.filter(uploaded_by=by).count() >= MOST_CORPORA:
        raise Invalid(
            gettext("You have %(most)s corpora, which is the limit. Delete one first.")
            % {"most": MOST_CORPORA}
        )
    sentences = _sentences(path.read_bytes())
    content = "".join(f"{sentence}\n" for sentence in sentences).encode()
    corpus = Corpus(
        name=name,
        licence=licence,
        sentences=len(sentences),
        size=len(content),
        digest=corpora.Corpus("file", sentences).digest,
        beginning=sentences[0][:200],
        uploaded_by=by,
    )
    try:
        with transaction.atomic():
            corpus.save()
    except IntegrityError as error:
        raise Invalid(
            gettext("There is a corpus “%(name)s” already. Choose another name.") % {"name": name}
        ) from error
    CorpusContent.objects.create(corpus=corpus, compressed=zlib.compress(content))
    audit.record("corpus_uploaded", target=corpus, actor=by, sentences=len(sentences))
    return corpus


def _sentences(content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            gettext("Line %(line)s is not UTF-8. Save the file as UTF-8 text and upload it again.")
            % {"line": content.count(b"\n", 0, error.start) + 1}
        ) from error
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if len(line) > bounds.SENTENCE:
            raise Invalid(
                gettext(
                    "Line %(line)s has %(found)s characters; the limit is %(most)s. Put each "
                    "sentence on a line of its own."
                )
                % {"line": number, "found": f"{len(line):,}", "most": f"{bounds.SENTENCE:,}"}
            )
        if "\0" in line:
            raise Invalid(
                gettext("Line %(line)s holds a null character: this is no text file.")
                % {"line": number}
            )
    sentences = corpora.texts_of(lines)
    if not sentences:
        raise Invalid(gettext("The file holds no sentence. Upload one with a sentence per line."))
    if len(sentences) > MOST_SENTENCES:
        raise Invalid(
            gettext("The file has %(found)s sentences; the limit is %(most)s. Upload fewer.")
            % {"found": f"{len(sentences):,}", "most": f"{MOST_SENTENCES:,}"}
        )
    return sentences


@transaction.atomic
def corpus_delete(*, corpus: Corpus, by: User) -> None:
    """Delete a corpus; extractions that were made with it keep its digest.

    Raises NotAllowed unless the person is an admin or uploaded it, and Invalid while an extraction
    or a measurement needs it.
    """
    if not may_delete(corpus, by):
        raise NotAllowed(gettext("Only an admin, or the person who uploaded it, can delete this."))
    Corpus.objects.select_for_update().get(pk=corpus.pk)
    waiting = Extraction.objects.filter(
        state__in=UNFINISHED, parameters__corpus=corpus.reference
    ).count()
    if waiting:
        raise Invalid(
            ngettext(
                "%(n)s extraction still needs this corpus. Wait until it is ready, or cancel it.",
                "%(n)s extractions still need this corpus. Wait until they are ready, or cancel "
                "them.",
                waiting,
            )
            % {"n": waiting}
        )
    audit.record("corpus_deleted", target=corpus, actor=by)
    try:
        corpus.delete()
    except ProtectedError as error:  # by work of a later stage, until it has ended
        raise Invalid(
            gettext("A measurement still needs this corpus. Wait until it is ready, or cancel it.")
        ) from error


def may_delete(corpus: Corpus, person: User) -> bool:
    """Whether the person may delete the corpus."""
    return person.is_admin or corpus.uploaded_by_id == person.pk


@dataclass(frozen=True)
class ShownCorpus:
    """A corpus on the page."""

    corpus: Corpus
    can_be_deleted: bool


def corpora_shown(person: User) -> list[ShownCorpus]:
    """All uploaded corpora, by name."""
    found = Corpus.objects.select_related("uploaded_by")
    return [ShownCorpus(corpus, may_delete(corpus, person)) for corpus in found]


def corpora_choices() -> list[tuple[str, str]]:
    """Uploaded corpora and files in CORPORA_DIR, for a form: value and words."""
    uploaded = [(corpus.reference, _words_of(corpus)) for corpus in Corpus.objects.all()]
    return uploaded + [(name, name) for name in local_corpora()]


def _words_of(corpus: Corpus) -> str:
    words = ngettext("%(name)s (%(n)s sentence)", "%(name)s (%(n)s sentences)", corpus.sentences)
    return words % {"name": corpus.name, "n": f"{corpus.sentences:,}"}


def require_corpus(options: ExtractOptions) -> None:
    """Refuse a corpus that is not here, and an uploaded one with too few sentences.

    In a transaction: an uploaded one stays until its end. Raises Invalid. The sentences of a file
    in CORPORA_DIR are counted by the worker.
    """
    corpus = corpus_taken(options.corpus)
    if corpus is None:
        return
    # Texts that are split into sentences are more than were counted.
    too_few = corpus.sentences < options.drawn_count and not options.split_sentences
    if "update" in options.kinds and too_few:
        raise Invalid(
            gettext(
                "“%(name)s” has %(found)s sentences, and %(needed)s updates per layer need "
                "%(needed)s: each update comes from its own sentence. Choose a larger corpus or "
                "fewer updates."
            )
            % {
                "name": corpus.name,
                "found": f"{corpus.sentences:,}",
                "needed": f"{options.drawn_count:,}",
            }
        )


def corpus_taken(name: str) -> Corpus | None:
    """An uploaded corpus, kept until the transaction ends; None for any other that is here.

    Raises Invalid where there is none of that name.
    """
    if name.startswith(UPLOADED):
        return _uploaded(name, lock=True)
    corpus_location(name)
    return None


def corpus_uploaded(name: str) -> Corpus | None:
    """An uploaded corpus by its reference; None for any other. Raises Invalid where it is gone."""
    return _uploaded(name) if name.startswith(UPLOADED) else None


def corpus_sentences(name: str, numbers: Collection[int]) -> dict[int, str]:
    """Sentences of an uploaded corpus by their numbers, from 0.

    Empty for any other corpus, of which the site keeps no text, and where it is gone.
    """
    public_id = name.removeprefix(UPLOADED)
    if not numbers or not name.startswith(UPLOADED) or not _is_uuid(public_id):
        return {}
    found = CorpusContent.objects.filter(corpus__public_id=public_id).first()
    if found is None:
        return {}
    return _lines(bytes(found.compressed), set(numbers))


def _lines(compressed: bytes, numbers: set[int]) -> dict[int, str]:
    """Some lines of a compressed text by their numbers, read no further than the last of them.

    Holds no more than a block and a line of the text at a time.
    """
    reader = zlib.decompressobj()
    found: dict[int, str] = {}
    number, rest, last = 0, b"", max(numbers)
    while number <= last and not reader.eof:
        block = reader.decompress(compressed, BLOCK)
        compressed = reader.unconsumed_tail
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            if number in numbers:
                found[number] = line.decode()
            number += 1
        if not (block or compressed):
            break
    if rest and number in numbers:
        found[number] = rest.decode()
    return found


def corpus_label(name: str, uploaded: Corpus | None) -> str:
    """The label of a corpus for people: an uploaded one's name, or its source as given."""
    return uploaded.name if uploaded is not None else name


def corpus_location(name: str) -> str:
    """The path of a corpus on this machine, or the word wordnet as it is. Raises Invalid."""
    if name == WORDNET_CORPUS:
        return name
    if not name.startswith(UPLOADED):
        return file_of_texts(name)
    return str(_copy(_uploaded(name)))


def _uploaded(reference: str, *, lock: bool = False) -> Corpus:
    public_id = reference.removeprefix(UPLOADED)
    rows = Corpus.objects.select_for_update() if lock else Corpus.objects.all()
    found = rows.filter(public_id=public_id).first() if _is_uuid(public_id) else None
    if found is None:
        raise Invalid(Sentence(GONE))
    return found


def _is_uuid(text: str) -> bool:
    try:
        Corpus._meta.get_field("public_id").to_python(text)
    except ValidationError:
        return False
    return True


def copies_folder() -> Path:
    """The folder of this machine's copies of uploaded corpora, which `tidy` empties."""
    return Path(settings.VAR_DIR) / "corpus-copies"


def _copy(corpus: Corpus) -> Path:
    """A file with the corpus on this machine; it is named by the digest, and written whole."""
    path = copies_folder() / f"{corpus.digest}.txt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(zlib.decompress(corpus.content.compressed))
    return path


def copies_of_gone_corpora() -> list[Path]:
    """Copies whose corpus was deleted, after a day: an extraction may read one still."""
    before = time.time() - 24 * 3600
    known = set(Corpus.objects.values_list("digest", flat=True))
    return [
        path
        for path in sorted(copies_folder().glob("*"))
        if path.stem not in known and path.stat().st_mtime < before
    ]
