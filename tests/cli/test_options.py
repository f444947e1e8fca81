"""What several verbs share: times as users write them, and options put together."""

from __future__ import annotations

import click
import pytest

from tuning.cli import options
from tuning.cli.main import app
from tuning.cli.options import n_bytes, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("90m", 5400.0), ("2h", 7200.0), ("45s", 45.0), ("1h30m", 5400.0), ("12.5", 12.5)],
)
def test_times_are_read(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", " ", "m", "1d", "-3", "3 h 4", "1h30"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(click.BadParameter, match="is not a time"):
        seconds(text)


def test_options_together_are_listed_in_the_order_they_are_written_in():
    both = options.together(click.option("--first"), click.option("--second"))

    @click.command()
    @both
    def command(first, second):
        pass

    assert [option.name for option in command.params] == ["first", "second"]


@pytest.mark.parametrize("verb", ["run", "bench", "record"])
def test_every_verb_that_runs_trials_says_where_and_within_what(verb):
    command = app.get_command(click.Context(app), verb)
    asked = {option.name for option in command.params}
    assert {"devices", "slots_per_gpu", "executor", "ray_address"} <= asked
    assert {"memory_per_slot", "quota", "gpu_hours", "cpu_hours"} <= asked


@pytest.mark.parametrize(
    ("text", "value"),
    [("4G", 4 << 30), ("800m", 800 << 20), ("1.5GB", 3 << 29), ("2GiB", 2 << 30), ("4096", 4096)],
)
def test_a_size_is_a_number_with_a_unit_of_1024(text, value):
    assert n_bytes(text) == value


@pytest.mark.parametrize("text", ["", "0", "G", "-1G", "4 gigs", "1e9", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(click.BadParameter, match="is not a size; write 4G, 800M or bytes"):
        n_bytes(text)
