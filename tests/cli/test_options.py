"""What several verbs share: times as users write them, and options put together."""

from __future__ import annotations

import click
import pytest

from tuning.cli import options
from tuning.cli.options import seconds


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
