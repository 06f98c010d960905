"""The slow, obvious answer of each family that reads genotypes: person by person, row by row."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from itertools import combinations

import numpy as np
from scipy import optimize, stats

from tests.compute import reference
from tests.compute.reference import Someone
from tests.compute.spec.slow_people import (
    AUTOSOMES,
    call,
    called,
    described,
    doubled,
    kin,
    level,
    normal_scores,
    number,
    on_scale,
    place,
    stated_as,
    summaries,
    value_of,
)
from tests.compute.spec.slow_people import has as has_term

# -- counts ----------------------------------------------------------------------------------------


def genotype_counts(world):
    rows = []
    for name in world.levels(world.params.by):
        own = world.of(world.params.by, name)
        for at in world.asked():
            variant = world.names[at]
            people = [Someone(p.participant, {variant: call(p, at)}) for p in own]
            found = reference.counts(people, variant)
            diploid = found["hom_ref"] + found["het"] + found["hom_alt"]
            contig = variant.split("-")[0]
            found["af_na"] = "" if found["an"] else "no_calls"
            found["hwe_na"] = "" if diploid else "no_diploid_calls"
            if contig in ("Y", "MT"):
                found |= {"hwe_p": None, "hwe_na": "not_diploid"}
            rows.append({"stratum": name, **place(variant), **found})
    return rows, {}


# -- association -----------------------------------------------------------------------------------


def model_of(world, covariates):
    """Terms: numbers by name; of a category each level but the first known one."""
    terms = []
    for name in covariates:
        if name in ("population", "sex"):
            known = sorted({level(p, name) for p in world.people} - {"unknown"})
            terms += [f"{name}={one}" for one in known[1:]]
        else:
            terms.append(name)
    return terms


def term_of(person, term):
    name, is_level, own = term.partition("=")
    if not is_level:
        return number(person.covariates.get(name))
    return None if level(person, name) == "unknown" else float(level(person, name) == own)


def design(world, response, covariates, ranks=False):
    """([(person, y, xs)], terms kept, facts). response: a number, or why there is none."""
    found = {p.participant: response(p) for p in world.people}
    left_out = Counter(why for why in found.values() if isinstance(why, str))
    ys = {who: y for who, y in found.items() if not isinstance(y, str)}
    ys = normal_scores(ys) if ranks else ys
    terms, rows = model_of(world, covariates), []
    for person in world.people:
        if person.participant not in ys:
            continue
        xs = [term_of(person, term) for term in terms]
        if None in xs:
            left_out["no_covariate"] += 1
        else:
            rows.append((person, ys[person.participant], xs))
    kept = [k for k in range(len(terms)) if len({xs[k] for _, _, xs in rows}) > 1]
    rows = [(person, y, [xs[k] for k in kept]) for person, y, xs in rows]
    model = [terms[k] for k in kept]
    facts = {"model": ["intercept", "dosage", *model], "left_out": dict(left_out),
             "dropped_terms": [t for t in terms if t not in model]}  # fmt: skip
    return rows, facts


def alleles(people, at):
    """(AC, AN) of those called; a haploid call is one copy."""
    calls = [call(p, at) for p in people if called(p, at)]
    return sum(dosage for dosage, _ in calls), sum(ploidy for _, ploidy in calls)


def fit(rows, at):
    """Least squares of one variant by the pseudo-inverse of the design itself."""
    own = [(y, [1.0, float(doubled(p, at)), *xs]) for p, y, xs in rows if called(p, at)]
    n, none = len(own), {"beta": None, "se": None, "t": None, "p": None}
    if not n:
        return {"n": 0, **none, "na": "no_people"}
    y, x = np.array([y for y, _ in own]), np.array([x for _, x in own])
    k = x.shape[1]
    if len(set(x[:, 1])) == 1:
        return {"n": n, **none, "na": "monomorphic"}
    if n <= k:
        return {"n": n, **none, "na": "too_few_people"}
    if len(set(y)) == 1:
        return {"n": n, **none, "na": "constant_feature"}
    if k > 2 and (np.linalg.matrix_rank(x) < k or inflation(x[:, 1:]) > 50):
        return {"n": n, **none, "na": "collinear"}
    inverse = np.linalg.pinv(x)
    slopes = inverse @ y
    variance = ((y - x @ slopes) ** 2).sum() / (n - k)
    se = math.sqrt(variance * (inverse @ inverse.T)[1, 1])
    t = slopes[1] / se if se else math.copysign(math.inf, slopes[1])
    return {"n": n, "beta": slopes[1], "se": se, "t": t,
            "p": 2 * stats.t.sf(abs(t), n - k), "na": ""}  # fmt: skip


def inflation(x):
    """The largest variance inflation factor of some predictors: 1 / (1 - R2) of each on the rest."""
    found = []
    for k in range(x.shape[1]):
        rest = np.column_stack([np.ones(len(x)), np.delete(x, k, axis=1)])
        left = x[:, k] - rest @ np.linalg.lstsq(rest, x[:, k], rcond=None)[0]
        if not x[:, k].var() or not (left @ left):
            return math.inf
        found.append(x[:, k].var() * len(x) / (left @ left))
    return max(found)


def linear(world, response, covariates, ranks, places):
    rows, facts = design(world, response, covariates, ranks)
    found = []
    for at in places:
        ac, an = alleles([p for p, _, _ in rows], at)
        af = ac / an if an else None
        found.append({**place(world.names[at]), "a1": world.names[at].split("-")[3], "ac": ac,
                      "an": an, "af": af, **fit(rows, at)})  # fmt: skip
    return found, facts


def linear_association(world):
    params = world.params

    def response(person):
        value = value_of(params.trait, person, world.references)
        return "no_trait" if value is None else value

    ranks = params.transform == "inverse_normal"
    return linear(world, response, params.covariates, ranks, world.asked())


def cis_association(world):
    params = world.params

    def response(person):
        value = number(person.features.get(params.gene))
        fits = stated_as(person, params.namespace, params.unit)
        return value if fits and value is not None else "no_feature"

    places = world.asked() if params.variants is not None else []
    if params.variants is None:
        first, last = params.start - params.window_bp, params.end + params.window_bp
        places = [at for at, name in enumerate(world.names)
                  if name.split("-")[0] == params.chrom and first <= int(name.split("-")[1]) <= last]  # fmt: skip
    ranks = params.transform == "inverse_normal"
    rows, facts = linear(world, response, params.covariates, ranks, places)
    for row in rows:
        del row["af"]
    return rows, facts


def information(beta, x):
    mu = 1 / (1 + np.exp(-(x @ beta)))
    return (x.T * (mu * (1 - mu))) @ x


def modified_score(beta, x, y, *, firth):
    """The (Firth-modified) score, whose root is the estimate (Heinze and Schemper 2002)."""
    mu = 1 / (1 + np.exp(-(x @ beta)))
    if not firth:
        return x.T @ (y - mu)
    w = mu * (1 - mu)
    root = np.sqrt(w)[:, None] * x
    hat = ((root @ np.linalg.inv(root.T @ root)) * root).sum(axis=1)
    return x.T @ (y - mu + hat * (0.5 - mu))


def separated(x, y):
    """Whether a hyperplane parts cases from controls, touching allowed: then there is no maximum.

    Albert and Anderson 1984, decided by a linear program.
    """
    signed = x * (2 * y - 1)[:, None]
    found = optimize.linprog(
        -signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(x)), bounds=[(-1, 1)] * x.shape[1]
    )
    return -found.fun > 1e-9


def maximise(x, y, *, firth):
    """(estimate, SE) where the (modified) score is 0 to 1e-9: Newton's steps, halved if they grow.

    The likelihood is concave, so a root of its score is its maximum, however it was found.
    """
    beta = np.zeros(x.shape[1])
    for _ in range(500):
        score = modified_score(beta, x, y, firth=firth)
        step = np.linalg.solve(information(beta, x), score)
        size = 1.0
        while size > 1e-6 and np.abs(
            modified_score(beta + size * step, x, y, firth=firth)
        ).max() > np.abs(score).max() * (1 + 1e-9):
            size /= 2
        beta = beta + size * step
        if np.abs(size * step).max() < 1e-14:
            break
    assert np.abs(modified_score(beta, x, y, firth=firth)).max() < 1e-9 * len(y)
    return beta, np.sqrt(np.diag(np.linalg.inv(information(beta, x))))


def score_test(rows, at):
    """U / V, 1 / sqrt(V) of a dosage, mean-imputed, under the model without it."""
    y = np.array([y for _, y, _ in rows])
    x = np.array([[1.0, *xs] for _, _, xs in rows])
    null, _ = maximise(x, y, firth=False)
    mu = 1 / (1 + np.exp(-(x @ null)))
    copies = [doubled(p, at) for p, _, _ in rows]
    mean = np.mean([c for c in copies if c is not None])
    g = np.array([mean if c is None else float(c) for c in copies])
    full = np.column_stack([x, g])
    i = (full.T * (mu * (1 - mu))) @ full
    v = i[-1, -1] - i[-1, :-1] @ np.linalg.solve(i[:-1, :-1], i[:-1, -1])
    u = g @ (y - mu)
    return u / v, 1 / math.sqrt(v)


def wald_test(rows, at, firth):
    """(beta, se, penalised, why not) of the full fit."""
    own = [(y, [1.0, *xs, float(doubled(p, at))]) for p, y, xs in rows if called(p, at)]
    y, x = np.array([y for y, _ in own]), np.array([x for _, x in own])
    open_ = separated(x, y)
    if open_ and firth == "never":
        return None, None, False, "no_maximum"
    penalised = firth == "always" or bool(open_)
    beta, se = maximise(x, y, firth=penalised)
    return beta[-1], se[-1], penalised, ""


def logistic_association(world):
    params = world.params

    def response(person):
        case = value_of(params.trait, person, world.references)
        if case is None:
            return "no_trait"
        return case if case in (0.0, 1.0) else "trait_not_0_or_1"

    rows, facts = design(world, response, params.covariates)
    return [logistic_row(world, rows, at) for at in world.asked()], facts


def logistic_row(world, rows, at):
    own = [(p, y) for p, y, _ in rows if called(p, at)]
    ac, an = alleles([p for p, _ in own], at)
    ac_cases, an_cases = alleles([p for p, y in own if y], at)
    cases = sum(y == 1 for _, y in own)
    beta, se, penalised, na = None, None, False, ""
    if not own:
        na = "no_people"
    elif ac in (0, an):
        na = "monomorphic"
    elif world.params.test == "score":
        beta, se = score_test(rows, at)
    elif cases in (0, len(own)):
        na = "one_group_only"
    else:
        beta, se, penalised, na = wald_test(rows, at, world.params.firth)
    z = None if beta is None else beta / se
    return {**place(world.names[at]), "ac": ac, "an": an, "af": ac / an if an else None,
            "ac_cases": ac_cases, "an_cases": an_cases,
            "af_cases": ac_cases / an_cases if an_cases else None,
            "n": len(own), "cases": cases, "beta": beta, "se": se, "z": z,
            "p": None if z is None else 2 * stats.norm.sf(abs(z)),
            "firth": "yes" if penalised else "no", "na": na}  # fmt: skip


# -- scores ----------------------------------------------------------------------------------------

STRAND = str.maketrans("ACGT", "TGCA")


def score_rows(text, names, palindromic):
    """[(place, effect allele is REF, weight, model)] and how the file's rows fared."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found, told, seen = [], Counter(), set()
    file = list(csv.DictReader(io.StringIO("\n".join(lines)), delimiter="\t"))
    for row in file:
        effect, other = row["effect_allele"], row.get("other_allele") or ""
        if not row["chr_position"]:
            told["no_position"] += 1
            continue
        there = [(at, *name.split("-")[2:]) for at, name in enumerate(names)
                 if name.split("-")[:2] == [row["chr_name"], row["chr_position"]]]  # fmt: skip
        if not there:
            told["not_in_cohort"] += 1
            continue
        ambiguous = bool(other) and effect.translate(STRAND) == other
        if ambiguous and palindromic == "drop":
            told["palindromic"] += 1
            continue
        fits = fitting(effect, other, there)
        if not fits and not ambiguous:
            fits = fitting(effect.translate(STRAND), other.translate(STRAND), there)
            told["other_strand"] += bool(fits)
        if len(fits) != 1:
            told["several_alleles" if fits else "other_alleles"] += 1
            continue
        at, on_ref = fits[0]
        if at in seen:
            told["repeated"] += 1
            continue
        seen.add(at)
        model = "dominant" if row.get("is_dominant") == "True" else (
            "recessive" if row.get("is_recessive") == "True" else "additive")  # fmt: skip
        found.append((at, on_ref, float(row["effect_weight"]), model))
    return found, len(file), {why: count for why, count in told.items() if count}


def fitting(effect, other, there):
    """The sites whose alleles are these; with several and no other allele, ALT alone can be meant."""
    if not other and len(there) > 1:
        there = [one for one in there if one[2] == effect]
    return [(at, effect == ref) for at, ref, alt in there
            if effect in (ref, alt) and (not other or {effect, other} == {ref, alt})]  # fmt: skip


def effect_copies(person, at, on_ref, model):
    copies = doubled(person, at)
    if copies is None:
        return None
    copies = 2 - copies if on_ref else copies
    return {"additive": copies, "dominant": int(copies >= 1), "recessive": int(copies == 2)}[model]


def polygenic_score(world):
    params = world.params
    used, rows, told = score_rows(world.references[params.score], world.names, params.palindromic)
    given = []
    for at, on_ref, _, model in used:
        copies = [effect_copies(p, at, on_ref, model) for p in world.people]
        there = [c for c in copies if c is not None]
        given.append(sum(there) / len(there) if there and params.missing == "mean" else 0)

    def measure(person):
        copies = [effect_copies(person, at, on_ref, model) for at, on_ref, _, model in used]
        there = sum(c is not None for c in copies)
        if not there:
            return "no_calls"
        taken = [given[k] if c is None else c for k, c in enumerate(copies)]
        score = sum(c * weight for c, (_, _, weight, _) in zip(taken, used, strict=True))
        return {"score": score, "called_fraction": there / len(used)}

    found, facts = summaries(world, params.by, ("score", "called_fraction"), measure)
    return found, facts | {"rows": rows, "matched": len(used), "matching": told}


def loadings_of(text):
    """{variant: (af, [loading of each component])} and the components' names."""
    lines = [line.split() for line in text.splitlines()[1:]]
    return {name: (float(af), list(map(float, own))) for name, af, *own in lines[1:]}, lines[0][2:]


def ancestry_projection(world):
    panel, names = loadings_of(world.references[world.params.loadings])
    used = [at for at, name in enumerate(world.names) if name in panel]

    def measure(person):
        own = [at for at in used if called(person, at)]
        if not own:
            return "no_calls"
        found = {}
        for k, name in enumerate(names):
            total = 0.0
            for at in own:
                af, weights = panel[world.names[at]]
                total += (doubled(person, at) - 2 * af) / math.sqrt(2 * af * (1 - af)) * weights[k]
            found[name] = total * len(used) / len(own)
        return found

    return summaries(world, world.params.by, names, measure)


# -- structure and quality -------------------------------------------------------------------------


def linkage(world):
    rows = []
    for a, b in combinations(world.asked(), 2):
        both = [p for p in world.people if called(p, a) and called(p, b)]
        pairs = [(call(p, a), call(p, b)) for p in both]
        g, h = ([one[k][0] for one in pairs] for k in (0, 1))
        varies = len(set(g)) > 1 and len(set(h)) > 1
        r = None
        if varies:
            mean_g, mean_h = sum(g) / len(g), sum(h) / len(h)
            cov = sum((x - mean_g) * (y - mean_h) for x, y in zip(g, h, strict=True))
            r = cov / math.sqrt(
                sum((x - mean_g) ** 2 for x in g) * sum((y - mean_h) ** 2 for y in h)
            )
        rows.append({
            "variant_a": world.names[a], "variant_b": world.names[b], "n": len(both),
            "ac_a": sum(g), "an_a": sum(one[0][1] for one in pairs),
            "ac_b": sum(h), "an_b": sum(one[1][1] for one in pairs),
            "r": r, "r2": None if r is None else r * r, "na": "" if varies else "monomorphic",
        })  # fmt: skip
    return rows, {}


def kinship(one, other, places):
    """KING-robust of two people, variant by variant (Manichaikul 2010, equation 11)."""
    both = opposite = het_one = het_other = 0
    for at in places:
        if not (called(one, at) and called(other, at)):
            continue
        (a, n), (b, m) = call(one, at), call(other, at)
        if (n, m) != (2, 2):
            continue
        both += a == 1 and b == 1
        opposite += {a, b} == {0, 2}
        het_one += a == 1
        het_other += b == 1
    least = min(het_one, het_other)
    if not least:
        return None
    return (both - 2 * opposite) / (2 * least) + 0.5 - 0.25 * (het_one + het_other) / least


def relatedness(world):
    places = [at for at in world.asked() if world.names[at].split("-")[0] in AUTOSOMES]
    bounds = {"duplicate_or_twin": 0.354, "first": 0.177, "second": 0.0884, "third": 0.0442}
    pairs = dict.fromkeys([*bounds, "unrelated"], 0)
    for one, other in combinations(world.people, 2):
        phi = kinship(one, other, places)
        if phi is not None:
            pairs[next((name for name, low in bounds.items() if phi > low), "unrelated")] += 1
    n = len(world.people)
    return [{"degree": name, "n": n, "pairs": count} for name, count in pairs.items()], {}


TRANSITIONS = {("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")}


def cohort_quality(world):
    places = world.asked()

    def share(over, under):
        return over / under if under else math.nan

    def measure(person):
        calls = {at: call(person, at) for at in places}
        covered = {at: c for at, c in calls.items() if c != "not covered"}
        there = {at: c for at, c in covered.items() if c != "no call"}
        if not covered:
            return "not_covered_anywhere"
        autosomal = {at: c for at, c in there.items() if world.names[at].split("-")[0] in AUTOSOMES}
        diploid = [dosage for dosage, ploidy in autosomal.values() if ploidy == 2]
        hom = sum(dosage == 2 for dosage in diploid)
        carried = [tuple(world.names[at].split("-")[2:]) for at, c in there.items() if c[0] > 0]
        snps = [pair for pair in carried if len(pair[0]) == len(pair[1]) == 1]
        ti = sum(pair in TRANSITIONS for pair in snps)
        return {
            "covered": len(covered) / len(places), "call_rate": len(there) / len(covered),
            "heterozygosity": share(diploid.count(1), len(diploid)),
            "het_hom_ratio": share(diploid.count(1), hom), "ti_tv": share(ti, len(snps) - ti),
            "carried": len(carried),
        }  # fmt: skip

    metrics = ("covered", "call_rate", "heterozygosity", "het_hom_ratio", "ti_tv", "carried")
    return summaries(world, world.params.by, metrics, measure)


def cohort_pca(world):
    """Components by a plain SVD of the standardised genotypes, to six significant digits."""
    params = world.params
    used, left_out = common(world)
    u, s, vt = np.linalg.svd(
        np.array([z for *_, z in used]).T / math.sqrt(len(used)), full_matrices=False
    )
    sign = [math.copysign(1, v[np.abs(v).argmax()]) for v in vt]
    values, k = s**2, range(params.components)
    hidden = {f"pc{i + 1}": why for i in k if (why := hides(u[:, i], values[i:], len(u) - i))}

    def row(table, n, numbers, **more):
        none = {"group": "", "contig": "", "pos": 0, "ref": "", "alt": "", "af": None}
        told = {f"pc{i + 1}": six(numbers(i)) for i in k}
        if table.startswith(("mean", "sd", "loading")):
            told |= dict.fromkeys(hidden)
        return {**none, "table": table, "n": n, **told, **more}

    n = len(world.people)
    rows = [row("eigenvalue", n, lambda i: values[i]),
            row("share", n, lambda i: values[i] / values.sum()),
            row("tracy_widom", n, lambda i: standing_out(values[i:], n - i))]  # fmt: skip
    for name, own in groups_of(world):
        mean = [six(np.mean(sign[i] * u[own, i])) for i in k]
        sd = [six(np.std(u[own, i], ddof=1)) for i in k]
        error = [one / math.sqrt(len(own)) for one in sd]
        for table, numbers in (
            ("mean", mean), ("sd", sd), ("mean_se", error),
            ("mean_low", [m - 1.959964 * e for m, e in zip(mean, error, strict=True)]),
            ("mean_high", [m + 1.959964 * e for m, e in zip(mean, error, strict=True)]),
        ):  # fmt: skip
            rows.append(row(table, len(own), numbers.__getitem__, group=name))
    for at, (name, af, called_, _) in enumerate(used):
        rows.append(
            row("loading", called_, lambda i, at=at: sign[i] * vt[i, at], **place(name), af=af)
        )
    return rows, {"variants": len(used), "variants_left_out": left_out, "hidden": hidden}


def six(value):
    return 0.0 if abs(value) < 1e-12 else float(f"{value:.6g}")


def common(world):
    """[(name, AF, people called, standardised column)] of variants used, and how many are not."""
    used, left_out = [], {"few_calls": 0, "rare": 0}
    for at in world.asked():
        if world.names[at].split("-")[0] not in AUTOSOMES:
            continue
        calls = [call(p, at) for p in world.people]
        diploid = [c[0] if c[1:] == (2,) else None for c in calls]
        there = [c for c in diploid if c is not None]
        copies, an = sum(there), 2 * len(there)
        if 100 * len(there) < world.params.min_call_percent * len(calls):
            left_out["few_calls"] += 1
        elif min(copies, an - copies) < max(20, 0.01 * an):
            left_out["rare"] += 1
        else:
            af = copies / an
            sd = math.sqrt(2 * af * (1 - af))
            column = [0.0 if c is None else (c - 2 * af) / sd for c in diploid]
            used.append((world.names[at], af, len(there), column))
    return used, left_out


def standing_out(values, people):
    """The Tracy-Widom statistic of the first of some eigenvalues (Patterson 2006, equations 5-10)."""
    m, total, squares = people, values.sum(), (values**2).sum()
    markers = (m + 1) * total**2 / ((m - 1) * squares - total**2)
    middle = (math.sqrt(markers - 1) + math.sqrt(m)) ** 2 / markers
    wide = (math.sqrt(markers - 1) + math.sqrt(m)) / markers * (
        1 / math.sqrt(markers - 1) + 1 / math.sqrt(m)) ** (1 / 3)  # fmt: skip
    return ((m - 1) * values[0] / total - middle) / wide


def hides(scores, values, people):
    """Why a component is hidden: fewer than 20 people make it up, or it may be noise."""
    if 1 / (scores**4).sum() < 20 or (scores**2).max() > 0.1:
        return "few_people"
    return "" if standing_out(values, people) > 0.9793 else "noise"


def groups_of(world):
    """Groups of at least 20; those of fewer together, with the next larger one if still too few."""
    by = world.params.by
    sizes = {name: [at for at, p in enumerate(world.people) if not by or level(p, by) == name]
             for name in world.levels(by)}  # fmt: skip
    small = [name for name, own in sizes.items() if len(own) < 20]
    for name in sorted(sizes, key=lambda one: len(sizes[one])):
        if small and sum(len(sizes[one]) for one in small) < 20 and name not in small:
            small.append(name)
    found = [(name, own) for name, own in sizes.items() if name not in small]
    rest = sorted(at for name in small for at in sizes[name])
    return found + ([("other", rest)] if rest else [])


# -- exact numbers of private families -------------------------------------------------------------


def stratum_of(person, params):
    """Which listed level a person is of, None for none."""
    if params.by is None:
        return "all"
    own = level(person, params.by)
    return own if own in params.levels else None


def on_range(value, params):
    """-1 at low, 1 at high, clamped."""
    low, high = float(params.low), float(params.high)
    return min(1.0, max(-1.0, (value - (low + high) / 2) / ((high - low) / 2)))


def distribution(world, value):
    params = world.params
    levels = params.levels or ["all"]
    counts = {name: [0] * params.bins for name in levels}
    totals = dict.fromkeys(levels, 0)
    for person in world.people:
        own, found = stratum_of(person, params), value(person)
        if own is None or not math.isfinite(found):
            continue
        u = on_range(found, params)
        counts[own][min(params.bins - 1, int((u + 1) / 2 * params.bins))] += 1
        totals[own] += round(1000 * u)
    rows = [{"bin": at, "count": n} for name in levels for at, n in enumerate(counts[name])]
    return rows, {"totals": [totals[name] for name in levels]}


def feature_distribution(world):
    params = world.params

    def value(person):
        fits = stated_as(person, params.namespace, params.unit)
        return person.features.get(params.feature, math.nan) if fits else math.nan

    return distribution(world, value)


def score_distribution(world):
    weights = {name: float(text) for name, text in world.params.weights.items()}

    def value(person):
        there = [
            at for at, name in enumerate(world.names) if name in weights and called(person, at)
        ]
        if len(there) < 0.9 * len(weights):
            return math.nan
        return sum(weights[world.names[at]] * doubled(person, at) for at in there)

    return distribution(world, value)


def in_order(names):
    order = [*(str(n) for n in range(1, 23)), "X", "Y", "MT"]
    return sorted(names, key=lambda n: (order.index(n.split("-")[0]), int(n.split("-")[1]), n))


def copies_at(world, person, name):
    return doubled(person, world.names.index(name)) if name in world.names else None


def private_association(world):
    params = world.params
    levels = params.levels or ["all"]

    def covariate(person):
        found = []
        for name, text in sorted((params.covariates or {}).items()):
            if name in ("population", "sex"):
                own, known = level(person, name), text.split("|")
                if own not in known:
                    return None
                found += [1 if own == one else -1 for one in known[1:]]
                continue
            value = number(person.covariates.get(name))
            if value is None:
                return None
            low, high = map(float, text.split(".."))
            found.append(min(1.0, max(-1.0, (value - (low + high) / 2) / ((high - low) / 2))))
        return found

    rows = []
    for own in levels:
        for name in in_order(params.variants):
            sums = Counter()
            for person in world.people:
                value, z = number(person.features.get(params.feature)), covariate(person)
                copies = copies_at(world, person, name)
                fits = stated_as(person, params.namespace, params.unit)
                if None in (value, z, copies) or not fits or stratum_of(person, params) != own:
                    continue
                terms = {"": 1, "g": copies - 1, "u": on_range(value, params)}
                terms |= {f"z{k}": v for k, v in enumerate(z, 1)}
                keys = list(terms)
                for a, first in enumerate(keys):
                    for second in keys[a:]:
                        sums[first + second or "n"] += round(1000 * terms[first] * terms[second])
            rows.append(sums)
    return rows, {}


def top_counts(world):
    params = world.params

    def carries(name):
        return sum((copies_at(world, p, name) or 0) > 0 for p in world.people)

    def stated(term):
        codes = kin(term, params.ontology, world.references)
        return sum(p.clinical is not None and has_term(p.clinical, codes) for p in world.people)

    def reaches(name):
        return sum(stated_as(p, params.namespace, params.unit)
                   and p.features.get(name, math.nan) >= float(params.least)
                   for p in world.people)  # fmt: skip

    if params.variants is not None:
        scores = [carries(name) for name in in_order(params.variants)]
    elif params.terms is not None:
        scores = [stated(term) for term in params.terms]
    else:
        scores = [reaches(name) for name in params.features]
    return [{"candidate": at, "score": score} for at, score in enumerate(scores)], {}


def top_association(world):
    params, rows = world.params, []
    for feature in params.features:
        for name in in_order(params.variants):
            pairs = []
            for person in world.people:
                value, copies = number(person.features.get(feature)), copies_at(world, person, name)
                if None in (value, copies) or not stated_as(person, params.namespace, params.unit):
                    continue
                pairs.append((copies - 1, round(1000 * on_range(value, params))))
            n = len(pairs)
            apart = sum(g * u for g, u in pairs) * n - sum(g for g, _ in pairs) * sum(
                u for _, u in pairs)  # fmt: skip
            rows.append({"candidate": len(rows), "score": abs(apart) // n if n else 0})
    return rows, {}


def feature_by_genotype(world):
    """Here, as it is of one variant; a haploid ALT stands with two copies."""
    params, left_out = world.params, Counter()
    values = {0: [], 1: [], 2: []}
    for person in world.people:
        if not stated_as(person, params.namespace, params.unit):
            left_out["other_unit"] += 1
            continue
        value = on_scale(person.features.get(params.feature, math.nan), params.scale)
        copies = copies_at(world, person, params.variant)
        if not math.isfinite(value):
            left_out["no_feature"] += 1
        elif copies is None:
            left_out["no_call"] += 1
        else:
            values[copies].append(value)
    _, _, ref, alt = params.variant.split("-")
    names = [f"{ref}/{ref}", f"{ref}/{alt}", f"{alt}/{alt}"]
    rows = [{"dosage": k, "genotype": names[k], **described(own)} for k, own in values.items()]
    return rows, {"left_out": dict(left_out)}
