"""A schedule: the units as systemd reads them, and the cron line as cron and a shell read it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tuning.cli import systemd_units
from tuning.cli.main import main
from tuning.cli.systemd_units import Schedule, make_schedule, next_steps, service_text, write_units

ODD = Schedule(
    study="housing",
    calendar="Mon..Fri 22:00",
    project=Path("/srv/a b%c"),
    python='/opt/my "py"/100%/python',
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in [*os.environ]:
        if name.startswith("TUNING_") or name == "MLFLOW_TRACKING_URI":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "my project 100%"
    (folder / "studies").mkdir(parents=True)
    (folder / "studies" / "housing.py").write_text("raise RuntimeError('must not run')")
    monkeypatch.chdir(folder)
    return folder


def test_the_verb_writes_both_units_for_the_user_alone_and_prints_the_next_steps(
    project, tmp_path, capsys
):
    assert main(["schedule", "housing", "--calendar", "Mon..Fri 22:00"]) == 0
    page = capsys.readouterr().out
    for suffix in ("service", "timer"):
        path = tmp_path / "config" / "systemd" / "user" / f"tuning-housing.{suffix}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"wrote {path}" in page
    assert "systemctl --user enable --now tuning-housing.timer" in page
    assert "0 22 * * 1-5 cd " in page


def test_options_of_the_run_go_into_the_unit_and_the_cron_line(project, tmp_path, capsys):
    options = ["--trials", "200", "--set", "patience=null"]
    assert main(["schedule", "housing", "--calendar", "daily", "--", *options]) == 0
    unit = (tmp_path / "config" / "systemd" / "user" / "tuning-housing.service").read_text()
    assert '"run" "housing" "--trials" "200" "--set" "patience=null"\n' in unit
    assert "run housing --trials 200 --set patience=null" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trails", "200"], "No such option '--trails'"),
        (["--set", "patience"], "--set"),
        (["--timeout", "late"], "'late' is not a time"),
        (["moons"], "unexpected extra argument"),
        (["--engine", "optuna:tep"], "engine 'optuna:tep' is unknown. Did you mean 'optuna:tpe'?"),
        (["--fresh", "--allow-change"], "exclude each other"),
        (["--epochs", "3", "--set", "epochs=4"], "'epochs' is given twice"),
    ],
)
def test_a_wrong_option_of_the_run_is_told_now(project, tmp_path, capsys, options, message):
    assert main(["schedule", "housing", "--calendar", "daily", "--", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "config").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_no_fault_in_the_units(project, tmp_path):
    folder = tmp_path / "units"
    schedule = make_schedule("housing", "*-*-01 03:00", project)
    files = write_units(schedule, folder)
    command = ["systemd-analyze", "verify", "--man=no", str(files.service), str(files.timer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in done.stderr.splitlines() if "tuning-housing" in line] == []


def test_percent_signs_quotes_and_spaces_are_escaped_for_systemd():
    lines = service_text(ODD).splitlines()
    assert "WorkingDirectory=/srv/a b%%c" in lines
    assert r'ExecStart="/opt/my \"py\"/100%%/python" "-m" "tuning" "run" "housing"' in lines


def test_a_dollar_in_an_argument_is_no_variable():
    text = service_text(replace(ODD, study="/srv/$HOME/a.py"))
    assert '"/srv/$$HOME/a.py"' in text


def test_a_run_is_stopped_by_its_driver_and_a_full_disk_is_no_success():
    lines = service_text(ODD).splitlines()
    assert {"Type=oneshot", "KillMode=mixed", "UMask=0077"} <= set(lines)
    assert not any(line.startswith("SuccessExitStatus") for line in lines)


def test_the_cron_line_gives_the_shell_the_same_words(project):
    text = next_steps(ODD, Path("/x"))
    line = next(line for line in text.splitlines() if " && umask 077 && " in line)
    in_shell = line.split("* * 1-5 ", 1)[1].replace(r"\%", "%")  # as cron hands it on
    assert "%" not in re.sub(r"\\%", "", line)
    words = shlex.split(in_shell)
    assert words[1] == "/srv/a b%c"
    assert words[-5:] == list(ODD.command)


def test_a_calendar_beyond_cron_is_told_in_words():
    text = next_steps(replace(ODD, calendar="Mon *-*-01 03:00"), Path("/x"))
    assert "cron cannot express 'Mon *-*-01 03:00'; use the timer." in text


def test_state_folder_and_devices_of_today_go_into_the_unit_and_secrets_do_not(
    project, monkeypatch
):
    monkeypatch.setenv("TUNING_HOME", "state")
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv("TUNING_STORAGE", "postgresql://me:hush@db/x")
    schedule = make_schedule("housing", "daily", project)
    lines = service_text(schedule).splitlines()
    home = str(project / "state").replace("%", "%%")
    assert f'Environment="TUNING_HOME={home}"' in lines
    assert 'Environment="TUNING_DEVICES=GPU-a,GPU-b"' in lines
    printed = service_text(schedule) + next_steps(schedule, Path("/x"))
    assert "hush" not in printed
    assert "TUNING_STORAGE may hold a password" in printed


def test_a_study_given_by_path_is_scheduled_by_its_absolute_path(project):
    schedule = make_schedule("studies/housing.py", "daily", project)
    assert schedule.study == str(project / "studies" / "housing.py")
    assert schedule.unit == "tuning-housing"


def test_units_of_the_system_run_as_the_user_who_asked(project, tmp_path, monkeypatch):
    monkeypatch.setattr(systemd_units, "_login", lambda: "ada")
    folder = tmp_path / "systemd" / "system"
    schedule = make_schedule("housing", "daily", project)
    assert "User=ada\n" in write_units(schedule, folder).service.read_text()
    assert "  systemctl enable --now tuning-housing.timer" in next_steps(schedule, folder)
    assert "--user" not in next_steps(schedule, folder)


def test_units_elsewhere_are_linked_first(project, tmp_path):
    text = next_steps(make_schedule("housing", "daily", project), tmp_path)
    assert (
        f"systemctl --user link {tmp_path}/tuning-housing.service {tmp_path}/tuning-housing.timer"
        in text
    )


@pytest.mark.parametrize(
    ("study", "calendar", "message"),
    [
        ("housng", "daily", "Did you mean 'housing'?"),
        ("../housing", "daily", "no file '../housing'"),
        ("housing", "each night", "calendar 'each night' is not understood"),
    ],
)
def test_a_wrong_study_or_calendar_ends_with_2_and_writes_nothing(
    project, tmp_path, capsys, study, calendar, message
):
    assert main(["schedule", study, "--calendar", calendar]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "config").exists()


def test_each_variable_of_ours_goes_into_the_unit_but_what_looks_secret(project, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", "leases")
    monkeypatch.setenv("TUNING_OF_LATER", "1")
    monkeypatch.setenv("TUNING_API_TOKEN", "hush")
    schedule = make_schedule("housing", "daily", project)
    assert dict(schedule.environment) == {
        "TUNING_LEASES": str(project / "leases"),
        "TUNING_OF_LATER": "1",
    }
    assert "TUNING_API_TOKEN may hold a password" in next_steps(schedule, Path("/x"))


def test_studies_of_one_name_have_units_of_their_own_and_each_replaces_its_own(project, capsys):
    names = []
    for folder in ("a $b", 'c "d" 100%', "a $b"):
        path = project / folder / "housing.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        assert main(["schedule", str(path), "--calendar", "daily"]) == 0
        names.append(re.search(r"wrote .*/(tuning-.*)\.service", capsys.readouterr().out)[1])
    assert names[0] == names[2] == "tuning-housing"
    assert re.fullmatch(r"tuning-housing-[0-9a-f]{8}", names[1])

    # By its name it is the same study as by its path.
    for words in ("housing", "studies/housing.py"):
        assert main(["schedule", words, "--calendar", "daily"]) == 0
        names.append(re.search(r"wrote .*/(tuning-.*)\.service", capsys.readouterr().out)[1])
    assert names[3] == names[4]
    assert len(set(names)) == 3
