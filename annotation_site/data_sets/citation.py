"""CITATION.cff of a data set, in version 1.2.0 of the format."""

from annotation_site.data_sets.facts import Facts
from annotation_site.data_sets.yaml_text import yaml_of


def citation_file(facts: Facts) -> str:
    """The content of CITATION.cff."""
    return yaml_of(
        {
            "cff-version": "1.2.0",
            "message": "If you use this data set, please cite it as below.",
            "type": "dataset",
            "title": facts.title,
            "abstract": facts.description,
            "authors": [{"name": author} for author in facts.authors],
            "version": facts.version,
            "date-released": facts.options.day.isoformat(),
            "license": facts.options.terms.spdx,
            "keywords": facts.keywords,
        }
    )


def bibtex(facts: Facts) -> str:
    """A BibTeX entry of the data set."""
    authors = " and ".join(f"{{{_plain(author)}}}" for author in facts.authors)
    return (
        f"@misc{{{facts.name}-{facts.options.day.year},\n"
        f"  author = {{{authors}}},\n"
        f"  title = {{{{{_plain(facts.title)}}}}},\n"
        f"  year = {{{facts.options.day.year}}},\n"
        f"  note = {{Data set, version {facts.version}}}\n}}\n"
    )


def _plain(text: str) -> str:
    """A text on one line, without characters that end a value of BibTeX, or a fence of Markdown."""
    for sign, instead in (("{", "("), ("}", ")"), ("\\", "/"), ("`", "'")):
        text = text.replace(sign, instead)
    return " ".join(text.split())
