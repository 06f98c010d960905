"""What attackers learn from released numbers, beside what the same numbers are worth.

    python -m benchmarks.privacy --json FILE [--part NAME]... [--scale 0.1] [--table DOCUMENT]
    python -m benchmarks.privacy --part http-membership --people 1000 [--people 10000]

Parts: membership, real, msprime, pairs, mechanism, utility, trusted, sampler; and of a whole market
of processes, not run unless named: http, http-pairs, http-membership (cohorts of the sizes given).
--table writes what a data access committee asks for between two marks of a file;
`python -m benchmarks.committee` joins parts run one by one, and what was not run keeps the figures
it has there.

Attack and utility are measured on the same answers of the same run. A private row must be answered
to 90 % within the lifetime budget (rho 1/10), whatever its AUC: an answer that is never given
protects everybody and helps nobody. Each attack runs with the defence off as well; a control that
fails says the attack is broken. Bars are the issue's own. Trusted mode (exact numbers, small cells
hidden) is measured and published, and no pass is claimed for it.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks import attacks_mechanism as mechanism
from benchmarks.attacks import LIFETIME, Gate, Measured
from benchmarks.attacks_membership import MINOR, RARE, chosen_panel, random_panel, trusted_panel
from benchmarks.attacks_pairs import (
    KINDS,
    OVERLAP,
    differencing,
    fake_owners,
    floor_refuses_complement_of_one,
)
from benchmarks.attacks_people import random_variants, rarest_variants
from benchmarks.committee import WITHOUT_NOISE, Run, write_table
from benchmarks.harness import Figure, machine, report, say
from benchmarks.people import common_real, real, simulated
from compute.noise import Int64, add_noise, noise_sd
from compute.queries.frequencies import sensitivity_squared
from compute.risk import TRUSTED_RIGHT_OF_100

ANSWERED = 0.90
RANDOM_BAR, CHOSEN_BAR, TPR_BAR = 0.60, 0.63, 0.12
CONTROL_RANDOM, CONTROL_CHOSEN = 0.74, 0.95


@dataclass
class Bench:
    """One run: its share of the full work, and the attacks' rows as they come."""

    scale: float
    rows: list[Measured] = field(default_factory=list)

    def count(self, full: int, least: int = 2) -> int:
        """Return a number of trials at this scale."""
        return max(least, int(full * self.scale))

    def area(self, row: Measured, bar: float | None, *, control: bool = False) -> Figure:
        """Keep a membership row, and return the figure of its AUC."""
        self.rows.append(row)
        name = f"AUC, {_asked(row)}"
        note = f"SE {row.auc_se or 0:.3f}, TPR at 5 % {row.tpr_at_5:.3f}; {worth(row)}"
        return Figure(name, float(row.auc or 0), "", bar, control, note=note)

    def chosen(self, row: Measured) -> Iterator[Figure]:
        """Keep a row of a panel made for one victim; yield its AUC and its TPR."""
        yield self.area(row, CHOSEN_BAR)
        name = f"TPR at 5 % FPR, {_asked(row)}"
        note = f"{row.trials} trials; {worth(row)}"
        yield Figure(name, float(row.tpr_at_5 or 0), "", TPR_BAR, False, note=note)

    def guess(self, row: Measured, bar: float, *, control: bool = False) -> Figure:
        """Keep a row whose attacker guesses, and return the figure of what it gets right."""
        self.rows.append(row)
        name = f"accuracy, {row.attack}, N={row.people:,} ({_kind(row)})"
        note = f"{row.trials} trials; {worth(row)}"
        return Figure(name, float(row.accuracy or 0), "", bar, control, note=note)


def worth(row: Measured) -> str:
    """Say what a row's answers were worth: answered share, rho spent, RMSE of a frequency."""
    return f"answered {row.answered:.2f}, rho {row.rho_spent}, RMSE {row.rmse:.2g}"


def _asked(row: Measured) -> str:
    extra = "".join(f", {name} {value}" for name, value in row.more.items())
    return f"{row.attack}, N={row.people:,} m={row.variants:,}{extra} ({_kind(row)})"


def _kind(row: Measured) -> str:
    return f"rho {row.rho_spent}" if row.defence else "control, no defence"


def membership(bench: Bench) -> Iterator[Figure]:
    """Independent variants: random panels, panels made for a victim, many buyers, missing calls."""
    for people, variants, releases in ((100, 12, 300), (1_000, 120, 80), (10_000, 1_000, 12)):
        many = bench.count(releases)
        yield bench.area(random_panel(people, variants, releases=many), RANDOM_BAR)
        off = random_panel(people, people, releases=bench.count(releases // 4), private=False)
        yield bench.area(off, CONTROL_RANDOM, control=True)
    trials = bench.count(2_000, 50)
    for panel, people, variants, half in ((RARE, 1_000, 30, 1), (RARE, 10_000, 250, 2),
                                          (MINOR, 1_000, 100, 1)):  # fmt: skip
        yield from bench.chosen(chosen_panel(panel, people, variants, trials=trials // half))
    for people, variants in ((1_000, 30), (10_000, 250)):
        off = chosen_panel(RARE, people, variants, trials=trials // 4, private=False)
        yield bench.area(off, CONTROL_CHOSEN, control=True)
    lost = random_panel(1_000, 120, releases=bench.count(80), missing=0.02)
    yield bench.area(lost, RANDOM_BAR)
    yield from bench.chosen(chosen_panel(RARE, 1_000, 30, trials=trials, missing=0.02))
    yield from _buyers(bench)


def _buyers(bench: Bench) -> Iterator[Figure]:
    """Fifty buyers who share answers, and what they would gain were budgets their own."""
    few = bench.count(1_000, 50)
    shared = chosen_panel(RARE, 10_000, 5, trials=few, orders=50)
    yield bench.area(shared, RANDOM_BAR)
    alone = chosen_panel(RARE, 10_000, 5, trials=few)
    gain, room = float(shared.auc or 0) - float(alone.auc or 0), float(shared.auc_se or 0)
    yield Figure("gain in AUC of 50 buyers over one", gain, "", 3 * room, False,
                 note="bar: 3 standard errors of this run")  # fmt: skip
    own = chosen_panel(RARE, 10_000, 30, trials=few // 2, rho=50 * LIFETIME)
    yield bench.area(own, CONTROL_RANDOM, control=True)


def real_people(bench: Bench) -> Iterator[Figure]:
    """1000 Genomes people, all variants there are where the defence is off."""
    copies, often = real()[1], common_real()
    for people, variants, releases in ((100, 12, 100), (1_000, 120, 30)):
        found = random_variants(often, people, variants, releases=bench.count(releases))
        yield bench.area(found, RANDOM_BAR)
    off = random_variants(often, 400, often.shape[1], releases=bench.count(10), private=False)
    yield bench.area(off, CONTROL_RANDOM, control=True)
    for people, variants, trials in ((100, 12, 3_000), (1_000, 30, 1_500)):
        found = rarest_variants(copies, people, variants, trials=bench.count(trials, 50))
        yield from bench.chosen(found)
    off = rarest_variants(copies, 100, 300, trials=bench.count(100, 20), private=False)
    yield bench.area(off, CONTROL_CHOSEN, control=True)


def msprime_people(bench: Bench) -> Iterator[Figure]:
    """22,000 simulated people: a cohort of 10,000, and others the attacker knows."""
    # d' = sqrt(m / N * R / (N + R)) must exceed 0.91 for an AUC of 0.74: m = 2 N for R = 1.15 N.
    made = simulated(22_000, 80)
    found = random_variants(made.common, 10_000, 1_000, releases=bench.count(6))
    yield bench.area(found, RANDOM_BAR)
    off = random_variants(made.common, 10_000, 20_000, releases=bench.count(2), private=False)
    yield bench.area(off, CONTROL_RANDOM, control=True)
    found = rarest_variants(made.rare, 10_000, 30, trials=bench.count(600, 50))
    yield from bench.chosen(found)
    off = rarest_variants(made.rare, 10_000, 30, trials=bench.count(100, 20), private=False)
    yield bench.area(off, CONTROL_CHOSEN, control=True)


def pairs(bench: Bench) -> Iterator[Figure]:
    """Cohorts one person apart, and a cohort of fakes but one: guesses whose chance is one half."""
    for kind in KINDS:
        trials = bench.count(500 if kind is OVERLAP else 4_000, 200)
        row = differencing(kind, 1_000, trials=trials)
        yield bench.guess(row, 0.60)
        yield Figure(f"certain reveals, {row.attack}", float(row.more["certain_reveals"]), "", 0.0,
                     at_least=False, note=worth(row))  # fmt: skip
        off = differencing(kind, 1_000, trials=200, private=False)
        yield bench.guess(off, 0.90, control=True)
    refused = float(floor_refuses_complement_of_one(1_000))
    yield Figure("filter that leaves one person out of a scope: refused", refused, "", 1.0)
    yield bench.guess(fake_owners(100, trials=bench.count(4_000, 200)), 0.60)
    yield bench.guess(fake_owners(100, trials=200, private=False), 0.90, control=True)


def mechanisms(bench: Bench) -> Iterator[Figure]:
    """The sampler's audit, averaging, and the level of both noisy tests."""
    promised = math.sqrt(2 * LIFETIME)
    bound = mechanism.audit_bound(LIFETIME, 20_000)
    yield Figure("audit, lower bound on mu at rho 1/10", bound, "", promised, at_least=False,
                 note="20,000 + 20,000 runs of OpenDP's sampler")  # fmt: skip
    caught = mechanism.audit_bound(LIFETIME, 20_000, shrink=0.8)
    yield Figure("audit, control: noise x 0.8", caught, "", promised)
    bound = mechanism.picking_bound(LIFETIME, bench.count(20_000, 2_000))
    yield Figure("audit of naming the largest, lower bound on mu", bound, "", promised,
                 at_least=False, note="OpenDP's noisy top-k, rho 1/10")  # fmt: skip
    caught = mechanism.picking_bound(LIFETIME, bench.count(20_000, 2_000), shrink=0.7)
    yield Figure("audit of naming the largest, control: noise x 0.7", caught, "", promised)
    got, error = mechanism.averaging(200, LIFETIME / 5, 5)
    yield Figure(f"averaging 200 rewrites: error after the {got} answered", error, "copies", 0.5)
    reached = mechanism.averaging(200, LIFETIME, 200)[1]
    yield Figure("averaging, control: nobody counts", reached, "copies", 0.5, at_least=False)
    tests = bench.count(200_000, 20_000)
    few = tests // 4
    for name, count, level in (
        ("case-control, allele counts", tests,
         mechanism.association_null(1_000, 10, LIFETIME, tests)),
        ("private regression of a feature", tests,
         mechanism.regression_null(1_000, LIFETIME, tests)),
        ("the same with two covariates", few, mechanism.adjusted_null(1_000, LIFETIME, few)),
    ):  # fmt: skip
        yield Figure(f"type-I error at 0.05, {name}", level, "", 0.055, at_least=False,
                     note=f"{count:,} tests, N=1,000")  # fmt: skip
        yield Figure(f"type-I error at 0.05, {name}, not below", level, "", 0.045)


def utility(bench: Bench) -> Iterator[Figure]:
    """Error of a frequency against theory, power at three sizes, with noise and without."""
    for variants in (1, 100):
        yield _frequency_error(variants, bench.count(4_000 if variants == 1 else 100, 30))
    runs = bench.count(4_000, 400)
    for people, odds in ((1_000, 1.5), (10_000, 1.2), (100_000, 1.06)):
        for variants in (1, 100):
            noisy, without = (
                mechanism.locus_power(people, variants, odds, rho, runs) for rho in (LIFETIME, None)
            )
            name = f"power at 5e-8, GWAS locus, N={people:,}, OR {odds}, {variants} variants"
            yield Figure(name, noisy, "", limit=without, limit_name=WITHOUT_NOISE)
    for people, explained, full in ((1_000, 0.04, 2_000), (10_000, 0.004, 1_000),
                                    (100_000, 0.0004, 200)):  # fmt: skip
        noisy, without = (
            mechanism.regression_power(people, explained, rho, bench.count(full, 50))
            for rho in (LIFETIME, None)
        )
        name = f"power at 1e-4, one cis-QTL, N={people:,}, r2 {explained}, 1 variant"
        yield Figure(name, noisy, "", limit=without, limit_name=WITHOUT_NOISE)

    for people in (1_000, 10_000):
        share = mechanism.named_rightly(people, 1_000, 5, LIFETIME, bench.count(400, 40))
        yield Figure(f"named rightly: 5 most frequent of 1,000 terms, N={people:,}", share, "",
                     note="shares drawn evenly between 0.02 and 0.5")  # fmt: skip


def _frequency_error(variants: int, releases: int) -> Figure:
    """Compare the sd of a released frequency's noise with theory, N = 1,000, AF 0.05."""
    rng = np.random.default_rng(5)
    gate = Gate(1_000, variants, private=True)
    an = np.full(variants, 2_000)
    errors = []
    for _ in range(releases):
        alt = rng.binomial(an, 0.05)
        errors.append(gate.ask(alt, an, LIFETIME).af - alt / an)
    bound = noise_sd(sensitivity_squared(variants), LIFETIME) / 2_000
    theory = bound * math.hypot(0.05, 0.95)
    found = float(np.sqrt(np.nanmean(np.square(errors))))
    note = f"sd {found:.4f}, theory {theory:.4f}; of a count over 2N {bound:.4f}"
    name = f"sd of AF by noise away from theory, N=1,000, {variants} variants, AF 0.05"
    return Figure(name, abs(found / theory - 1), "", 0.10, at_least=False, note=note)


def sampler(bench: Bench) -> Iterator[Figure]:
    """How long a genome-wide vector's noise takes, beside OpenDP's bare call on every core, and
    beside the same vector as one call.
    """
    count = 500_000
    limit = _bare_opendp(50_000) * count / 50_000 / len(os.sched_getaffinity(0))
    naive = _one_call(count)
    started, cpu = time.perf_counter(), time.process_time()
    add_noise(np.zeros(count, np.int64), sensitivity_squared(count), Fraction(1, 2))
    seconds, spent = time.perf_counter() - started, time.process_time() - cpu
    note = f"{spent:.1f} s of processor, {1e6 * spent / count:.1f} us a draw"
    bare = "processor time of OpenDP's bare call, over cores"
    yield Figure(f"noise for a vector of {count:,}", seconds, "s", 4.0, at_least=False,
                 limit=limit, limit_name=bare, note=f"{note}; {bare}: {limit:.1f} s")  # fmt: skip
    yield Figure("times faster than one call of OpenDP for the vector", naive / seconds, "", None,
                 note=f"one call took {naive:.2f} s on this machine")  # fmt: skip


def _one_call(count: int) -> float:
    """Return the seconds of the naive way: the whole vector in one call, in one thread."""
    zeros = np.zeros(count, np.int64)
    draw = _bare_gaussian(count)
    started = time.perf_counter()
    draw(zeros)
    return time.perf_counter() - started


def _bare_opendp(count: int) -> float:
    """Return the processor seconds of one warm call of OpenDP's sampler."""
    draw, zeros = _bare_gaussian(count), np.zeros(count, np.int64)
    draw(zeros)
    started = time.process_time()
    draw(zeros)
    return time.process_time() - started


def _bare_gaussian(count: int) -> Callable[[Int64], object]:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"), size=count)
    drawn: Callable[[Int64], object] = dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), 1024.0)
    return drawn


def trusted(bench: Bench) -> Iterator[Figure]:
    """What exact answers give away, small allele counts hidden; no pass is claimed."""
    for panel, people, variants in ((None, 178, 178), (None, 1_000, 130), (RARE, 1_000, 30),
                                    (MINOR, 1_000, 100)):  # fmt: skip
        row = trusted_panel(panel, people, variants, trials=bench.count(2_000, 100))
        bench.rows.append(row)
        told = TRUSTED_RIGHT_OF_100 / 100 + 0.01 if people == variants else None
        name = f"AUC, {row.attack}, N={people:,} m={variants:,} (no pass claimed)"
        note = worth(row) + ("; what consent texts say" if told else "")
        yield Figure(name, float(row.auc or 0), "", told, at_least=False, note=note)
    row = fake_owners(100, trials=200, private=False)
    yield Figure(f"accuracy, trusted mode, {row.attack}, N=100 (no pass claimed)",
                 float(row.accuracy or 0), "", note=worth(row))  # fmt: skip


PARTS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "membership": membership,
    "real": real_people,
    "msprime": msprime_people,
    "pairs": pairs,
    "mechanism": mechanisms,
    "utility": utility,
    "trusted": trusted,
    "sampler": sampler,
}


def over_http(_bench: Bench, asked: argparse.Namespace) -> Iterator[Figure]:
    """The same attacks, and others, on cohorts of 104 real people in a running market."""
    from benchmarks.attacks_http import figures

    yield from figures(asked.requests, asked.cohorts)


def membership_over_http(bench: Bench, asked: argparse.Namespace) -> Iterator[Figure]:
    """Random panels worth a whole lifetime, in a running market, for cohorts of chosen sizes."""
    from benchmarks.attacks_http_membership import attacked

    for people in asked.people or [1_000]:
        found = attacked(people)
        yield bench.area(found.private, RANDOM_BAR)
        yield bench.area(found.same, None, control=True)
        yield bench.area(found.control, CONTROL_RANDOM, control=True)
        yield from found.figures


def pairs_over_http(_bench: Bench, asked: argparse.Namespace) -> Iterator[Figure]:
    """Payouts, entries, sizes and refusals of orders about victims who differ in data alone."""
    from benchmarks.attacks_http_pairs import figures

    yield from figures(asked.victims)


OF_A_MARKET: dict[str, Callable[[Bench, argparse.Namespace], Iterator[Figure]]] = {
    "http": over_http,
    "http-membership": membership_over_http,
    "http-pairs": pairs_over_http,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.privacy")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full work")
    parser.add_argument(
        "--part", action="append", choices=[*PARTS, *OF_A_MARKET], help="these alone"
    )
    parser.add_argument("--requests", type=int, default=2_000, help="of each kind, for timing")
    parser.add_argument("--cohorts", type=int, default=3, help="of 104 people each, for http")
    parser.add_argument("--victims", type=int, default=4, help="of each kind, for http-pairs")
    parser.add_argument("--people", action="append", type=int, help="a size for http-membership")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args(argv)
    bench, started = Bench(options.scale), machine()
    runs = [_run_part(name, bench, options) for name in options.part or PARTS]
    figures = [figure for run in runs for figure in run.figures]
    report(figures, None, started)
    if options.table is not None:
        write_table(options.table, runs)
    if options.json is not None:
        value = {
            "machine": {"start": started, "end": machine()},
            "runs": [run.to_json() for run in runs],
            "figures": [figure.to_json() for figure in figures],
            "attacks": [row.row() for row in bench.rows],
        }
        options.json.write_text(json.dumps(value, indent=1) + "\n")
    return int(any(figure.met is False for figure in figures))


def _run_part(name: str, bench: Bench, asked: argparse.Namespace) -> Run:
    say(f"privacy: {name} ...")
    started, day, rows = (
        time.perf_counter(),
        time.strftime("%Y-%m-%d", time.gmtime()),
        len(bench.rows),
    )
    whole = name in OF_A_MARKET
    found = list(OF_A_MARKET[name](bench, asked) if whole else PARTS[name](bench))
    private = [row for row in bench.rows[rows:] if row.defence and row.rho_spent != "none"]
    if private:
        least = min(row.answered for row in private)
        found.append(Figure(f"least answered share of a private row, {name}", least, "", ANSWERED))
    say(f"privacy: {name} took {time.perf_counter() - started:.0f} s")
    return Run(name, day, found, 1.0 if whole else bench.scale)


if __name__ == "__main__":
    raise SystemExit(main())
