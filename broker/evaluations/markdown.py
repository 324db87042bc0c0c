"""The figures of an evaluation as Markdown tables. Pure."""

from collections.abc import Iterator, Sequence

from broker.evaluations.figures import ColumnFigures, Estimate, Summary


def list_headings(summary: Summary) -> list[str]:
    """Return the headings of the table of columns."""
    graders = [each.grader for each in summary.columns[0].graders]
    return ["model", *graders, "agreement", "cost", "p50", "p95", "tokens", "refused", "failed"]


def list_cells(column: ColumnFigures) -> list[str]:
    """Return the cells of a column's row under `list_headings`."""
    tokens = column.prompt_tokens + column.completion_tokens
    return [
        column.name,
        *(format_estimate(each.accuracy or each.score) for each in column.graders),
        _format_share(column.agreement),
        f"${column.cost:.6f}",
        _format_seconds(column.latency_ms.p50),
        _format_seconds(column.latency_ms.p95),
        f"{tokens:,}",
        str(column.refused),
        str(column.failed),
    ]


def list_findings(summary: Summary) -> Iterator[str]:
    """Yield a sentence for each difference to the baseline and each judge's position bias."""
    for each in summary.differences:
        verdict = "" if each.significant else "not "
        yield (
            f"{each.grader}: {each.name} against {each.baseline}: "
            f"{format_estimate(each.difference, signed=True)}, p = {each.p_value:.3g} "
            f"({each.test}, {each.prompts} prompts), {verdict}significant"
        )
    for bias in summary.position_bias:
        if bias.first_share is not None:
            verdict = "a position bias" if bias.detected else "no position bias"
            yield (
                f"{bias.grader}: the judge chose the first answer in "
                f"{_format_share(bias.first_share.value)} of its verdicts and kept its verdict in "
                f"{bias.consistent} of {bias.pairs} swapped pairs: {verdict} "
                f"(p = {bias.p_value:.3g})"
            )


def write_markdown(summary: Summary) -> str:
    """Return the table of columns and the findings as Markdown."""
    headings = list_headings(summary)
    align = ["---", *["---:"] * (len(headings) - 1)]
    rows = [headings, align, *(list_cells(each) for each in summary.columns)]
    findings = [f"- {_escape(each)}" for each in list_findings(summary)]
    lines = [*map(_write_row, rows), *([""] if findings else []), *findings]
    return "\n".join(lines) + "\n"


def format_estimate(estimate: Estimate | None, *, signed: bool = False) -> str:
    """Return a share or score with its interval, as `0.83 [0.75, 0.89]`."""
    if estimate is None:
        return ""
    sign = "+" if signed else ""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _write_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_escape(each) for each in cells)} |"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _format_share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _format_seconds(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
