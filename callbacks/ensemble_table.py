"""The table over rates in the terminal, from a test run or from its score file."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from metrics import Absent, RateRow, Reduction, Unlabelled, load_scores, rate_table


def metrics_of(row: RateRow) -> dict[str, float]:
    """The metrics that a row holds, by name."""
    values = {"map": row.map, "top1": row.top1, "top5": row.top5}
    return {name: value for name, value in values.items() if value is not None}


def rates_of(row: RateRow) -> str:
    """The rates of a row, such as `2+4`."""
    return "+".join(f"{rate:g}" for rate in row.rates)


def show(rows: list[RateRow], title: str) -> None:
    """Print the table: rates, views of a video, metrics in percent."""
    names = list(metrics_of(rows[0]))
    table = Table(title=title, title_justify="left")
    for column in ("rates", "views", *(f"{name} (%)" for name in names)):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(rates_of(row), str(row.num_views), *(f"{100 * value:.2f}" for value in metrics_of(row).values()))
    Console().print(table)


def evaluate(
    scores: Path,
    reduction: Reduction = "mean",
    rates: list[float] | None = None,
    rate_weights: dict[float, float] | None = None,
    absent: Absent = "skip",
    unlabelled: Unlabelled = "negative",
) -> None:
    """Reduce the score file of a test run in another way; needs no video and no model.

    Args:
        scores: scores.npz of a test run.
        reduction: `mean`, `max` or `mean_logits` over views.
        rates: use the views of these rates only; all by default.
        rate_weights: rate -> weight of each of its views; equal by default.
        absent: labels without a positive: `skip` or `zero`; `nonzero` leaves out all whose average precision is 0.
        unlabelled: videos without labels: `negative` or `minus_inf`.

    Raises:
        ValueError: if the file is no score file, or does not have one of the rates.
    """
    file = load_scores(scores)
    known = sorted(set(file.view_rates.tolist()))
    unknown = [rate for rate in rates or [] if rate not in known]
    if unknown:
        raise ValueError(f"{scores} has no views of rate {unknown[0]:g}; it has rates {known}")
    chosen = [view for view, rate in enumerate(file.view_rates.tolist()) if rates is None or rate in rates]
    rows = rate_table(
        file.logits[:, chosen],
        file.labels,
        file.view_rates[chosen],
        reduction=reduction,
        rate_weights=rate_weights,
        single_label=file.single_label,
        absent=absent,
        unlabelled=unlabelled,
    )
    show(rows, f"{len(file.videos)} videos, {reduction} over views · {scores}")
