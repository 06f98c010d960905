"""What attackers learn from released numbers, beside what the same numbers are worth.

    python -m benchmarks.privacy --json FILE [--quick] [--http ORDERS] [--table ARCHITECTURE.md]

--http runs the attacks on a whole market of processes as well, with so many orders of a lifetime
each; --table writes the figures a data access committee asks for between two marks of a file.

Attack and utility are measured on the same answers of the same run. A row of the private mode
fails below 90 % answered within the lifetime budget (rho 1/10), whatever its AUC: an answer that
is never given protects everybody and helps nobody. Each attack runs with the defence off as well;
a control that fails says the attack is broken. Trusted mode (exact numbers, small cells hidden)
is measured and published, and no pass is claimed for it. Panels are independent variants (the
attacker's best case for a panel of a given size), real 1000 Genomes people, and msprime's for size.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import attacks
from benchmarks.attacks import (
    LIFETIME,
    MINOR,
    RANDOM,
    RARE,
    Measured,
    Panel,
    membership,
    membership_real,
)
from benchmarks.committee import write_table
from benchmarks.harness import Figure, machine, report, say
from benchmarks.people import real, simulated
from compute.noise import add_noise, noise_sd
from compute.queries.frequencies import sensitivity_squared
from compute.queries.private_association import STEPS, SUMS, fitted
from compute.risk import TRUSTED_RIGHT_OF_100

ANSWERED = 0.90
ROOM = 2  # standard errors a measured AUC may stand above its bar


def memberships(scale: float) -> Iterator[tuple[Measured, float, bool]]:
    """Yield (row, AUC bar, whether the bar is a floor): private rows, then their controls."""
    plan: list[tuple[Panel, int, int, int, float]] = [
        (RANDOM, 100, 12, 1000, 0.60),
        (RANDOM, 1_000, 120, 1000, 0.60),
        (RANDOM, 10_000, 1_000, 300, 0.60),
        (RARE, 1_000, 30, 1000, 0.63),
        (RARE, 10_000, 250, 300, 0.63),
        (MINOR, 1_000, 100, 1000, 0.63),
    ]
    for panel, people, variants, trials, bar in plan:
        count = max(60, int(trials * scale))
        say(f"privacy: {panel.name}, N = {people}, m = {variants} ...")
        yield membership(panel, people, variants, trials=count), bar, False
        if panel is RARE:
            off = membership(panel, people, variants, trials=count, private=False)
            yield off, 0.95, True
    yield membership(RANDOM, 1_000, 120, trials=int(600 * scale), missing=0.02), 0.60, False
    yield membership(RARE, 1_000, 30, trials=int(400 * scale), orders=50), 0.63, False
    for people in (100, 1_000, 10_000):
        count = max(100, int(1000 * scale))
        yield membership(RANDOM, people, people, trials=count, private=False), 0.74, True
    yield from _haplotypes(scale)


def _haplotypes(scale: float) -> Iterator[tuple[Measured, float, bool]]:
    """Yield the rows on real people, and on simulated ones where a cohort is larger."""
    count = max(100, int(500 * scale))
    for kind, people, variants, bar in (
        ("random", 1_000, 120, 0.60),
        ("rarest", 1_000, 30, 0.63),
        ("random", 100, 12, 0.60),
    ):
        say(f"privacy: real people, {kind}, N = {people}, m = {variants} ...")
        yield membership_real(kind, real()[1], people, variants, trials=count), bar, False
    for kind, people, variants in (("random", 400, 400), ("rarest", 100, 30)):
        off = membership_real(kind, real()[1], people, variants, trials=count, private=False)
        yield off, 0.74, True
    say("privacy: msprime's people, N = 10,000 ...")
    large, few = simulated(20_000), max(60, int(120 * scale))
    yield membership_real("rarest", large, 10_000, 30, trials=few), 0.63, False
    yield membership_real("rarest", large, 10_000, 30, trials=few, private=False), 0.95, True


def membership_figures(rows: list[dict[str, Any]], scale: float) -> Iterator[Figure]:
    for row, bar, floor in memberships(scale):
        rows.append(row.row())
        area, error = float(row.auc or 0), float(row.auc_se or 0)
        kind = "control, no defence" if floor else f"rho {row.rho_spent}"
        extra = ", ".join(f"{name} {value}" for name, value in row.more.items())
        name = f"AUC, {row.attack}, N={row.people} m={row.variants} ({kind}{extra and '; '}{extra})"
        target = bar - ROOM * error if floor else bar + ROOM * error
        note = f"TPR at 5 % {row.tpr_at_5:.3f}, at 1 % {row.tpr_at_1:.3f}, RMSE {row.rmse:.4g}"
        yield Figure(name, area, "", target, floor, note=f"bar {bar} and {ROOM} SE; {note}")
        if not floor:
            yield Figure(f"answered share of it, N={row.people}", row.answered, "", ANSWERED)


def guess_figures(rows: list[dict[str, Any]], scale: float) -> Iterator[Figure]:
    """Differencing and fake owners: accuracy of a guess whose chance is one half."""
    count = max(400, int(4000 * scale))
    room = ROOM * math.sqrt(0.25 / count)
    for measure, people in ((attacks.differencing, 1_000), (attacks.fake_owners, 100)):
        say(f"privacy: {measure.__name__} ...")
        for private in (True, False):
            row = measure(people, trials=count, private=private)
            rows.append(row.row())
            bar = 0.60 + room if private else 0.90
            kind = f"rho {row.rho_spent}" if private else "control, no defence"
            note = f"RMSE {row.rmse:.4g}, certain {row.more.get('certain_reveals', 0)}"
            name = f"accuracy, {row.attack}, N={people} ({kind})"
            yield Figure(name, float(row.accuracy or 0), "", bar, not private, note=note)


def mechanism_figures(scale: float) -> Iterator[Figure]:
    say("privacy: audit, averaging, level of the association test ...")
    promised = math.sqrt(2 * LIFETIME)
    bound = attacks.audit_bound(LIFETIME, 20_000)
    yield Figure("audit, lower bound on mu at rho 1/10", bound, "", promised, at_least=False)
    caught = attacks.audit_bound(LIFETIME, 20_000, shrink=0.8)
    yield Figure("audit, control: noise x 0.8", caught, "", promised)
    got, error = attacks.averaging(200, LIFETIME / 5, 5)
    yield Figure(f"averaging 200 rewrites: error after the {got} answered", error, "copies", 0.5)
    reached = attacks.averaging(200, LIFETIME, 200)[1]
    yield Figure("averaging, control: nobody counts", reached, "copies", 0.5, at_least=False)
    tests = max(20_000, int(200_000 * scale))
    level = attacks.association_null(1_000, 10, LIFETIME, tests)
    yield Figure("type-I error at 0.05 of the noisy test", level, "", 0.055, at_least=False)
    yield Figure("type-I error at 0.05, not below", level, "", 0.045)


def utility_figures(scale: float) -> Iterator[Figure]:
    """Error of a frequency against theory, power of a GWAS locus, and speed of the sampler."""
    say("privacy: utility ...")
    for variants in (1, 100):
        rng = np.random.default_rng(5)
        gate = attacks.Gate(1_000, variants, private=True)
        an = np.full(variants, 2_000)
        errors = []
        for _ in range(max(3, int(3000 * scale / variants))):
            alt = rng.binomial(an, 0.05)
            errors.append(gate.ask(alt, an, LIFETIME)[1] - alt / an)
        spread = math.sqrt(0.05**2 + 0.95**2)
        theory = noise_sd(sensitivity_squared(variants), LIFETIME) * spread / 2_000
        found = float(np.sqrt(np.nanmean(np.square(errors))))
        name = f"sd of AF by noise, N=1000, {variants} variants, AF 0.05"
        note = f"theory {theory:.4f}; published bound {theory / spread:.4f}"
        yield Figure(name, found, "", theory * 1.1, at_least=False, note=note)
    for people, odds in ((1_000, 1.5), (10_000, 1.2), (100_000, 1.06)):
        for variants in (1, 100):
            without, noisy = (power(people, variants, odds, rho) for rho in (None, LIFETIME))
            name = f"power at 5e-8, GWAS locus, N={people}, OR {odds}, {variants} variants"
            yield Figure(name, noisy, "", limit=without, limit_name="without noise")
    for people, explained in ((1_000, 0.04), (10_000, 0.004), (100_000, 0.0004)):
        runs = max(60, int(200 * scale))
        noisy, without = (cis_power(people, explained, rho, runs) for rho in (LIFETIME, None))
        name = f"power at 1e-4, one cis-QTL, N={people}, r2 {explained}, 1 variant"
        yield Figure(name, noisy, "", limit=without, limit_name="without noise")
    yield from sampler_figures()


def sampler_figures() -> Iterator[Figure]:
    """How long a genome-wide vector's noise takes, beside the processor time it costs."""
    count = 500_000
    started, cpu = time.perf_counter(), time.process_time()
    add_noise(np.zeros(count, np.int64), sensitivity_squared(count), Fraction(1, 2))
    seconds, spent = time.perf_counter() - started, time.process_time() - cpu
    note = f"{spent:.1f} s of processor: {1e6 * spent / count:.0f} us a draw is OpenDP's own cost"
    yield Figure(f"noise for a vector of {count:,}", seconds, "s", 4.0, at_least=False, note=note)


def cis_power(people: int, explained: float, rho: Fraction | None, runs: int) -> float:
    """Return how often p < 1e-4 for a variant explaining that share of a clamped feature.

    Sums of simulated people, OpenDP's noise, the family's own fit.
    """
    rng = np.random.default_rng(9)
    effect = math.sqrt(explained / 0.42) / 3
    sums = np.empty((runs, len(SUMS)))
    for run in range(runs):
        g = rng.binomial(2, 0.3, people) - 1
        u = np.clip(effect * (g + 0.4) + rng.normal(0, 1 / 3, people), -1, 1)
        sums[run] = [part.sum() for part in (np.ones(people), g, g * g, u, u * u, g * u)]
    steps = np.rint(sums * STEPS).astype(np.int64)
    if rho is None:
        return float((fitted(sums, 1e-9, 1.0)["p"] < 1e-4).mean())
    noised = [add_noise(row, len(SUMS) * STEPS**2, rho) for row in steps]
    values = np.stack([one.values for one in noised]) / STEPS
    return float((fitted(values, noised[0].sd / STEPS, 1.0)["p"] < 1e-4).mean())


def power(people: int, variants: int, odds: float, rho: Fraction | None, af: float = 0.3) -> float:
    """Return the power at 5e-8 of the allelic test, half the people cases (normal theory)."""
    cases = odds * af / (1 - af + odds * af)
    an = people  # copies in each half
    noise = 0.0 if rho is None else noise_sd(sensitivity_squared(variants), rho) ** 2
    sampling = (cases * (1 - cases) + af * (1 - af)) / an
    shift = (cases - af) / math.sqrt(sampling + 2 * noise / an**2)
    bar = stats.norm.isf(2.5e-8)
    return float(stats.norm.sf(bar - shift) + stats.norm.cdf(-bar - shift))


def trusted_rows(scale: float) -> Iterator[Measured]:
    """Yield what exact answers of trusted mode give away, small allele counts hidden."""
    for panel, people, variants in ((RANDOM, 178, 178), (RANDOM, 1_000, 130), (RARE, 1_000, 30)):
        yield attacks.membership_trusted(panel, people, variants, trials=max(100, int(800 * scale)))


def _at_the_gate(rows: list[dict[str, Any]], scale: float) -> Iterator[Figure]:
    """Yield what is measured by calling the gate, and the attacks' rows beside it."""
    yield from membership_figures(rows, scale)
    yield from guess_figures(rows, scale)
    yield from mechanism_figures(scale)
    yield from utility_figures(scale)
    for row in trusted_rows(scale):
        rows.append(row.row())
        name = f"AUC, {row.attack}, N={row.people} m={row.variants} (no pass claimed)"
        told = TRUSTED_RIGHT_OF_100 / 100 + ROOM * float(row.auc_se or 0)
        bar = told if row.people == row.variants else None
        note = f"answered {row.answered:.2f}" + ("; what consent texts say" if bar else "")
        yield Figure(name, float(row.auc or 0), "", bar, at_least=False, note=note)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.privacy")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the work")
    parser.add_argument("--only-http", action="store_true", help="leave the other parts out")
    parser.add_argument("--http", type=int, default=0, metavar="ORDERS")
    parser.add_argument("--requests", type=int, default=2_000, help="of each kind, for timing")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args(argv)
    scale, started = 0.1 if options.quick else options.scale, machine()
    rows: list[dict[str, Any]] = []
    figures = [] if options.only_http else list(_at_the_gate(rows, scale))
    if options.http:
        from benchmarks.attacks_http import figures as over_http

        figures += over_http(options.http, options.requests)
    report(figures, None, started)
    if options.table is not None:
        write_table(options.table, figures)
    if options.json is not None:
        machines = {"start": started, "end": machine()}
        value = {"machine": machines, "figures": [f.to_json() for f in figures], "attacks": rows}
        options.json.write_text(json.dumps(value, indent=1) + "\n")
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main())
