"""Compiles gettext catalogues: .po, which people edit, to .mo, which Django reads.

The standard library cannot, and GNU's msgfmt is not on every machine. The build of the package
and of the image runs this file by its path, without Django; a checkout does it when it starts.
"""

import ast
import os
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

LOCALE = Path(__file__).resolve().parent / "locale"
_LINE = re.compile(r'^(?:(msgctxt|msgid_plural|msgid|msgstr)(?:\[(\d+)\])?\s+)?(".*")$')


def messages(text: str) -> Iterator[tuple[str, str]]:
    """(key, translation) of each translated message of a .po file, as a .mo file has them."""
    for block in re.split(r"\n\s*\n", text):
        parts: dict[tuple[str, int], str] = {}
        at = ("", 0)
        fuzzy = False
        for line in block.splitlines():
            if line.startswith("#"):
                fuzzy |= line.startswith("#,") and "fuzzy" in line
            elif match := _LINE.match(line.strip()):
                if match[1]:
                    at = (match[1], int(match[2] or 0))
                parts[at] = parts.get(at, "") + ast.literal_eval(match[3])
        forms = [form for (kind, _), form in sorted(parts.items()) if kind == "msgstr"]
        if ("msgid", 0) not in parts or fuzzy or not all(forms):
            continue
        key = parts["msgid", 0]
        if ("msgctxt", 0) in parts:
            key = f"{parts['msgctxt', 0]}\x04{key}"
        if ("msgid_plural", 0) in parts:
            key = f"{key}\0{parts['msgid_plural', 0]}"
        yield key, "\0".join(forms)


def compiled(entries: dict[str, str]) -> bytes:
    """A .mo file: a head, two tables of (length, place), sorted keys, their translations."""
    pairs = sorted((key.encode(), value.encode()) for key, value in entries.items())
    place = 28 + 16 * len(pairs)
    tables, texts = b"", b""
    for column in zip(*pairs, strict=True):
        for text in column:
            tables += struct.pack("<2I", len(text), place + len(texts))
            texts += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + tables + texts


def compile_catalogues(folder: Path = LOCALE) -> list[Path]:
    """Write every .mo that is missing or older than its .po; the files."""
    written = []
    for source in sorted(folder.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        partial = target.with_suffix(f".{os.getpid()}")  # several processes may start at once
        partial.write_bytes(compiled(dict(messages(source.read_text(encoding="utf-8")))))
        partial.replace(target)
        written.append(target)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in compile_catalogues())
