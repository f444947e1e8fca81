"""`PlottableSummary`: how a search ended, with its pictures. What `run_study` returns."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal, Self, TypeAlias, get_args

from tuning.errors import StudyError
from tuning.reports.plots import draw
from tuning.reports.summary import Summary

Picture: TypeAlias = Literal["history", "parallel", "slices", "importance"]
PICTURES: tuple[str, ...] = get_args(Picture)


class PlottableSummary(Summary):
    """A summary that draws itself."""

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Return the same summary, with pictures."""
        return cls(**{field.name: getattr(summary, field.name) for field in fields(summary)})

    def plot(self, picture: Picture = "history") -> Any:
        """Return a picture of the search, an interactive Plotly figure.

        Args:
            picture: "history": every trial's value and the best so far; "parallel": all parameters
                at once; "slices": each parameter alone; "importance": each parameter's share.

        Raises:
            StudyError: There is no such picture, or too few trials were completed for it.
        """
        if picture not in PICTURES:
            raise StudyError(f"no picture {picture!r}; there are: {', '.join(PICTURES)}")
        if self.space is None:
            raise StudyError("this summary does not say what was searched; run the study again")
        figure = getattr(draw(self.trials, self.space, self.objective), picture)
        if figure is None:
            n_completed = self.counts["completed"]
            raise StudyError(f"too few completed trials for the picture {picture!r}: {n_completed}")
        return figure
