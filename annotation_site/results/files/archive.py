"""Write a study's replication archive. Only workers import this: it loads pandas."""

import platform
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from tempfile import TemporaryFile
from typing import IO, Any

import pandas as pd
from django.utils.translation import gettext_noop

from annotation_site.annotation.lists.entries import stored_prefixes
from annotation_site.annotation.lists.glosses import TokenGlosses
from annotation_site.annotation.models import Guidelines, Item, Study
from annotation_site.corpus.models import Token
from annotation_site.errors import Invalid
from annotation_site.exports import EXPORT_FORMATS, Table, labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import AnnotationRecord
from annotation_site.exports.archive import ArchiveWriter
from annotation_site.exports.pieces import PIECE_BYTES
from annotation_site.exports.table import marked
from annotation_site.results.files import archive_texts
from annotation_site.results.files.archive_annotations import (
    LIST_COLUMNS,
    MACHINE_COLUMNS,
    PREFIX_COLUMNS,
    SKIP_COLUMNS,
    TOKEN_COLUMNS,
    TableSettings,
    machine_rows,
    request_of,
)
from annotation_site.results.files.archive_facts import Facts
from annotation_site.results.files.archive_machine_runs import (
    descriptions,
    prompts_of,
    run_tables,
)
from annotation_site.results.files.archive_machines import PROMPT_MEMBER, runs_by_name
from annotation_site.results.files.archive_proxies import (
    CENSUS,
    PROXY_COLUMNS,
    census_rows,
    proxies_from,
    proxy_rows,
)
from annotation_site.results.files.archive_study import study_members
from annotation_site.results.files.labels_export import Report, annotation_records
from annotation_site.results.files.left_out import (
    COMMENTS,
    LEFT_OUT,
    TIMES,
    reason_without_words,
)
from annotation_site.results.files.methods_paragraph import extraction_rows, rules_of
from annotation_site.results.snapshots.computation import figures_again, populations_of
from annotation_site.results.snapshots.selectors import figures_of, results_state
from annotation_site.results.snapshots.versions import data_version
from annotation_site.results.tables.dataframes import has_crowd
from annotation_site.results.tables.keys import key_frame
from annotation_site.results.tables.machine_annotators import machine_frames
from annotation_site.results.tables.missing import skip_rows
from annotation_site.results.tables.model_names import model_names
from annotation_site.results.tables.proxies import study_proxies
from annotation_site.results.tables.reading import one_moment
from annotation_site.results.tables.registry import tables_of
from annotation_site.results.tables.request import TableRequest
from annotation_site.sentences import Sentence

NOTHING = gettext_noop("This study has no annotations yet, so there is nothing to export.")
TABLE_FORMATS = ("csv", "json")
OF_TIMES = ("time-per-list", "learning-curve")
"""Names of the figures that show how long people took."""
PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "pyarrow", "matplotlib", "Django")


def archive_write(
    study: Study,
    file: IO[bytes],
    *,
    with_names: bool,
    report: Report,
    left_out: Collection[str] = (),
) -> None:
    """Write the archive: the same bytes for the same data, filters and packages.

    `left_out` names what it is written without, of `left_out.LEFT_OUT`; it says so itself.
    Raises Invalid for a study in which nothing was submitted.
    """
    version = data_version(study.pk)
    with TemporaryFile() as jsonl, TemporaryFile() as parquet:
        records = annotation_records(study, with_names=with_names, left_out=left_out, report=report)
        _labels_write(records, (jsonl, parquet))
        lists = list(study_lists(study))
        with one_moment():  # a run of a language model is in all of its files, or in none
            prompts = prompts_of(study)
            files = {
                "lists": Table("lists", LIST_COLUMNS, lists),
                "tokens": Table("tokens", TOKEN_COLUMNS, list(_tokens(study))),
                **_prefixes(study),
                "machines": Table("machines", MACHINE_COLUMNS, list(_machines(study, lists))),
                "skips": Table("skips", SKIP_COLUMNS, list(study_skips(study, left_out))),
                **_proxies(study),
                **run_tables(study, _numbers(study)),
            }
        choices = _settings(study)
        guidelines = Guidelines.objects.filter(study=study).order_by("version")
        facts = Facts(guidelines.values_list("version", flat=True))
        # From the file, so that the tables are those that everybody gets who has it.
        request = _request(study, files, facts.watch(labels_jsonl.read(jsonl)), choices)
        tables = dict(tables_of(request))
        counts = facts.counts(request, lists, files["skips"].rows)
        parameters = _parameters(study, version, choices, counts, with_names=with_names)
        if left_out:
            parameters["left_out"] = [name for name in LEFT_OUT if name in left_out]
        with ArchiveWriter(file) as archive:
            texts = archive_texts.texts(
                parameters,
                tables,
                files=set(files),
                runs=runs_by_name(files["machine_runs"].rows) if "machine_runs" in files else {},
            )
            for name, text in texts.items():
                archive.add_text(name, text)
            archive.add_text("environment.json", archive_texts.json_text(_environment()))
            for one in guidelines:
                archive.add_text(f"guidelines/version-{one.version}.md", one.text)
            for prompt, text in prompts.items():
                archive.add_text(PROMPT_MEMBER.format(prompt), text)
            for table in files.values():
                written = EXPORT_FORMATS["csv"].write(marked(table, study.made_up))
                archive.add(f"labels/{table.name}.csv", written)
            archive.add("labels/labels.jsonl", _pieces(jsonl))
            archive.add("labels/labels.parquet", _pieces(parquet))
            for name, pieces in study_members(study, left_out):
                archive.add(name, pieces)
            for name, table in tables.items():
                for extension in TABLE_FORMATS:
                    written = EXPORT_FORMATS[extension].write(marked(table, study.made_up))
                    archive.add(f"tables/{name}.{extension}", written)
            for name, content in _figures(study, left_out):
                archive.add(f"figures/{name}", [content])


def _request(
    study: Study,
    files: Mapping[str, Table],
    records: Iterable[AnnotationRecord],
    choices: TableSettings,
) -> TableRequest:
    lists = list(files["lists"].rows)
    proxies = None
    if "proxies" in files:
        proxies = proxies_from(files["proxies"].rows, files["census"].rows, lists)
    return request_of(
        lists,
        files["machines"].rows,
        records,
        choices,
        failures=files["machine_failures"].rows if "machine_failures" in files else (),
        skips=files["skips"].rows,
        slots=study.annotators_per_list,
        several_patterns=study.several_patterns_per_token,
        crowd=has_crowd(study),
        proxies=proxies,
    )


def _settings(study: Study) -> TableSettings:
    """Settings of the study's own tables."""
    found = TableSettings(tuple(study.categories), study.min_tokens, populations_of(study))
    keys = key_frame(study)
    if keys is None:
        return found
    return replace(found, keys=tuple(keys.itertuples(index=False, name=None)))


def _labels_write(records: Iterable[AnnotationRecord], files: tuple[IO[bytes], IO[bytes]]) -> None:
    """Fill both files in one pass, and go back to the start of the first."""
    jsonl, parquet = files
    writers = labels_jsonl.JsonlWriter(jsonl), labels_parquet.ParquetWriter(parquet)
    written = 0
    for record in records:
        written += 1
        for writer in writers:
            writer.write(record)
    for writer in writers:
        writer.close()
    if not written:
        raise Invalid(Sentence(NOTHING))
    jsonl.seek(0)


def study_lists(study: Study) -> Iterator[tuple[Any, ...]]:
    """Rows of LIST_COLUMNS, in the order of the study's own tables."""
    names = model_names(study)
    items = Item.objects.filter(study=study).order_by("pk")
    lengths: dict[int, int] = {}
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        stored = stored_prefixes(items.values_list("vector", flat=True))
        lengths = {vector: len(found) for vector, found in stored.items()}
    for number, (vector, extraction, digest, *where, token_ids, use) in enumerate(
        items.values_list(
            "vector",
            "vector__extraction_id",
            "vector__extraction__bundle_digest",
            "vector__kind",
            "vector__layer",
            "vector__index",
            "vector__token_ids",
            "use",
        ).iterator(),
        start=1,
    ):
        if vector in lengths:
            yield (number, digest, names[extraction], *where, lengths[vector], use, "")
            continue
        shown = " ".join(map(str, token_ids))
        yield (number, digest, names[extraction], *where, len(token_ids), use, shown)


def _numbers(study: Study) -> dict[int, int]:
    """The number of each list in the archive, by its item."""
    items = study.items.order_by("pk").values_list("pk", flat=True)
    return {pk: number for number, pk in enumerate(items, start=1)}


def study_skips(study: Study, left_out: Collection[str] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows of SKIP_COLUMNS, without what is left out."""
    numbers = _numbers(study)
    with one_moment():
        rows = list(skip_rows(study))
    for item, code, purpose, state, opened_at, skipped_at, reason in rows:
        times = (None, None) if TIMES in left_out else (opened_at or None, skipped_at or None)
        said = reason_without_words(reason) if COMMENTS in left_out else reason
        yield (numbers[item], code or None, purpose, state, *times, said or None)


def _tokens(study: Study) -> Iterator[tuple[Any, ...]]:
    """Rows of TOKEN_COLUMNS: the tokens of the study's lists; none where these are prefixes."""
    if study.list_source == Study.ListSource.TRIGGER_PREFIXES:
        return
    for extraction in study.extractions.order_by("bundle_digest"):
        lists = study.items.filter(vector__extraction=extraction)
        shown = lists.values_list("vector__token_ids", flat=True)
        wanted = {token for token_ids in shown for token in token_ids}
        found = Token.objects.filter(extraction=extraction).order_by("token_id")
        for token, display, is_stopword, *glosses in found.values_list(
            "token_id", "display", "is_stopword", *TokenGlosses.COLUMNS
        ).iterator():
            if token in wanted:
                gloss = TokenGlosses(*glosses).first(study.gloss_rule)
                yield extraction.bundle_digest, token, display, gloss, int(is_stopword)


def _prefixes(study: Study) -> dict[str, Table]:
    """The table of PREFIX_COLUMNS, where lists are prefixes."""
    if study.list_source != Study.ListSource.TRIGGER_PREFIXES:
        return {}
    vectors = list(study.items.order_by("pk").values_list("vector", flat=True))
    stored = stored_prefixes(vectors)
    rows = [
        (number, rank, one["prefix"])
        for number, vector in enumerate(vectors, start=1)
        for rank, one in enumerate(stored[vector], start=1)
    ]
    return {"prefixes": Table("prefixes", PREFIX_COLUMNS, rows)}


def _proxies(study: Study) -> dict[str, Table]:
    """The tables of proxies, where the study has any."""
    proxies = study_proxies(study)
    if proxies is None:
        return {}
    numbers = _numbers(study)
    return {
        "proxies": Table("proxies", PROXY_COLUMNS, list(proxy_rows(proxies, numbers))),
        "census": Table("census", CENSUS, list(census_rows(proxies))),
    }


def _machines(study: Study, lists: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of MACHINE_COLUMNS, for the study's own lists by their numbers."""
    items = Item.objects.filter(study=study).order_by("pk").values_list("pk", flat=True)
    rows = [
        (pk, model, kind, layer, length)
        for pk, (_, _, model, kind, layer, _, length, use, _) in zip(items, lists, strict=True)
        if use == Item.Use.STUDY
    ]
    frame = pd.DataFrame(rows, columns=["list_id", "model", "kind", "layer", "length"])
    options = {"min_tokens": study.min_tokens, "categories": study.categories}
    labels = machine_frames(study, frame, **options).labels
    numbers, described = _numbers(study), descriptions(study)
    counted: dict[tuple[str, int], list[int]] = {}
    for name, pk, pattern, *said in machine_rows(labels):
        if pattern is None:
            yield (name, numbers[pk], None, *said, None)
            continue
        # From 1, without those of categories that the study no longer has.
        seen = counted.setdefault((name, pk), [])
        if pattern not in seen:
            seen.append(pattern)
        number = seen.index(pattern) + 1
        yield (name, numbers[pk], number, *said, described.get((name, pk, pattern)))


def _parameters(
    study: Study,
    version: int,
    choices: TableSettings,
    counts: Mapping[str, Any],
    *,
    with_names: bool,
) -> dict[str, Any]:
    shown = results_state(study).snapshot
    return {
        "product": archive_texts.product(),
        "study": rules_of(study),
        "data_version": version,
        "with_names": with_names,
        "figures": {"data_version": shown.data_version, "filters": shown.filters}
        if shown
        else None,
        "tables": choices.to_json(),
        "counts": counts,
        "extractions": list(extraction_rows(study)),
    }


def _environment() -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def _figures(study: Study, left_out: Collection[str] = ()) -> Iterator[tuple[str, bytes]]:
    """The newest snapshot's figures by file name: as on the page, and for print.

    Without the matrix, which names people by what the site calls them, not by their codes, and
    without those of times where times are left out.
    """
    hidden = {"agreement-matrix", *(OF_TIMES if TIMES in left_out else ())}
    snapshot = results_state(study).snapshot
    if snapshot is None:
        return
    _, files = figures_again(study, snapshot.tables, ("pdf", "svg"))
    for figure in figures_of(snapshot):
        for (name, extension), content in files.items():
            if name == figure["name"] and name not in hidden:
                yield f"{name}.{extension}", content


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece
