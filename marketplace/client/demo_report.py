"""The demo's report: tables, two pictures (SVG and PNG) and one HTML page that needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, select_autoescape

from marketplace.client.terminal import money, when

if TYPE_CHECKING:
    from marketplace.client.demo_audit import Audit
    from marketplace.client.demo_owners import View
    from marketplace.client.demo_team import Done

TOP_ROWS = 15


def write(
    root: Path,
    orders: "Sequence[Done]",
    views: "Sequence[View]",
    audit: "Audit",
    findings: Mapping[str, Any],
    seconds: Mapping[str, float],
) -> Path:
    """Write report/index.html with its pictures and the raw answers; return the page's path."""
    folder = root / "report"
    folder.mkdir(parents=True, exist_ok=True)
    for done in orders:
        if done.answer is not None:
            (folder / f"{done.order}.result.json").write_bytes(done.answer.result_bytes)
            (folder / f"{done.order}.bundle.json").write_bytes(done.answer.bundle)
    frequencies = _frequency_rows(orders)
    associations = _association_rows(orders)
    draw_frequencies(frequencies, folder)
    draw_associations(associations, folder)
    page = (
        _environment()
        .get_template("demo_report.html")
        .render(
            orders=orders,
            views=views,
            audit=audit,
            findings=findings,
            seconds=seconds,
            frequencies=sorted(frequencies, key=lambda row: -abs(row["ceu"] - row["yri"]))[
                :TOP_ROWS
            ],
            associations=sorted(associations, key=lambda row: row["p"])[:TOP_ROWS],
            pictures={name: (folder / f"{name}.svg").read_text() for name in _PICTURES},
            money=money,
            when=when,
        )
    )
    path = folder / "index.html"
    path.write_text(page)
    return path


_PICTURES = ("frequencies", "association")


def _environment() -> Environment:
    loader = PackageLoader("marketplace.client", "templates")
    return Environment(loader=loader, autoescape=select_autoescape(), trim_blocks=True)


def _answer(orders: "Sequence[Done]", title: str) -> Mapping[str, Any] | None:
    for done in orders:
        if done.title.startswith(title) and done.answer is not None:
            answer: Mapping[str, Any] = done.answer.result["answer"]
            return answer
    return None


def columns(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an answer's columns as rows, each with its variant as contig-pos-ref-alt."""
    table = answer["columns"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    for row in rows:
        row["variant"] = "-".join(str(row[part]) for part in ("contig", "pos", "ref", "alt"))
    return rows


def _frequency_rows(orders: "Sequence[Done]") -> list[dict[str, Any]]:
    """Return variants with both populations' allele frequencies."""
    ceu, yri = (_answer(orders, f"Allele frequencies, {p}") for p in ("CEU", "YRI"))
    if ceu is None or yri is None:
        return []
    other = {row["variant"]: row for row in columns(yri)}
    return [
        {
            "variant": row["variant"],
            "ceu": row["af"],
            "yri": other[row["variant"]]["af"],
            "an": (row["an"], other[row["variant"]]["an"]),
        }
        for row in columns(ceu)
        if row["variant"] in other
        and row["af"] is not None
        and other[row["variant"]]["af"] is not None
    ]


def _association_rows(orders: "Sequence[Done]") -> list[dict[str, Any]]:
    answer = _answer(orders, "Association")
    if answer is None:
        return []
    return [row for row in columns(answer) if row["p"] is not None]


def _figure() -> Any:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "omic"
    mpl.rcParams["svg.fonttype"] = "none"
    return Figure(figsize=(6.4, 4.2), layout="constrained")


def _save(figure: Any, folder: Path, name: str) -> None:
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})


def draw_frequencies(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draw allele frequency in CEU against YRI, one point a variant."""
    figure = _figure()
    axes = figure.add_subplot()
    axes.scatter(
        [r["ceu"] for r in rows], [r["yri"] for r in rows], s=8, alpha=0.45, color="#0b6e6e"
    )
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    axes.set(
        xlabel="allele frequency, CEU", ylabel="allele frequency, YRI", xlim=(0, 1), ylim=(0, 1)
    )
    axes.set_title(f"{len(rows):,} variants, from data nobody else can read")
    _save(figure, folder, "frequencies")


def draw_associations(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draw -log10 p of each variant along the chromosome."""
    from math import log10

    figure = _figure()
    axes = figure.add_subplot()
    positions = [int(str(r["variant"]).split("-")[1]) / 1e6 for r in rows]
    heights = [-log10(r["p"]) if r["p"] > 0 else 300 for r in rows]
    axes.scatter(positions, heights, s=10, alpha=0.6, color="#7a3e9d")
    axes.axhline(-log10(5e-8), color="#999999", linewidth=1, linestyle="--")
    axes.set(xlabel="position (Mb)", ylabel="$-\\log_{10}$ p")
    axes.set_title("Expression of one gene and nearby variants")
    _save(figure, folder, "association")
