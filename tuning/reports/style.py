"""What all figures of the report share: colours, ground, escaping."""

from __future__ import annotations

import html
from typing import Any

from tuning.storage.secrets import without_secrets

# Legible on white and on near-black: the page follows the reader's choice of light or dark.
COLOURS = ("#2f7fdf", "#e4572e", "#2a9d5c", "#b05cd6", "#d99a00")
GREY = "rgba(128,138,152,0.5)"


def escaped(text: object) -> str:
    """Return text for Plotly, which reads labels as HTML."""
    return html.escape(without_secrets(str(text)), quote=False)


def styled(figure: Any, height: int, *, legend: bool = True) -> Any:
    """Give a figure the page's look: small margins, and no title or ground of its own.

    The page's CSS colours its text, for light and dark.
    """
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 34 if legend else 8, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        showlegend=legend,
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 12.5},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(automargin=True, zeroline=False, title_font_size=13)
    figure.update_yaxes(automargin=True, zeroline=False, title_font_size=13)
    return figure
