"""Image files as uint8 arrays: decoded once, in threads, and kept in `TUNING_HOME/data`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tuning.data.cache import data_folder
from tuning.data.dataset import Array
from tuning.errors import StorageError
from tuning.storage.aside import forget
from tuning.storage.durable import raise_on_full_disk, read_json, write_json
from tuning.storage.locks import locked

if TYPE_CHECKING:
    from PIL.Image import Image

Color: TypeAlias = Literal["rgb", "grayscale"]
CHANNELS: dict[Color, int] = {"rgb": 3, "grayscale": 1}

_FORM = 1
"""Counted up when the same file becomes other pixels: what is kept is then decoded again."""


@dataclass(frozen=True)
class Decoded:
    """What became of image files.

    Attributes:
        images: uint8 `(readable files, height, width, channels)`, read-only; a map of the file that
            keeps it, so that processes share its memory.
        readable: `(files,)` bool: which of the files could be read.
        failures: Why each of the others could not, by its place among the files.
    """

    images: Array
    readable: Array
    failures: dict[int, str]


def decode(files: Sequence[Path], image_size: tuple[int, int], color: Color) -> Decoded:
    """Return the pixels of image files, from what is kept where their contents are known.

    Args:
        files: In the order of the rows.
        image_size: (height, width) that every image is brought to.
        color: "rgb" or "grayscale".

    Raises:
        StorageError: There is no room to keep them.
    """
    settings = f"{_FORM} {image_size} {color}"
    folder = data_folder()

    # Sizes and times are read in no time; the contents only where these are new.
    seen = folder / f"images-{_stat_key(files, settings)}.json"
    contents = _contents_seen(seen)
    if contents is None:
        contents = _contents_key(files, settings)
        write_json(seen, {"contents": contents, "files": seen.stem})

    path = folder / f"images-{contents}.npy"
    with locked(path.with_suffix(".lock")):  # several workers may want them at once
        result = _kept(path, len(files))
        if result is not None:
            return result
        images, failures = _decode_all(files, image_size, color)
        _keep(path, images, failures)

    # The map of the file rather than what was decoded: its pages are the system's to share.
    result = _kept(path, len(files))
    if result is None:
        raise StorageError(f"{path} was written and cannot be read")
    return result


def _contents_seen(seen: Path) -> str | None:
    """Return the digest that was written for these files.

    None where none is, it is damaged, or that of other files: they are read again.
    """
    stored = read_json(seen)
    if not isinstance(stored, dict) or stored.get("files") != seen.stem:
        return None
    contents = stored.get("contents")
    is_digest = isinstance(contents, str) and re.fullmatch(r"[0-9a-f]{32}", contents)
    return contents if is_digest else None


def _stat_key(files: Sequence[Path], settings: str) -> str:
    facts = [settings]
    for path in files:
        stat = path.stat()
        facts.append(f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}")
    return _digest("\n".join(facts))


def _contents_key(files: Sequence[Path], settings: str) -> str:
    with ThreadPoolExecutor(_threads()) as pool:
        digests = pool.map(_file_digest, files)
        return _digest("\n".join([settings, *digests]))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _threads() -> int:
    """Return as many threads as there are cores; Pillow lets go of Python's lock."""
    return min(8, os.cpu_count() or 1)


def _kept(path: Path, n_files: int) -> Decoded | None:
    """Return what `_keep` wrote, or None where it is absent or damaged."""
    stored = read_json(path.with_suffix(".failures.json"))
    if not isinstance(stored, dict) or not path.is_file():
        return None
    # Earlier versions wrote none.
    whose = _whose(path)
    if stored.pop(_PIXELS, whose) != whose:
        return None
    readable = np.ones(n_files, bool)
    try:
        failures = {int(number): str(reason) for number, reason in stored.items()}
        readable[list(failures)] = False
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, IndexError, OverflowError, EOFError):
        return None

    if len(images) != readable.sum():
        return None
    return Decoded(images, readable, failures)


def _keep(path: Path, images: Array, failures: dict[int, str]) -> None:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npy")
    with raise_on_full_disk():
        with temporary.open("wb") as file:
            np.save(file, images, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a power cut must not leave an empty file
        forget(path)  # nothing, or what is no whole file of ours
        temporary.replace(path)
    # Last: it says that the pixels are whole.
    stored = {**{str(number): reason for number, reason in failures.items()}, _PIXELS: _whose(path)}
    write_json(path.with_suffix(".failures.json"), stored)


_PIXELS = "pixels"
"""Beside the failures: which file of pixels they are of, and as of when."""


def _whose(path: Path) -> list[Any]:
    """Return what tells a file of pixels from that of other images, and from one changed since."""
    stat = path.stat()
    return [path.stem, stat.st_size, stat.st_mtime_ns]


def _decode_all(
    files: Sequence[Path], image_size: tuple[int, int], color: Color
) -> tuple[Array, dict[int, str]]:
    """Return uint8 `(readable files, height, width, channels)` and why others are not in it."""
    images = np.empty((len(files), *image_size, CHANNELS[color]), np.uint8)

    def read(place: int) -> str:
        try:
            images[place] = read_image(files[place], image_size, color)
        except Exception as error:  # Pillow's plugins raise what they like at damaged bytes
            lines = str(error).splitlines() or [""]
            return f"{type(error).__name__}: {lines[0][:120]}"
        return ""

    with ThreadPoolExecutor(_threads()) as pool:
        reasons = list(pool.map(read, range(len(files))))

    failures = {place: reason for place, reason in enumerate(reasons) if reason}
    if failures:
        images = images[[place for place, reason in enumerate(reasons) if not reason]]
    return images, failures


def read_image(path: Path, image_size: tuple[int, int], color: Color) -> Array:
    """Return one image as uint8 `(height, width, channels)`.

    Images of this size are taken bit for bit; others are resized, bilinear with antialiasing. Of an
    animation the first frame, of transparency nothing, of 16 bits the upper eight, as
    `tf.io.decode_image` does.

    Raises:
        OSError: The file is no image, or a part of one; and whatever else Pillow raises.
    """
    from PIL import Image

    with Image.open(path) as image:
        height, width = image_size
        pixels = _eight_bits(image).convert("RGB" if color == "rgb" else "L")
        if pixels.size != (width, height):
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(pixels, np.uint8).reshape(height, width, CHANNELS[color])


def _eight_bits(image: Image) -> Image:
    """Return an image of 8 bits a channel: Pillow's own conversion cuts off what is above 255."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 255:
            raise OSError(f"its pixels run from {values.min()} to {values.max()}, not 0 to 255")
    return image
