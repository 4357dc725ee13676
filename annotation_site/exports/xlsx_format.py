"""XLSX spreadsheets in which no text is a formula or a link.

Texts are neutralised with apostrophes as in CSV, so that a copy into another program is
safe too. A spreadsheet's numbers are 64-bit floats: larger integers than 2⁵³ lose digits. A cell
holds 32,767 characters; a longer text is cut and says so at its end.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from annotation_site.exports.cells import number_of, text_of
from annotation_site.exports.pieces import PIECE_BYTES
from annotation_site.exports.table import Cell, Table
from ffn_extract.formulas import neutralised

MOST_ROWS = 1_048_576  # of a sheet, the header included
MOST_CHARACTERS = 32_767  # of a cell, as UTF-16 counts them
CUT = " … [cut: {length:,} characters are too many for a spreadsheet; other formats have them all]"
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class XlsxFormat:
    """One sheet, its header in bold; the file is the same, byte for byte, for the same table."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    extension = "xlsx"

    def write(self, table: Table) -> Iterator[bytes]:
        """Yield the file, which is whole before its first piece.

        Raises ValueError and TypeError as the CSV format does, and ValueError for more rows than a
        sheet holds.
        """
        import xlsxwriter  # one format of several

        with tempfile.TemporaryFile() as file:
            with xlsxwriter.Workbook(file, _OPTIONS) as book:
                # The moment of writing would make every file another one.
                book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
                sheet = book.add_worksheet()
                bold = book.add_format({"bold": True})
                for place, column in enumerate(table.columns):
                    sheet.write_string(0, place, _text(column.name) or "", bold)
                for line, row in enumerate(table.checked_rows(), start=1):
                    if line >= MOST_ROWS:
                        raise ValueError("A sheet holds 1,048,576 rows. Export this table as CSV.")
                    for place, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
                        if column.kind == "text":
                            text = _text(cell)
                            if text is not None:
                                sheet.write_string(line, place, text)
                        elif (number := number_of(cell)) is not None:
                            sheet.write_number(line, place, number)
            file.seek(0)
            while piece := file.read(PIECE_BYTES):
                yield piece


def _text(cell: Cell) -> str | None:
    """A text for a cell: all of it, or its beginning and a remark."""
    text = text_of(cell)
    if text is None:
        return None
    units = neutralised(text).encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * MOST_CHARACTERS:
        return neutralised(text)
    remark = CUT.format(length=len(text))
    # "ignore" drops the half of a character that the cut may leave.
    return units[: 2 * (MOST_CHARACTERS - len(remark))].decode("utf-16-le", "ignore") + remark
