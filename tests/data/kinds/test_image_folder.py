"""`ImageFolder`: a subfolder a class, decoded once, damaged files named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tuning.data.kinds import image_decoding
from tuning.data.kinds.image_folder import ImageFolder
from tuning.errors import MissingError, StudyError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def draw(path, size=(8, 6), mode="RGB"):
    """Write an image of noise; return its pixels."""
    channels = {"RGB": (3,), "L": (), "RGBA": (4,)}[mode]
    pixels = RNG.integers(0, 256, (*size, *channels), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def zoo(tmp_path):
    root = tmp_path / "zoo"
    for name in ("dog", "cat"):
        for i in range(3):
            draw(root / name / f"{i}.png")
    return root


def test_classes_are_the_sorted_subfolders_and_pixels_the_files(zoo):
    pixels = draw(zoo / "cat" / "0.png")
    dataset = ImageFolder(zoo, image_size=(8, 6))
    assert dataset.classes == ("cat", "dog")
    assert dataset.task == "binary"
    assert dataset.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.X.dtype == np.uint8
    np.testing.assert_array_equal(dataset.X[0], pixels)


def test_three_classes_are_multiclass_and_deeper_files_belong_to_theirs(zoo):
    draw(zoo / "owl" / "barn" / "1.png")
    dataset = ImageFolder(zoo, image_size=(4, 4))
    assert (dataset.task, dataset.n_outputs) == ("multiclass", 3)
    assert dataset.y.tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_another_size_is_resized_and_grayscale_has_one_channel(zoo):
    dataset = ImageFolder(zoo, image_size=(16, 12), color="grayscale")
    assert dataset.X.shape == (6, 16, 12, 1)


def test_subfolders_named_as_parts_are_the_parts(tmp_path):
    for part, n in (("train", 3), ("val", 2), ("test", 1)):
        for name in ("a", "b"):
            for i in range(n):
                draw(tmp_path / "set" / part / name / f"{i}.png")
    dataset = ImageFolder(tmp_path / "set", image_size=(4, 4))
    assert {name: len(rows) for name, rows in dataset.parts.items()} == {
        "train": 6,
        "validation": 4,
        "test": 2,
    }
    assert dataset.y[dataset.parts["test"]].tolist() == [0, 1]


def test_other_folders_may_be_the_parts(zoo, tmp_path):
    for name in ("cat", "dog"):
        draw(tmp_path / "held out" / name / "0.png")
    dataset = ImageFolder(zoo, image_size=(4, 4), test=tmp_path / "held out")
    assert dataset.parts["test"].tolist() == [6, 7]


def test_a_class_called_test_among_others_is_a_class(zoo):
    draw(zoo / "test" / "0.png")
    dataset = ImageFolder(zoo, image_size=(4, 4))
    assert dataset.classes == ("cat", "dog", "test")
    assert not dataset.parts


def test_all_damaged_files_are_named(zoo):
    (zoo / "cat" / "broken.png").write_bytes(b"no image at all")
    whole = (zoo / "dog" / "0.png").read_bytes()
    (zoo / "dog" / "torn.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match="2 of 8 files cannot be read") as caught:
        ImageFolder(zoo, image_size=(8, 6))
    assert "broken.png: UnidentifiedImageError" in str(caught.value)
    assert "torn.png: OSError" in str(caught.value)


def test_damaged_files_are_skipped_with_a_notice_where_that_is_asked_for(zoo):
    (zoo / "cat" / "1.png").write_bytes(b"no image at all")
    dataset = ImageFolder(zoo, image_size=(8, 6), skip_damaged=True)
    assert dataset.y.tolist() == [0, 0, 1, 1, 1]
    assert len(dataset.X) == 5
    assert "1 files cannot be read: left out" in dataset.notices[0]
    assert "cat/1.png" in dataset.notices[0]


def test_files_that_are_no_images_are_left_out_with_a_notice(zoo):
    (zoo / "readme.txt").write_text("about")
    (zoo / "cat" / "labels.csv").write_text("a,b")
    (zoo / "cat" / ".DS_Store").write_bytes(b"")
    dataset = ImageFolder(zoo, image_size=(8, 6))
    assert len(dataset.X) == 6
    assert dataset.notices[0].startswith("2 files are no images of a class")


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(MissingError, match="nowhere is not there; give the folder"):
        ImageFolder(tmp_path / "nowhere")


def test_empty_classes_and_a_part_with_others_are_all_faults_at_once(zoo, tmp_path):
    (zoo / "empty").mkdir()
    draw(tmp_path / "test" / "cat" / "0.png")
    with pytest.raises(StudyError) as caught:
        ImageFolder(zoo, test=tmp_path / "test")
    assert len(caught.value.faults) == 2
    assert "empty holds no image" in caught.value.faults[0]
    assert "has the classes cat, the training part has cat, dog, empty" in caught.value.faults[1]


def test_one_class_and_loose_images_are_refused(tmp_path):
    draw(tmp_path / "one" / "cat" / "0.png")
    with pytest.raises(StudyError, match="has one class, 'cat'"):
        ImageFolder(tmp_path / "one")
    draw(tmp_path / "loose" / "0.png")
    with pytest.raises(StudyError, match="no subfolders, but 1 images lie in it"):
        ImageFolder(tmp_path / "loose")


def test_wrong_arguments_are_refused(zoo):
    with pytest.raises(StudyError) as caught:
        ImageFolder(zoo, image_size=64, color="grey")
    assert len(caught.value.faults) == 2


def test_more_pixels_than_memory_are_refused_before_they_are_decoded(zoo):
    with pytest.raises(StudyError, match="give a smaller image_size, or read them as a Stream"):
        ImageFolder(zoo, image_size=(10**6, 10**6))


def test_the_upper_bits_of_16_are_kept_and_transparency_is_dropped(tmp_path):
    values = np.array([[0, 255, 256], [32768, 65535, 40000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    pixels = image_decoding.read_image(tmp_path / "deep.png", (2, 3), "grayscale")
    np.testing.assert_array_equal(pixels[..., 0], values >> 8)

    drawn = draw(tmp_path / "clear.png", mode="RGBA")
    pixels = image_decoding.read_image(tmp_path / "clear.png", (8, 6), "rgb")
    np.testing.assert_array_equal(pixels, drawn[..., :3])


def test_files_are_decoded_once_also_where_they_were_moved(zoo, tmp_path, monkeypatch):
    first = ImageFolder(zoo, image_size=(4, 4))

    def never(*arguments):
        raise AssertionError("decoded again")

    monkeypatch.setattr(image_decoding, "_decode_all", never)
    assert ImageFolder(zoo, image_size=(4, 4)).digest == first.digest
    zoo.rename(tmp_path / "elsewhere")
    assert ImageFolder(tmp_path / "elsewhere", image_size=(4, 4)).digest == first.digest


def test_a_changed_file_and_another_size_are_decoded_anew(zoo):
    before = ImageFolder(zoo, image_size=(8, 6))
    pixels = draw(zoo / "dog" / "2.png")
    after = ImageFolder(zoo, image_size=(8, 6))
    np.testing.assert_array_equal(after.X[5], pixels)
    assert before.digest != after.digest
    assert ImageFolder(zoo, image_size=(4, 4)).X.shape == (6, 4, 4, 3)


def test_what_was_kept_and_is_damaged_is_decoded_again(zoo, home):
    ImageFolder(zoo, image_size=(8, 6))
    kept = next((home / "data").glob("images-*.npy"))
    kept.write_bytes(kept.read_bytes()[:100])
    assert ImageFolder(zoo, image_size=(8, 6)).X.shape == (6, 8, 6, 3)
