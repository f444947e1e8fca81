"""The text of a CSV file: unpacked, decoded, without what stands before its header."""

from __future__ import annotations

import codecs
import gzip
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tuning.data.tables.options import Notices
from tuning.errors import StudyError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEP_LINE = re.compile(r"sep=(.)\r?[\n\r]", re.IGNORECASE)


@dataclass(frozen=True)
class CSVText:
    """The text of a CSV file, from its header on.

    Attributes:
        text: Without a byte order mark.
        separator: As a line `sep=;` says it, or as the file's name does; "" where nothing does.
        skipped: Lines before the header.
    """

    text: str
    separator: str
    skipped: int


def csv_text(path: Path, encoding: str | None, notices: Notices) -> CSVText:
    """Return the decoded text of a file.

    Raises:
        StudyError: It is not compressed as its name says, has no text, or another encoding than
            was given.
    """
    text = _decoded(_unpacked(path), encoding, notices)
    separator = "\t" if ".tsv" in path.name.lower() else ""
    skipped = 0

    sep_line = _SEP_LINE.match(text)
    if sep_line is not None:  # Excel's own way of saying it
        separator = sep_line[1]
        text = text[sep_line.end() :]
        skipped = 1

    comments = 0
    while text.startswith("#") and "\n" in text:
        text = text.partition("\n")[2]
        comments += 1
    if comments:
        notices.add(f"{comments} lines of comments before the header: skipped")

    if not text.strip():
        raise StudyError("the file is empty; a header and rows are needed")
    return CSVText(text, separator, skipped + comments)


def _unpacked(path: Path) -> bytes:
    ending = path.suffix.lower()
    try:
        if ending == ".gz":
            return gzip.decompress(path.read_bytes())
        if ending == ".zip":
            return _only_member(path)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(f"cannot be unpacked as {ending}: {error}") from error
    return path.read_bytes()


def _only_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        members = [item for item in archive.namelist() if not item.endswith("/")]
        if len(members) != 1:
            listed = ", ".join(members[:5]) or "nothing"
            raise StudyError(f"a zipped table must hold one file, this one holds {listed}")
        return archive.read(members[0])


def _decoded(content: bytes, encoding: str | None, notices: Notices) -> str:
    if encoding is not None:
        return _decoded_as_told(content, encoding)

    for mark, of_mark in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            if of_mark != "utf-8-sig":
                notices.add(f"read as {of_mark.upper()}")
            return content.decode(of_mark, errors="replace")

    # Text has no zero bytes, but every second byte of a western UTF-16 file is one.
    beginning = content[:1000]
    if beginning.count(0) > len(beginning) // 4:
        of_zeros = "utf-16-be" if beginning[:1] == b"\0" else "utf-16-le"
        notices.add(f"read as {of_zeros.upper()}; encoding= says otherwise")
        return content.decode(of_zeros, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = content.decode("cp1252")
        name = "Windows-1252"
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        name = "Latin-1"
    notices.add(f"not UTF-8: read as {name}; encoding= says otherwise")
    return text


def _decoded_as_told(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise StudyError(
            f"encoding {encoding!r} is unknown; e.g. utf-8, utf-16, cp1252, latin-1"
        ) from error
    except UnicodeDecodeError as error:
        raise StudyError(
            f"the text is not {encoding}: byte {error.start} cannot be read; leave encoding out, "
            "or try cp1252"
        ) from error
