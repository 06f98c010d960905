"""Reading an answer: tables, TSV, GWAS-SSF, lambda GC, Manhattan and QQ data, and figures.

Works on released answers only, so everything here is post-processing that tells nothing more.
Spec: GWAS-SSF (Hayhurst et al. 2022; github.com/EBISPOT/gwas-summary-statistics-standard): columns
and their order, chromosomes X, Y and MT as 23, 24 and 25, #NA for what is missing, no header lines.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marketplace.client.errors import ClientError

CODES = {"X": "23", "Y": "24", "MT": "25"}
MEDIAN_CHI2 = 0.45493642311957283  # of one degree of freedom
SSF = ("chromosome", "base_pair_location", "effect_allele", "other_allele", "beta",
       "standard_error", "effect_allele_frequency", "p_value", "variant_id", "n")  # fmt: skip


def columns_of(result: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return an answer's columns. Raises ClientError for what is not a result document."""
    found = result.get("answer")
    columns = found.get("columns") if isinstance(found, dict) else None
    if not isinstance(columns, dict) or not columns:
        raise ClientError("this is not a result with columns; see `omic order result`")
    return {str(name): list(values) for name, values in columns.items()}


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    """Return rows of text; missing cells are empty."""
    return [tuple(map(cell, row)) for row in zip(*columns.values(), strict=True)]


def cell(value: Any) -> str:
    """Return a cell as people write it: six significant digits, nothing for what is missing."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def tsv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return tab-separated text with exact numbers."""
    lines = ["\t".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append("\t".join("" if v is None else repr(v) if isinstance(v, float) else str(v)
                               for v in row))  # fmt: skip
    return "\n".join(lines) + "\n"


def is_association(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Tell whether columns are those of an association with effects by variant."""
    return {"contig", "pos", "ref", "alt", "beta", "se", "p"} <= set(columns)


def gwas_ssf(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return an association's released rows as GWAS-SSF. Raises ClientError for another answer."""
    _require_association(columns)
    size = len(columns["pos"])
    af = columns.get("af") or _ratios(columns.get("ac"), columns.get("an"), size)
    n = columns.get("n") or [None] * size
    lines = ["\t".join(SSF)]
    order = sorted(range(size), key=lambda at: (_place(columns["contig"][at]), columns["pos"][at]))
    for at in order:
        contig, pos, ref, alt = (columns[name][at] for name in ("contig", "pos", "ref", "alt"))
        if columns["beta"][at] is None:
            continue
        numbers = (columns["beta"][at], columns["se"][at], af[at], columns["p"][at])
        told = ["#NA" if value is None else repr(value) for value in numbers]
        place = (CODES.get(contig, contig), str(pos), alt, ref)
        lines.append("\t".join((*place, *told, f"{contig}_{pos}_{ref}_{alt}", str(n[at]))))
    return "\n".join(lines) + "\n"


def _ratios(over: Any, under: Any, size: int) -> list[float | None]:
    if over is None or under is None:
        return [None] * size
    return [a / n if a is not None and n else None for a, n in zip(over, under, strict=True)]


def _place(contig: str) -> int:
    return int(CODES.get(contig, contig))


def gwas_figures(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return lambda GC and the points of a QQ and a Manhattan plot, of the rows released.

    qq: expected and observed -log10 p, both falling. manhattan: contig, pos, -log10 p.
    """
    _require_association(columns)
    from scipy.stats import chi2

    kept = [
        (contig, pos, p)
        for contig, pos, p in zip(columns["contig"], columns["pos"], columns["p"], strict=True)
        if p is not None and p > 0
    ]
    if not kept:
        return {"tests": 0, "lambda_gc": None, "qq": [], "manhattan": []}
    ps = sorted(p for _, _, p in kept)
    middle = (ps[(len(ps) - 1) // 2] + ps[len(ps) // 2]) / 2
    return {
        "tests": len(ps),
        "lambda_gc": float(chi2.isf(middle, 1) / MEDIAN_CHI2),
        "qq": [(-math.log10((at + 0.5) / len(ps)), -math.log10(p)) for at, p in enumerate(ps)],
        "manhattan": [(contig, pos, -math.log10(p)) for contig, pos, p in kept],
    }


def _require_association(columns: Mapping[str, Sequence[Any]]) -> None:
    if not is_association(columns):
        raise ClientError("the answer is no association by variant: it has no beta, se and p")


def draw(columns: Mapping[str, Sequence[Any]], title: str, path: Path) -> None:
    """Draw an answer as a figure (PNG, SVG or PDF by the name's ending)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    if is_association(columns):
        figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 1))
        _draw_gwas(axes, gwas_figures(columns))
    elif "fit" in columns:
        figure, axes = pyplot.subplots(figsize=(6, 4))
        _draw_genotypes(axes, columns)
    elif "survival" in columns:
        figure, axes = pyplot.subplots(figsize=(8, 4.5))
        _draw_onset(axes, columns)
    elif "q50" in columns:
        figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(columns["q50"]) + 1.5))
        _draw_ranges(axes, columns)
    else:
        figure, axes = pyplot.subplots(figsize=(8, 4))
        _draw_bars(axes, columns)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _draw_gwas(axes: Any, told: Mapping[str, Any]) -> None:
    shift, ticks, names = 0, [], []
    points = sorted(told["manhattan"], key=lambda one: (_place(one[0]), one[1]))
    for contig in dict.fromkeys(one[0] for one in points):
        here = [one for one in points if one[0] == contig]
        axes[0].scatter([shift + p for _, p, _ in here], [v for _, _, v in here], s=6)
        ticks.append(shift + (here[0][1] + here[-1][1]) / 2)
        names.append(contig)
        shift += here[-1][1]
    axes[0].axhline(-math.log10(5e-8), lw=0.8, ls="--", color="grey")
    axes[0].set(xticks=ticks, xticklabels=names, xlabel="chromosome", ylabel="-log10 p")
    if told["qq"]:
        expected, observed = zip(*told["qq"], strict=True)
        axes[1].plot([0, max(expected)], [0, max(expected)], lw=0.8, color="grey")
        axes[1].scatter(expected, observed, s=6)
        axes[1].set_title(f"lambda GC {told['lambda_gc']:.3f}")
    axes[1].set(xlabel="expected -log10 p", ylabel="observed")


def _draw_ranges(axes: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Draw one line a row: 5-95 %, 25-75 %, and the median, on each row's own scale of sd."""
    names = [f"{m} ({s})" for m, s in zip(columns["metric"], columns["stratum"], strict=True)]
    for at in range(len(names)):
        mean, sd = columns["mean"][at], columns["sd"][at]
        if not sd:
            continue
        for low, high, width in (("q05", "q95", 1), ("q25", "q75", 5)):
            pair = (columns[low][at], columns[high][at])
            if None not in pair:
                axes.plot([(v - mean) / sd for v in pair], [at, at], lw=width, color="tab:blue")
        if columns["q50"][at] is not None:
            axes.plot((columns["q50"][at] - mean) / sd, at, "o", color="black", ms=4)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="standard deviations off the mean")


def _draw_genotypes(axes: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Draw a box a genotype (25-75 %, whiskers 5-95 %), the means and the line through them."""
    names = [f"{name}\nn {n}" for name, n in zip(columns["genotype"], columns["n"], strict=True)]
    for at in range(len(names)):
        low, middle, high = (columns[name][at] for name in ("q25", "q50", "q75"))
        if None not in (low, middle, high):
            ends = [columns[name][at] for name in ("q05", "q95")]
            box = {"q1": low, "med": middle, "q3": high, "fliers": [],
                   "whislo": low if ends[0] is None else ends[0],
                   "whishi": high if ends[1] is None else ends[1]}  # fmt: skip
            axes.bxp([box], positions=[at], widths=0.4)
    for name, style in (("fit", "-"), ("mean", "o")):
        known = [(at, v) for at, v in enumerate(columns[name]) if v is not None]
        axes.plot([at for at, _ in known], [v for _, v in known], style, color="tab:orange")
    axes.set(xticks=range(len(names)), xticklabels=names, xlabel="genotype")


def _draw_onset(axes: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Draw Kaplan and Meier's curve of each stratum with its 95 % band."""
    strata = columns.get("stratum") or ["all"] * len(columns["survival"])
    for name in dict.fromkeys(strata):
        own = [at for at, stratum in enumerate(strata)
               if stratum == name and columns["survival"][at] is not None]  # fmt: skip
        if not own:
            continue
        ages = [columns["age_from"][0], *(columns["age_to"][at] for at in own)]
        share = [1.0, *(columns["survival"][at] for at in own)]
        (line,) = axes.step(ages, share, where="post", label=str(name))
        ends = [at for at in own if columns["survival_low"][at] is not None]
        bounds = [[columns[f"survival_{end}"][at] for at in ends] for end in ("low", "high")]
        places = [columns["age_to"][at] for at in ends]
        axes.fill_between(places, *bounds, step="post", alpha=0.2, color=line.get_color())
    axes.set(xlabel="age, years", ylabel="share still without it", ylim=(None, 1.0))
    if len(axes.lines) > 1:
        axes.legend()


def _draw_bars(axes: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Draw the first column of whole numbers or shares against the first one of text."""
    text = next((n for n, v in columns.items() if any(isinstance(x, str) for x in v)), None)
    wanted = ("prevalence", "af", "pairs", "r2", "both", "difference", "count")
    number = next((n for n in wanted if n in columns), None)
    if number is None:
        raise ClientError("no figure is drawn of this answer; use --format table or tsv")
    labels = columns[text] if text else range(len(columns[number]))
    heights = [value or 0 for value in columns[number]][:200]
    axes.bar(range(len(heights)), heights)
    axes.set(ylabel=number)
    if len(heights) <= 30:
        axes.set_xticks(range(len(heights)), [str(x) for x in labels][: len(heights)], rotation=60)
