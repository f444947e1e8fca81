"""`ImageFolder`: a folder of images, one subfolder a class, as a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuning.data.dataset import Dataset, Task
from tuning.data.kinds.image_decoding import CHANNELS, Color, Decoded, decode
from tuning.errors import MissingError, StudyError, did_you_mean

PART_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""Names of subfolders that are parts and not classes, and the part that each is."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MOST_NAMED = 20
"""Files named in one error or notice; the rest is counted."""

BYTES_A_PIXEL = 5
"""What a value takes while it is trained on: the byte itself, and the float32 of its part."""


def ImageFolder(  # noqa: N802 - reads as a declaration in a study file
    path: str | Path,
    image_size: tuple[int, int] = (64, 64),
    *,
    color: Color = "rgb",
    validation: str | Path | None = None,
    test: str | Path | None = None,
    task: Task | None = None,
    skip_damaged: bool = False,
    name: str = "",
) -> Dataset:
    """Return the images below `path`, decoded once: class numbers follow the subfolders' names.

    `path/cat/1.png` is of class "cat"; what lies deeper belongs to its class too. Where the
    subfolders are called "train", "validation" and "test", these are the parts, each with a
    subfolder a class; else the rows are split by the study.

    Args:
        path: The folder, absolute or from where the command is run.
        image_size: (height, width) in pixels; images of another size are resized.
        color: "rgb" for three channels, "grayscale" for one.
        validation, test: Folders with the same classes that are these parts.
        task: Two classes are "binary" and more "multiclass", unless it is given.
        skip_damaged: Leave out files that cannot be read, with a notice; else they are an error
            that names them.
        name: Of the data set; "": the folder's.

    Returns:
        X is uint8 `(rows, height, width, channels)`, 0 to 255.

    Raises:
        MissingError: There is no such folder.
        StudyError: A class without images, only one class, a part with another class, files that
            are damaged, more pixels than memory; all faults at once.
    """
    root = Path(path).expanduser()
    where = f"images '{root}'"
    faults = list(_argument_faults(image_size, color))
    if faults:
        raise StudyError(faults, where=where)

    folders = _part_folders(root, validation, test)
    found = [_Found.below(part, folder) for part, folder in folders.items()]
    classes = found[0].classes
    faults = [fault for images in found for fault in images.faults(classes)]
    if faults:
        raise StudyError(faults, where=where)

    files = [file for images in found for file in images.files]
    _check_memory(len(files), image_size, color, where)
    decoded = decode(files, image_size, color)
    damaged = [f"{files[i]}: {reason}" for i, reason in decoded.failures.items()]
    if damaged and not skip_damaged:
        listed = _listed(damaged, "\n    ")
        raise StudyError(
            f"{len(damaged)} of {len(files)} files cannot be read; mend or remove them, or give "
            f"skip_damaged=True:\n    {listed}",
            where=where,
        )
    return _dataset(
        found,
        decoded,
        name=name or root.resolve().name,
        task=task or ("binary" if len(classes) == 2 else "multiclass"),
        source=f"{len(decoded.images)} images below {root}",
        notices=tuple(_notices(found, damaged)),
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """The files of one part.

    Attributes:
        part: "train", "validation", "test"; "": all rows, which the study splits.
        folder: Where they were looked for.
        classes: Names of its subfolders, sorted.
        files: Images, class by class, sorted within each.
        numbers: The class number of each of these.
        others: Files that are no images by their names.
    """

    part: str
    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    numbers: tuple[int, ...]
    others: tuple[Path, ...]

    @classmethod
    def below(cls, part: str, folder: Path) -> _Found:
        """Look for the images of one part."""
        classes = tuple(sub.name for sub in _subfolders(folder))
        files: list[Path] = []
        numbers: list[int] = []
        others = [file for file in sorted(folder.iterdir()) if _is_visible_file(file)]

        for number, name in enumerate(classes):
            for file in sorted((folder / name).rglob("*")):
                inner = file.relative_to(folder)
                if not file.is_file() or any(map(_is_hidden, inner.parents)) or _is_hidden(file):
                    continue
                if file.suffix.lower() in SUFFIXES:
                    files.append(file)
                    numbers.append(number)
                else:
                    others.append(file)
        return cls(
            part=part,
            folder=folder,
            classes=classes,
            files=tuple(files),
            numbers=tuple(numbers),
            others=tuple(others),
        )

    def faults(self, expected: tuple[str, ...]) -> Iterator[str]:
        """Yield what is wrong with the classes of this part.

        Args:
            expected: The classes of the training part.
        """
        loose = sum(file.suffix.lower() in SUFFIXES for file in self.others)
        if not self.classes:
            hint = f", but {loose} images lie in it" if loose else ""
            yield (
                f"{self.folder} has no subfolders{hint}; "
                "put the images of each class into a subfolder with its name"
            )
            return
        if self.classes != expected:
            yield (
                f"{self.folder} has the classes {', '.join(self.classes)}, "
                f"the training part has {', '.join(expected)}; give every part the same"
            )
        elif len(self.classes) == 1:
            yield (
                f"{self.folder} has one class, {self.classes[0]!r}; "
                "there is nothing to tell apart: give each class a subfolder"
            )

        counts = np.bincount(np.asarray(self.numbers, int), minlength=len(self.classes))
        for name, count in zip(self.classes, counts.tolist(), strict=True):
            if count == 0:
                yield (
                    f"{self.folder / name} holds no image; looked for: {', '.join(SUFFIXES)}. "
                    "Remove the folder or fill it"
                )


def _argument_faults(image_size: tuple[int, int], color: str) -> Iterator[str]:
    sizes = image_size if isinstance(image_size, Sequence) else ()
    if len(sizes) != 2 or not all(isinstance(size, int | np.integer) for size in sizes):
        yield f"image_size must be (height, width) in pixels, got {image_size!r}"
    elif min(sizes) < 1:
        yield f"image_size must be at least (1, 1), got {image_size!r}"
    if color not in CHANNELS:
        guess = did_you_mean(str(color), CHANNELS)
        yield f"color {color!r} is unknown.{guess} There are: {', '.join(CHANNELS)}"


def _part_folders(
    root: Path, validation: str | Path | None, test: str | Path | None
) -> dict[str, Path]:
    """Return the folder of each part, the training part first; "" where the study splits."""
    given = {"validation": validation, "test": test}
    chosen = {part: Path(path).expanduser() for part, path in given.items() if path is not None}
    for folder in (root, *chosen.values()):
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "is not there"
            raise MissingError(
                f"images: {folder} {what}; give the folder that has a subfolder for each class "
                f"(looked from {Path.cwd()})"
            )

    names = {sub.name.lower(): sub for sub in _subfolders(root)}
    # A class may be called "test" too; three parts among others are no parts.
    holds_parts = any(PART_FOLDERS.get(name) == "train" for name in names)
    if holds_parts and all(name in PART_FOLDERS for name in names):
        by_part = {PART_FOLDERS[name]: sub for name, sub in names.items()}
        return {"train": by_part.pop("train"), **by_part, **chosen}
    return {"train": root, **chosen} if chosen else {"": root}


def _subfolders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and not _is_hidden(sub))


def _is_visible_file(path: Path) -> bool:
    return path.is_file() and not _is_hidden(path)


def _is_hidden(path: Path) -> bool:
    """Whether a name is the system's: `.DS_Store`, `__MACOSX`, `Thumbs.db`."""
    return path.name.startswith((".", "__")) or path.name in ("Thumbs.db", "desktop.ini")


def _check_memory(n_files: int, image_size: tuple[int, int], color: Color, where: str) -> None:
    import psutil

    needed = n_files * image_size[0] * image_size[1] * CHANNELS[color] * BYTES_A_PIXEL
    available = psutil.virtual_memory().available
    if needed > available:
        raise StudyError(
            f"{n_files} images of {image_size[0]} × {image_size[1]} need {needed / 1e9:.1f} GB to "
            f"train on, {available / 1e9:.1f} GB are free; give a smaller image_size, or read them "
            "as a Stream",
            where=where,
        )


def _dataset(
    found: list[_Found],
    decoded: Decoded,
    *,
    name: str,
    task: Task,
    source: str,
    notices: tuple[str, ...],
) -> Dataset:
    numbers = np.concatenate([np.asarray(images.numbers, int) for images in found])
    part_of_file = np.repeat(
        np.array([images.part for images in found]), [len(images.files) for images in found]
    )[decoded.readable]
    has_parts = bool(found[0].part)

    return Dataset(
        name=name,
        X=decoded.images,
        y=numbers[decoded.readable],
        task=task,
        classes=found[0].classes,
        source=source,
        parts={
            images.part: np.flatnonzero(part_of_file == images.part)
            for images in found
            if has_parts
        },
        notices=notices,
    )


def _notices(found: list[_Found], damaged: list[str]) -> Iterator[str]:
    others = [str(file) for images in found for file in images.others]
    if others:
        yield f"{len(others)} files are no images of a class: left out: {_listed(others, ', ')}"
    if damaged:
        yield f"{len(damaged)} files cannot be read: left out: {_listed(damaged, '; ')}"


def _listed(items: list[str], separator: str) -> str:
    listed = separator.join(items[:MOST_NAMED])
    n_more = len(items) - MOST_NAMED
    return f"{listed}{separator}and {n_more} more" if n_more > 0 else listed
