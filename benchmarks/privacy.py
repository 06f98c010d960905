"""What attackers learn from released numbers, beside what the same numbers are worth.

    python -m benchmarks.privacy --json FILE [--quick]

Attack and utility are measured on the same answers of the same run. A row of the private mode
fails below 90 % answered within the lifetime budget (rho 1/10), whatever its AUC: an answer that
is never given protects everybody and helps nobody. Each attack runs with the defence off as well;
a control that fails says the attack is broken. Trusted mode (exact numbers, small cells hidden)
is measured and published, and no pass is claimed for it. Genomes are drawn with independent
variants, which is the attacker's best case for a panel of a given size.
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
from benchmarks.attacks import LIFETIME, MINOR, RANDOM, RARE, Measured, Panel, membership
from benchmarks.harness import Figure, machine, report, say
from compute.noise import add_noise, noise_sd
from compute.queries.frequencies import sensitivity_squared

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
    count = max(50_000, int(500_000 * scale))
    started = time.perf_counter()
    add_noise(np.zeros(count, np.int64), sensitivity_squared(count), Fraction(1, 2))
    seconds = time.perf_counter() - started
    yield Figure(f"noise for a vector of {count:,}", seconds, "s", note="of OpenDP, in batches")


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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.privacy")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    options = parser.parse_args(argv)
    scale, started = 0.1 if options.quick else 1.0, machine()
    rows: list[dict[str, Any]] = []
    figures = list(membership_figures(rows, scale))
    figures += guess_figures(rows, scale)
    figures += mechanism_figures(scale)
    figures += utility_figures(scale)
    for row in trusted_rows(scale):
        rows.append(row.row())
        name = f"AUC, {row.attack}, N={row.people} m={row.variants} (no pass claimed)"
        figures.append(Figure(name, float(row.auc or 0), "", note=f"answered {row.answered:.2f}"))
    report(figures, None, started)
    if options.json is not None:
        machines = {"start": started, "end": machine()}
        value = {"machine": machines, "figures": [f.to_json() for f in figures], "attacks": rows}
        options.json.write_text(json.dumps(value, indent=1) + "\n")
    return int(any(figure.met is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main())
