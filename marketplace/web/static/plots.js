// Plots of an answer, chosen by its columns; drawn where it is decrypted, nothing is fetched.

import { Axes, bounds, standalone, png, svg } from "./axes.js";

export { png, standalone };

const GENOME_WIDE = 5e-8;
const MEDIAN_CHI2 = 0.4549364;
const Z = 1.959964;
const MOST_MARKS = 20_000;
const MOST_METRICS = 8;
const LEAST_TESTS = 10; // fewer are a table, not a distribution of p values

// {columns, facts} -> [Axes]; each has a name and a root to show.
export function plotsOf({ columns = {}, facts = {} }) {
  const has = (...names) => names.every((name) => columns[name]?.length);
  const made = [];
  const many = (columns.p ?? []).filter(known).length >= LEAST_TESTS;
  if (has("pos", "p") && many) made.push(manhattan(columns), qq(columns.p));
  const effect = columns.beta ?? columns.difference;
  if (effect && many) made.push(volcano(effect, columns.p, columns.beta ? "Effect of one allele (beta)" : "Difference of means"));
  if (has("beta", "se", "p", "pos")) made.push(regression(columns));
  if (has("af", "stratum")) made.push(...compared(columns.stratum, columns.af));
  if (has("af") && !has("p")) made.push(spectrum(columns.af));
  if (has("metric", "q25", "q75")) made.push(...boxes(columns));
  if (has("genotype", "mean", "fit")) made.push(genotypes(columns, facts));
  if (has("survival", "age_to")) made.push(onset(columns));
  if (has("from", "to", "count")) made.push(...byStratum(columns).flatMap((own) => [histogram(own), survival(own)]));
  if (has("prevalence", "term")) made.push(prevalence(columns));
  if (has("odds_ratio", "both")) made.push(odds(columns));
  if (has("variant_a", "r2")) made.push(linkage(columns));
  if (has("table", "pc1")) made.push(scree(columns), groups(columns));
  if (has("degree", "pairs")) made.push(degrees(columns));
  return made.filter(Boolean);
}

const scored = (p) => (p === null || p === undefined || !(p > 0) ? null : -Math.log10(p));
const known = (v) => v !== null && v !== undefined;

// The strongest marks first where there are more than a picture can show.
const shown = (pairs) => (pairs.length <= MOST_MARKS ? pairs : [...pairs].sort((a, b) => b[1] - a[1]).slice(0, MOST_MARKS));

function manhattan({ contig, pos, p }) {
  const contigs = contig ? [...new Set(contig)] : [""];
  const ends = new Map();
  pos.forEach((at, i) => ends.set(contig?.[i] ?? "", Math.max(ends.get(contig?.[i] ?? "") ?? 0, at)));
  let offset = 0;
  const starts = new Map(contigs.map((name) => {
    const start = offset;
    offset += ends.get(name);
    return [name, start];
  }));
  const one = contigs.length === 1;
  const marks = shown(pos.map((at, i) => [one ? at : starts.get(contig[i]) + at, scored(p[i]), contigs.indexOf(contig?.[i] ?? "")]).filter(([, y]) => y !== null));
  if (!marks.length) return null;
  const xs = one ? bounds(marks.map(([x]) => x)) : [0, offset];
  const axes = new Axes({ name: "manhattan", title: "Association by position", x: one ? `Position on chromosome ${contigs[0]}` : "Position along the genome", y: "−log10 p", xs, ys: [0, Math.max(8, ...marks.map(([, y]) => y)) * 1.06] });
  axes.line([xs[0], -Math.log10(GENOME_WIDE)], [xs[1], -Math.log10(GENOME_WIDE)]);
  for (const [x, y, at] of marks) axes.dot(x, y, one ? 0 : at % 2);
  return axes;
}

// Median of chi-squared over its expectation: 1 without inflation.
export function lambda(p) {
  const sorted = p.filter((v) => known(v) && v > 0).sort((a, b) => a - b);
  return sorted.length ? chi2(sorted[Math.floor(sorted.length / 2)]) / MEDIAN_CHI2 : NaN;
}

// Inverse of the upper tail of chi-squared with one degree of freedom, by bisection on the normal.
function chi2(p) {
  let [low, high] = [0, 40];
  for (let i = 0; i < 80; i += 1) {
    const z = (low + high) / 2;
    if (2 * upperTail(z) > p) low = z;
    else high = z;
  }
  return ((low + high) / 2) ** 2;
}

// Abramowitz and Stegun 26.2.17, error below 7.5e-8.
function upperTail(z) {
  const t = 1 / (1 + 0.2316419 * z);
  const poly = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI)) * poly;
}

function qq(p) {
  const seen = p.map(scored).filter((y) => y !== null).sort((a, b) => b - a);
  if (!seen.length) return null;
  const pairs = seen.map((y, i) => [-Math.log10((i + 0.5) / seen.length), y]);
  const most = Math.max(1, pairs[0][0], pairs[0][1]) * 1.05;
  const axes = new Axes({ name: "qq", title: `Observed against expected p, λ = ${lambda(p).toFixed(2)}`, x: "Expected −log10 p", y: "Observed −log10 p", xs: [0, most], ys: [0, most] });
  axes.line([0, 0], [most, most]);
  for (const [x, y] of shown(pairs)) axes.dot(x, y);
  return axes;
}

function volcano(effect, p, x) {
  const pairs = effect.map((v, i) => [v, scored(p[i])]).filter(([v, y]) => known(v) && y !== null);
  if (!pairs.length) return null;
  const most = Math.max(1e-9, ...bounds(pairs.map(([v]) => v)).map(Math.abs)) * 1.05;
  const bar = -Math.log10(0.05 / pairs.length);
  const axes = new Axes({ name: "volcano", title: "Effect and evidence", x, y: "−log10 p", xs: [-most, most], ys: [0, Math.max(bar, bounds(pairs.map(([, y]) => y))[1]) * 1.08] });
  axes.line([-most, bar], [most, bar]);
  for (const [v, y] of shown(pairs)) axes.dot(v, y, y > bar ? 1 : 0);
  return axes;
}

// The strongest variant's line with its 95 % band; boxes by genotype are a question of their own.
function regression(columns) {
  const best = columns.p.reduce((at, v, i) => (known(v) && (at < 0 || v < columns.p[at]) ? i : at), -1);
  if (best < 0 || !known(columns.beta[best]) || !known(columns.se[best])) return null;
  const [b, s] = [columns.beta[best], columns.se[best]];
  const [allele, other] = [columns.a1?.[best] ?? columns.alt[best], columns.a1?.[best] === columns.ref[best] ? columns.alt[best] : columns.ref[best]];
  const names = [`${other}${other}`, `${other}${allele}`, `${allele}${allele}`];
  const upper = [0, 1, 2].map((g) => g * (b + Z * s));
  const lower = [0, 1, 2].map((g) => g * (b - Z * s));
  const axes = new Axes({ name: "regression", title: `${columns.contig[best]}:${columns.pos[best]} ${columns.ref[best]}>${columns.alt[best]}, beta ${b.toPrecision(3)}, p ${columns.p[best].toPrecision(2)}`, x: "Genotype", y: "Difference from none", xs: names, ys: bounds([...upper, ...lower, 0]), pad: true });
  axes.path([...upper.map((v, g) => [g, v]), ...lower.map((v, g) => [g, v]).reverse()], "band", 0, "Z");
  axes.path([0, 1, 2].map((g) => [g, g * b]));
  for (const g of [0, 1, 2]) axes.dot(g, g * b, 0, 4.5);
  return axes;
}

function compared(strata, af) {
  const names = [...new Set(strata)];
  if (names.length < 2) return [];
  const of = (name) => af.filter((_, i) => strata[i] === name);
  return names.slice(1, 4).map((second) => {
    const [one, other] = [of(names[0]), of(second)];
    const axes = new Axes({ name: `frequencies-${names[0]}-${second}`, title: `Allele frequencies: ${names[0]} and ${second}`, x: names[0], y: second, xs: [0, 1], ys: [0, 1] });
    axes.line([0, 0], [1, 1]);
    shown(one.map((x, i) => [x, other[i]]).filter(([x, y]) => known(x) && known(y))).forEach(([x, y]) => axes.dot(x, y));
    return axes;
  });
}

function spectrum(af) {
  const bins = new Array(20).fill(0);
  for (const v of af) if (known(v)) bins[Math.min(19, Math.max(0, Math.floor(v * 20)))] += 1;
  return bars("spectrum", "Allele frequency spectrum", "Allele frequency", "Variants", bins.map((n, i) => [i / 20, (i + 1) / 20, n]));
}

function bars(name, title, x, y, rows) {
  const axes = new Axes({ name, title, x, y, xs: [rows[0][0], rows.at(-1)[1]], ys: [0, Math.max(1, ...rows.map((r) => r[2])) * 1.05] });
  for (const [from, to, n] of rows) axes.bar(from, to, n);
  return axes;
}

// The columns of each stratum by itself; of, said in a title, names one of several.
function byStratum(columns) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  if (strata.length < 2) return [{ ...columns, of: "" }];
  return strata.map((name) => {
    const own = (values) => values.filter((_, i) => columns.stratum[i] === name);
    return { ...Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, own(values)])), of: `, ${name}` };
  });
}

const histogram = ({ from, to, count, of }) => bars("distribution" + of, "Distribution" + of, "Value", "People", from.map((v, i) => [v, to[i], count[i] ?? 0]));

// Share of people above each value: the step curve of a distribution without censoring.
function survival({ from, to, count, of }) {
  const counts = count.map((n) => Math.max(0, n ?? 0));
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  let left = total;
  const points = [[from[0], 1]];
  counts.forEach((n, i) => {
    points.push([to[i], left / total]);
    left -= n;
    points.push([to[i], left / total]);
  });
  const axes = new Axes({ name: "survival" + of, title: "Share of people above each value" + of, x: "Value", y: "Share above", xs: [from[0], to.at(-1)], ys: [0, 1] });
  axes.path(points);
  return axes;
}

// [5 %, 25 %, 50 %, 75 %, 95 %] of a row; a whisker that may not leave ends at its box.
function span(columns, i) {
  const [q25, q75] = [columns.q25[i], columns.q75[i]];
  return [columns.q05?.[i] ?? q25, q25, columns.q50[i], q75, columns.q95?.[i] ?? q75];
}

// A feature by genotype: boxes, means and the line through everybody's values.
function genotypes(columns, { feature = "Level", variant = "Genotype", unit }) {
  const boxed = columns.genotype.map((_, i) => known(columns.q25[i]) && known(columns.q75[i]));
  const names = columns.genotype.map((name, i) => (known(columns.n[i]) ? `${name} (n ${columns.n[i]})` : name));
  const spans = columns.genotype.map((_, i) => (boxed[i] ? span(columns, i) : null));
  const heights = [...spans.flatMap((s) => (s ? [s[0], s[4]] : [])), ...columns.fit, ...columns.mean].filter(known);
  if (!heights.length) return null;
  const slope = known(columns.fit[0]) && columns.fit.length > 1 ? (columns.fit.at(-1) - columns.fit[0]) / (columns.dosage.at(-1) - columns.dosage[0]) : null;
  const axes = new Axes({ name: "genotypes", title: slope === null ? `${feature} by genotype` : `${feature} by genotype: ${slope > 0 ? "+" : ""}${slope.toPrecision(3)} a copy`, x: variant, y: unit ? `${feature} (${unit})` : feature, xs: names, ys: bounds(heights), pad: true });
  spans.forEach((s, k) => { if (s) axes.box(k, s); });
  axes.path(columns.fit.map((v, k) => [k, v]).filter(([, v]) => known(v)), "curve", 1);
  columns.mean.forEach((v, k) => { if (known(v)) axes.dot(k, v, 1, 4.5); });
  return axes;
}

// Kaplan and Meier's curve of an age at onset, its 95 % band, and people at risk below.
function onset(columns) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  const rows = strata.map((name) => columns.age_to.map((_, i) => i).filter((i) => (columns.stratum?.[i] ?? "all") === name && known(columns.survival[i])));
  const seen = rows.flat();
  if (!seen.length) return null;
  const least = Math.min(...seen.map((i) => columns.survival_low[i] ?? columns.survival[i]));
  const floor = Math.max(0, Math.floor(least * 20 - 0.5) / 20);
  const [youngest, oldest] = [columns.age_from[0], Math.max(...seen.map((i) => columns.age_to[i]))];
  const axes = new Axes({ name: "onset", title: "People still without it, with 95 % intervals", x: "Age, years", y: "Share without", xs: [youngest, oldest], ys: [floor, 1], below: strata.length > 1 ? strata.length + 1 : 1 });
  rows.forEach((own, series) => {
    if (!own.length) return;
    const bounded = own.filter((i) => known(columns.survival_low[i]));
    if (bounded.length) axes.path([...steps(columns, bounded, "survival_high"), ...steps(columns, bounded, "survival_low").reverse()], "band", series, "Z");
    axes.path([[youngest, 1], [columns.age_to[own[0]], 1], ...steps(columns, own, "survival")], "curve", series);
  });
  if (strata.length > 1) axes.row(0, "At risk", []);
  rows.forEach((own, at) => axes.row(strata.length > 1 ? at + 1 : 0, strata.length > 1 ? strata[at] : "At risk", own.map((i) => [columns.age_from[i], String(columns.at_risk[i] ?? "\u2013")])));
  axes.legend(strata);
  return axes;
}

// What is known at the end of a band holds until the end of the next.
function steps(columns, rows, name) {
  return rows.flatMap((i, k) => {
    const next = k + 1 < rows.length ? columns.age_to[rows[k + 1]] : columns.age_to[i];
    return [[columns.age_to[i], columns[name][i]], [next, columns[name][i]]];
  });
}

// Boxes from 25 to 75 %, whiskers from 5 to 95 %: one picture a metric, one box a stratum.
function boxes(columns) {
  const metrics = [...new Set(columns.metric)].slice(0, MOST_METRICS);
  return metrics.map((metric) => {
    const rows = columns.metric.map((m, i) => (m === metric ? i : -1)).filter((i) => i >= 0 && known(columns.q25[i]) && known(columns.q75[i]));
    if (!rows.length) return null;
    if (new Set(rows.flatMap((i) => span(columns, i))).size === 1) return null; // everybody the same: nothing to draw
    const spans = new Map(rows.map((i) => [i, span(columns, i)]));
    const names = rows.map((i) => String(columns.stratum?.[i] ?? "all"));
    const axes = new Axes({ name: `box-${metric}`, title: `${metric.replaceAll("_", " ")}, by group`, x: "Group", y: metric.replaceAll("_", " "), xs: names, ys: bounds([...spans.values()].flatMap((s) => [s[0], s[4]])), pad: true });
    rows.forEach((i, k) => axes.box(k, spans.get(i), k));
    return axes;
  });
}

// Wilson's interval of a proportion.
function wilson(k, n) {
  const middle = (k + Z * Z / 2) / (n + Z * Z);
  const half = (Z / (n + Z * Z)) * Math.sqrt((k * (n - k)) / n + Z * Z / 4);
  return [middle - half, middle + half];
}

function prevalence(columns) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  const names = columns.term.map((term, i) => (strata.length > 1 ? `${term} ${columns.stratum[i]}` : term));
  const values = columns.prevalence.map((v) => v ?? 0);
  const exact = (i) => (columns.with_term && known(columns.with_term[i]) && columns.n[i] ? wilson(columns.with_term[i], columns.n[i]) : null);
  const noisy = (i) => (known(columns.low[i]) ? [columns.low[i], columns.high[i]] : null);
  const spans = values.map((_, i) => (columns.low ? noisy(i) : exact(i)));
  const axes = new Axes({ name: "prevalence", title: "Prevalence, with 95 % intervals", x: "Term", y: "Share of people", xs: names, ys: [0, Math.max(0.01, ...values, ...spans.map((s) => s?.[1] ?? 0)) * 1.08] });
  values.forEach((v, i) => {
    axes.bar(i - 0.3, i + 0.3, v, columns.stratum ? strata.indexOf(columns.stratum[i]) : 0);
    if (spans[i]) axes.line([i, spans[i][0]], [i, spans[i][1]], "error");
  });
  axes.legend(strata);
  return axes;
}

// Odds ratios with Woolf's 95 % interval, on a logarithmic axis.
function odds(columns) {
  const rows = (columns.stratum ?? ["all"]).map((name, i) => ({ name: String(name), cells: [columns.both[i], columns.first_only[i], columns.second_only[i], columns.neither[i]], ratio: columns.odds_ratio[i] }))
    .filter(({ cells, ratio }) => ratio > 0 && cells.every((n) => n > 0));
  if (!rows.length) return null;
  const spans = rows.map(({ ratio, cells }) => {
    const half = Z * Math.sqrt(cells.reduce((sum, n) => sum + 1 / n, 0));
    return [Math.log10(ratio) - half / Math.LN10, Math.log10(ratio) + half / Math.LN10];
  });
  const axes = new Axes({ name: "odds", title: "Odds ratio, with 95 % interval", x: "log10 odds ratio", y: "Group", xs: bounds([0, ...spans.flat()]), ys: rows.map(({ name }) => name), pad: true, height: 170 + 40 * rows.length });
  axes.line([0, -0.5], [0, rows.length - 0.5]);
  rows.forEach(({ ratio }, i) => {
    axes.line([spans[i][0], i], [spans[i][1], i], "whisker", 0);
    axes.dot(Math.log10(ratio), i, 0, 6);
  });
  return axes;
}

function linkage(columns) {
  const names = [...new Set([...columns.variant_a, ...columns.variant_b])].slice(0, 60);
  const at = new Map(names.map((name, i) => [name, i]));
  const axes = new Axes({ name: "linkage", title: "Linkage disequilibrium, r²", x: "Variant", y: "Variant", xs: [0, names.length], ys: [0, names.length], height: 620 });
  columns.r2.forEach((r2, i) => {
    const [a, b] = [at.get(columns.variant_a[i]), at.get(columns.variant_b[i])];
    if (a === undefined || b === undefined || !known(r2)) return;
    const [x, y] = [axes.sx(Math.min(a, b)), axes.sy(Math.max(a, b) + 1)];
    axes.root.append(svg("rect", { class: "bar s0", "fill-opacity": Math.max(0.03, r2).toFixed(3), x, y, width: axes.sx(1) - axes.sx(0), height: axes.sy(0) - axes.sy(1) }));
  });
  return axes;
}

// A cohort's components: a line for each kind of number, a column (pc1 ...) for each component.
function scree(columns) {
  const names = Object.keys(columns).filter((name) => /^pc\d+$/.test(name));
  const at = columns.table.indexOf("share");
  if (at < 0) return null;
  const shares = names.map((name) => columns[name][at] ?? 0);
  const axes = new Axes({ name: "components", title: "Variance along each component", x: "Component", y: "Share of variance", xs: names.map((name) => name.toUpperCase()), ys: [0, Math.max(...shares) * 1.08] });
  shares.forEach((v, i) => axes.bar(i - 0.3, i + 0.3, v));
  return axes;
}

function groups({ table, group, pc1, pc2 }) {
  const marks = table.flatMap((kind, i) => (kind === "mean" && known(pc1[i]) && known(pc2?.[i]) ? [{ name: group[i], x: pc1[i], y: pc2[i], dx: pc1[i + 1], dy: pc2[i + 1] }] : []));
  if (marks.length < 2) return null;
  const reach = (at, wide) => bounds(marks.flatMap((m) => [m[at] - (m[wide] ?? 0), m[at] + (m[wide] ?? 0)]));
  const axes = new Axes({ name: "component-means", title: "Groups on the first two components: mean and standard deviation", x: "PC1", y: "PC2", xs: reach("x", "dx"), ys: reach("y", "dy"), pad: true });
  marks.forEach(({ name, x, y, dx, dy }, i) => {
    axes.line([x - (dx ?? 0), y], [x + (dx ?? 0), y], "whisker", i);
    axes.line([x, y - (dy ?? 0)], [x, y + (dy ?? 0)], "whisker", i);
    axes.dot(x, y, i, 4);
    axes.text(axes.sx(x), axes.sy(y) - 8, name);
  });
  return axes;
}

// Pairs, with the interval of their share of all pairs of n people where it is told.
function degrees({ degree, pairs, n, share_low, share_high }) {
  const span = (i) => (known(share_low?.[i]) && known(share_high?.[i]) ? [share_low[i], share_high[i]].map((v) => (v * n[i] * (n[i] - 1)) / 2) : null);
  const names = degree.map((name) => name.replaceAll("_", " "));
  const axes = new Axes({ name: "relatedness", title: "Pairs of people by degree", x: "Degree of relationship", y: "Pairs", xs: names, ys: [0, Math.max(1, ...pairs.map((count, i) => Math.max(count ?? 0, span(i)?.[1] ?? 0))) * 1.08] });
  pairs.forEach((count, i) => {
    axes.bar(i - 0.3, i + 0.3, count ?? 0);
    const ends = span(i);
    if (ends) axes.line([i, ends[0]], [i, ends[1]], "error");
  });
  return axes;
}
