"""Figures of the report's page."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from gendist.analysis.figure_style import inline_svg, shared_legend, style_context
from gendist.analysis.report.class_plots import FIGURE_WIDTH, confusion_plot, new_figure, reliability_plot
from gendist.analysis.report_page import page_charts

# --- figures ---


def test_a_legend_has_as_many_columns_as_fit():
    for letters, lines in ((4, 1), (60, 2)):
        with style_context(themed=True):
            figure, axes = new_figure(FIGURE_WIDTH, 4.0)
            for letter in "ab":
                axes.plot([0], [0], label=letter * letters)
            shared_legend(figure, [axes], columns=2)
            figure.draw_without_rendering()
        (legend,) = figure.legends
        assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == lines


def test_the_legend_of_figure_2_is_no_wider_than_the_figure(monkeypatch: pytest.MonkeyPatch):
    figures: list[Figure] = []
    monkeypatch.setattr(page_charts, "inline_svg", lambda figure, name: str(figures.append(figure)))
    row = {"runs": "5", "accuracy": "69.5", "sd": "0.7"}
    systems = (("kim+synthetic", "2500"), ("teacher", ""), ("kim+gendist", ""), ("kim+dist", ""))
    page_charts.curve_chart([{"system": name, "n_synthetic": count, **row} for name, count in systems], "news")
    (legend,) = figures[0].legends
    assert len(legend.get_texts()) == 4 and legend.get_window_extent().width <= figures[0].bbox.width


# --- the page ---


def test_confusion_is_in_percent_of_the_true_class():
    figure = confusion_plot(["a", "b"], np.array([[199, 1], [30, 10]]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["100", "<1", "75", "25"]
    assert figure.axes[0].get_ylabel() == "true class"
    # Whatever the colours of the page: its own ink on a colour that is never strong.
    assert max(cell.get_alpha() for cell in figure.axes[0].patches) == pytest.approx(0.55, abs=0.01)


def test_bins_of_few_predictions_are_not_drawn():
    rows = [
        {"predictions": count, "confidence": 100 * place - 5, "accuracy": 50}
        for place, count in ((1, 9), (2, 10), (3, 400))
    ]
    figure = reliability_plot({"as trained": rows})
    (curve,) = [line for line in figure.axes[0].lines if line.get_label() == "as trained"]
    assert list(curve.get_xdata()) == [195, 295]
    assert len(figure.axes[1].patches) == 3  # their share is


def test_names_of_classes_are_no_formulas_in_figures():
    with style_context(themed=True):
        svg = inline_svg(confusion_plot(["$x$ <b>", "\u4f60\u597d"], np.array([[1, 0], [2, 3]])), "a1")
    assert "$x$ &lt;b&gt;" in svg and "\u4f60\u597d" in svg
