"""`make gpu-check`: how it judges what a GPU gives, with figures that stand in for one."""

from __future__ import annotations

import json

import pytest

from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import checks
from benchmarks.gpu_check.box import STUDIES, Box, Search, said, said_by
from benchmarks.gpu_check.page import page, sentence
from benchmarks.gpu_check.row import Row, Verdict
from tuning.errors import TuningError
from tuning.executors.devices.gpus import Device
from tuning.study.study import load_study

GPUS = [Device(0, "GPU-a", "A100", 40960), Device(1, "GPU-b", "A100", 40960)]
GROWS = {"gpus": 1, "taken_mb": 600, "context_mb": 580, "total_mb": 40960, "tensorflow": "2.21.0"}
XLA = {"by_xla": 1.0, "difference": 1e-6, "ours_ms": 5.0, "fit_ms": 50.0, "notes": ""}
MIRRORED = {"replicas": 1, "difference": 1e-7, "one_device_ms": 50.0, "mirrored_ms": 60.0}
SYSTEM = tuple(f"system/gpu_0_{word}" for word in checks.OWN_METRICS)


def search(trials_s=10.0, slots=("GPU-a",) * 4, own_metrics=SYSTEM):
    return Search(trials_s=trials_s, slots=slots, said="", own_metrics=own_metrics)


class StandIn(Box):
    """A box whose programs and searches have been run: figures and searches by their words."""

    def __init__(self, figures=None, searches=None, gpus=GPUS):
        super().__init__(gpus)
        object.__setattr__(self, "answers", {**(figures or {}), **(searches or {})})
        object.__setattr__(self, "asked", [])

    def in_child(self, name):
        return self.answers[name]

    def search(self, study, *arguments, extra=None):
        words = " ".join(map(str, (study, *arguments)))
        self.asked.append((words, extra))
        return self.answers[words]


@pytest.mark.parametrize(
    ("check", "figures", "verdict"),
    [
        ("growth", GROWS, Verdict.PASSED),
        ("growth", GROWS | {"gpus": 2}, Verdict.FAILED),
        ("growth", GROWS | {"gpus": 0, "taken_mb": 0}, Verdict.FAILED),
        ("growth", GROWS | {"taken_mb": 38_000}, Verdict.FAILED),
        ("xla", XLA, Verdict.PASSED),
        ("xla", XLA | {"by_xla": 0.0}, Verdict.FAILED),
        ("xla", XLA | {"difference": 1e-2}, Verdict.FAILED),
        ("mirrored", MIRRORED, Verdict.PASSED),
        ("mirrored", MIRRORED | {"difference": float("nan")}, Verdict.FAILED),
    ],
)
def test_figures_of_a_program_are_judged(check, figures, verdict):
    row = checks.CHECKS[check](StandIn({check: figures}))
    assert row.verdict is verdict
    assert row.figures == figures


@pytest.mark.parametrize(("auto_s", "verdict"), [(10.9, Verdict.PASSED), (15.0, Verdict.FAILED)])
def test_a_plan_is_as_fast_as_the_better_kind_of_device(auto_s, verdict):
    planned = {
        "plain --devices cpu": search(10.0, ("cpu:0", "cpu:1")),
        "plain --devices gpu": search(40.0),
        "plain --devices auto": search(auto_s, ("cpu:0", "cpu:1", "GPU-a")),
    }
    row = checks.plan_plain(StandIn(searches=planned))
    assert row.verdict is verdict
    assert row.figures["planned"] == "2 trials on CPU cores, 1 on GPUs"


@pytest.mark.parametrize(
    ("by_smi", "table", "verdict", "note"),
    [
        (["GPU-a", "GPU-b"], "GPU-a GPU-b", Verdict.PASSED, ""),
        (["GPU-b", "GPU-a"], "GPU-a GPU-b", Verdict.FAILED, ""),
        (["GPU-a", "GPU-c", "GPU-b"], "GPU-a GPU-b", Verdict.PASSED, ""),  # c is not ours to use
        (["GPU-a", "GPU-b"], "GPU-a", Verdict.FAILED, "tuning devices does not show GPU-b"),
        (["GPU-a", "GPU-b"], None, Verdict.PASSED, "this release has no `tuning devices`"),
        ([], "", Verdict.ABSENT, "nvidia-smi lists none of the GPUs that this process may use"),
    ],
)
def test_devices_are_in_the_order_of_nvidia_smi(monkeypatch, by_smi, table, verdict, note):
    monkeypatch.setattr(checks, "gpus_by_nvidia_smi", lambda: by_smi)
    monkeypatch.setattr(checks, "said_by", lambda *_: table)
    row = checks.devices(StandIn())
    assert (row.verdict, row.note) == (verdict, note)


@pytest.fixture
def daemon(monkeypatch, tmp_path):
    """A control program of MPS that does nothing, and a command line with --slots-per-gpu."""
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text("#!/bin/sh\ncat >/dev/null\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(checks, "said_by", lambda *_: "--slots-per-gpu N")
    return program


@pytest.mark.parametrize(("two_s", "verdict"), [(7.0, Verdict.PASSED), (11.0, Verdict.FAILED)])
def test_sharing_a_gpu_must_not_cost(daemon, two_s, verdict):
    box = StandIn(
        searches={
            "images --devices 0": search(10.0),
            "images --devices 0 --slots-per-gpu 2": search(two_s),
        }
    )
    assert checks.mps(box).verdict is verdict
    (_, without), (_, environment) = box.asked
    assert without is None
    assert environment.keys() == {"CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"}


def test_a_daemon_that_may_not_be_started_is_not_there(daemon):
    daemon.write_text("#!/bin/sh\necho 'not permitted' >&2; exit 1\n")
    row = checks.mps(StandIn(searches={"images --devices 0": search()}))
    assert row.verdict is Verdict.ABSENT
    assert "not permitted" in row.note


@pytest.mark.parametrize(
    ("names", "verdict"),
    [(SYSTEM, Verdict.PASSED), (SYSTEM[1:], Verdict.FAILED), (("system/cpu",), Verdict.ABSENT)],
)
def test_runs_have_the_metrics_of_a_gpu(names, verdict):
    box = StandIn(searches={"images --devices 0 --trials 3": search(own_metrics=names)})
    assert checks.own_metrics(box).verdict is verdict


def test_a_check_that_ends_with_an_error_has_failed_and_says_why(monkeypatch):
    def broken(box):
        raise TuningError("CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setitem(checks.CHECKS, "growth", broken)
    row = checks.checked("growth", StandIn())
    assert (row.verdict, row.note) == (Verdict.FAILED, "CUDA_ERROR_OUT_OF_MEMORY")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "gpu.md"
    assert command.main(["--out", str(out)]) == 3
    assert capsys.readouterr().err.startswith("there is no NVIDIA GPU that this process may use")
    assert not out.exists()


def test_a_failed_check_is_on_the_page_and_in_the_exit_code(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a")
    monkeypatch.setattr(
        Box, "in_child", lambda box, name: {"xla": XLA, "growth": GROWS | {"gpus": 2}}[name]
    )
    out = tmp_path / "gpu.md"
    assert command.main(["--checks", "xla,growth", "--out", str(out)]) == 1
    words = out.read_text()
    assert "| XLA: our graph against fit | passed |" in words
    assert "| growth: a worker sees one GPU and takes little of its memory | FAILED |" in words
    assert capsys.readouterr().out.endswith(f"1 passed, 1 FAILED; written: {out}\n")


def test_an_unknown_check_is_told(capsys):
    with pytest.raises(SystemExit):
        command.main(["--checks", "xla,speed"])
    assert "no check 'speed'; there are devices,growth," in capsys.readouterr().err


def test_a_text_of_several_lines_stays_in_its_cell():
    about = {
        "libraries": {"keras": "3"},
        **dict.fromkeys(("cpu", "cores", "memory_gib", "system", "python", "commit", "date"), 1),
    }
    row = Row(check="a", verdict=Verdict.FAILED, figures={"b_ms": 12345.6}, note="x | y\nz")
    assert page([row], GPUS, about).splitlines()[-1] == "| a | FAILED | b_ms 12,346 | x \\| y z |"
    assert sentence([row]) == "1 FAILED"


def test_what_a_program_complained_of_is_told():
    with pytest.raises(TuningError, match=r"ended with exit code 4: no such device"):
        said(["sh", "-c", "echo no such device >&2; exit 4"], {})


def test_a_verb_of_a_later_release_is_told_from_a_failure():
    assert said_by("no-such-verb") is None
    with pytest.raises(TuningError, match="ended with exit code 2"):
        said_by("run", "--no-such-option")


@pytest.mark.parametrize("file", sorted(STUDIES.glob("[a-z]*.py")), ids=lambda file: file.stem)
def test_its_studies_are_right(file):
    study = load_study(str(file))
    assert len(study.data().X) >= 2_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xla", "mirrored"])
def test_its_programs_run_without_a_gpu_too(name, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "-1")  # the one slot's CUDA_VISIBLE_DEVICES
    figures = Box(GPUS).in_child(name)
    assert figures["difference"] <= checks.MOST_DIFFERENCE
    assert json.dumps(figures)


@pytest.mark.slow
def test_a_search_is_timed_by_its_trials(monkeypatch):
    found = Box(GPUS).search("plain", "--devices", "cpu:1", "--trials", 2, "--epochs", 1)
    assert (found.on_gpus, len(found.slots)) == (0, 2)
    assert 0 < found.trials_s < 60
