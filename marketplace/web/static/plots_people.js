// Figures of people: levels and scores, ages at onset, conditions.

import { Axes, bounds } from "./axes.js";
import { quantity, unitOf } from "./asked.js";
import { span } from "./plots_association.js";
import { Z, known, rounded, sample, short, whole, wilson } from "./numbers.js";

const MOST_METRICS = 8;

// A histogram with noise: each bar with the interval that the noise alone would give it.
export function histogram({ from, to, count, count_sd: noise, of }, asked) {
  const half = (i) => (known(noise?.[i]) ? Z * noise[i] : 0);
  const shown = count.map((n) => (known(n) ? n : null));
  const { label } = quantity(asked);
  const axes = new Axes({
    name: `distribution${of}`, title: `Distribution${of}`, sub: total(shown), x: label, y: "People", xs: [from[0], to.at(-1)],
    ys: [0, Math.max(1, ...shown.map((n, i) => (n ?? 0) + half(i))) * 1.05],
    note: `${noise ? "Lines: 95 % intervals of the noise alone. " : ""}Values beyond the ends are counted in the outer bars.`,
  });
  from.forEach((v, i) => {
    if (shown[i] === null) return axes.hidden((v + to[i]) / 2);
    axes.bar(v, to[i], shown[i]);
    const middle = (v + to[i]) / 2;
    if (half(i)) axes.line([middle, Math.max(0, shown[i] - half(i))], [middle, Math.max(0, shown[i] + half(i))], "error");
    return null;
  });
  return axes;
}

const total = (counts) => (counts.some(known) ? `about ${whole(counts.reduce((a, n) => a + Math.max(0, n ?? 0), 0))} people` : "");

// Share of people above each value: the step curve of a distribution without censoring. The band holds
// sampling and noise: with S above, of n people in K bars of which k lie above, each of noise sd s,
// var = S(1-S)/n + s² (k(1-S)² + (K-k)S²)/n².
export function survival({ from, to, count, count_sd: noise, of }, asked) {
  if (count.some((n) => !known(n))) return null; // with a hidden bar no share above is known
  const counts = count.map((n) => Math.max(0, n));
  const people = counts.reduce((a, b) => a + b, 0);
  if (!people) return null;
  const bars = counts.length;
  let left = people;
  const points = [];
  const band = [];
  from.forEach((v, k) => {
    const share = left / people;
    const s = noise?.[k] ?? 0;
    const se = Math.sqrt((share * (1 - share)) / people + (s * s * ((bars - k) * (1 - share) ** 2 + k * share ** 2)) / people ** 2);
    for (const x of [v, to[k]]) {
      points.push([x, share]);
      band.push([x, Math.min(1, share + Z * se), Math.max(0, share - Z * se)]);
    }
    left -= counts[k];
  });
  const { label } = quantity(asked);
  const axes = new Axes({
    name: `survival${of}`, title: `Share of people above each value${of}`, sub: total(counts), x: label, y: "Share at or above", xs: [from[0], to.at(-1)], ys: [0, 1],
    note: "A step for each bar's lower end. Band: 95 % interval of sampling and noise.",
  });
  axes.path([...band.map(([x, high]) => [x, high]), ...band.map(([x, , low]) => [x, low]).reverse()], "band", 0, "Z");
  axes.path(points);
  return axes;
}

// Kaplan and Meier's curve of an age at onset, its 95 % band, and people at risk below.
export function onset(columns, { params }) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  const rows = strata.map((name) => columns.age_to.map((_, i) => i).filter((i) => (columns.stratum?.[i] ?? "all") === name && known(columns.survival[i])));
  const seen = rows.flat();
  if (!seen.length) return null;
  const least = Math.min(...seen.map((i) => columns.survival_low[i] ?? columns.survival[i]));
  const floor = least < 0.5 ? 0 : Math.max(0, Math.floor(least * 20 - 0.5) / 20);
  const [youngest, oldest] = [columns.age_from[0], Math.max(...seen.map((i) => columns.age_to[i]))];
  const people = rows.reduce((sum, [first]) => sum + (columns.at_risk[first] ?? 0), 0);
  const events = (columns.events ?? []).filter(known).reduce((a, b) => a + b, 0);
  const axes = new Axes({
    name: "onset", title: "People still without it", sub: [(params.terms ?? []).join(", "), [sample([people]), events > 0 && `${whole(events)} onsets`].filter(Boolean).join(", ")].filter(Boolean).join("; "), x: "Age (years)", y: "Share without", xs: [youngest, oldest], ys: [floor, 1], series: strata, below: strata.length > 1 ? strata.length + 1 : 1,
    note: `Kaplan and Meier, with 95 % intervals; the numbers below are people at risk.${floor > 0 ? ` The axis of shares begins at ${short(floor)}.` : ""}${seen.length < columns.age_to.length ? " A curve ends where too few people are left to show." : ""}`,
  });
  rows.forEach((own, series) => {
    if (!own.length) return;
    const bounded = own.filter((i) => known(columns.survival_low[i]));
    if (bounded.length) axes.path([...steps(columns, bounded, "survival_high"), ...steps(columns, bounded, "survival_low").reverse()], "band", series, "Z");
    axes.path([[youngest, 1], [columns.age_to[own[0]], 1], ...steps(columns, own, "survival")], "curve", series);
  });
  if (strata.length > 1) axes.row(0, "At risk", []);
  rows.forEach((own, at) => axes.row(strata.length > 1 ? at + 1 : 0, strata.length > 1 ? strata[at] : "At risk", own.map((i) => [columns.age_from[i], String(columns.at_risk[i] ?? "\u2013")])));
  axes.legend(strata, true);
  return axes;
}

// What is known at the end of a band holds until the end of the next.
function steps(columns, rows, name) {
  return rows.flatMap((i, k) => {
    const next = k + 1 < rows.length ? columns.age_to[rows[k + 1]] : columns.age_to[i];
    return [[columns.age_to[i], columns[name][i]], [next, columns[name][i]]];
  });
}

const MEASURES = {
  call_rate: "Call rate", heterozygosity: "Heterozygosity", het_hom_ratio: "Het/hom ratio", ti_tv: "Ti/Tv ratio", carried: "Variants carried", covered: "Share covered",
  in_range: "Share in range", below: "Share below range", above: "Share above range", cv: "Coefficient of variation", readings: "Readings for each person", score: "Polygenic score", called_fraction: "Share of weights called",
};

function measure(metric, asked) {
  const { code, low, high } = asked.params;
  const range = asked.family === "time_in_range" ? [low, high] : null;
  const unit = unitOf(asked);
  if (range && ["in_range", "below", "above"].includes(metric)) return [MEASURES[metric], `${range.join("–")} ${unit}`];
  if (range && metric === "mean") return [`Mean reading, ${code}`, unit];
  return MEASURES[metric] ? [MEASURES[metric], ""] : [metric.replaceAll("_", " "), unitOf(asked)];
}

// Boxes from 25 to 75 %, whiskers from 5 to 95 %: one picture a metric, one box a stratum.
export function boxes(columns, asked) {
  const metrics = [...new Set(columns.metric)].slice(0, MOST_METRICS);
  return metrics.map((metric) => {
    const every = columns.metric.map((m, i) => (m === metric ? i : -1)).filter((i) => i >= 0);
    const rows = every.filter((i) => known(columns.q25[i]) && known(columns.q75[i]));
    if (!rows.length) return null;
    if (new Set(rows.flatMap((i) => span(columns, i))).size === 1) return null; // everybody the same: nothing to draw
    const names = every.map((i) => `${columns.stratum?.[i] ?? "all"}\n${rows.includes(i) ? sample([columns.n?.[i]]) : "hidden"}`);
    const [name, unit] = measure(metric, asked);
    const axes = new Axes({
      name: `box-${metric}`, title: `${name}, by group`, x: "Group", y: unit ? `${name} (${unit})` : name, xs: names, ys: bounds(rows.flatMap((i) => span(columns, i))), pad: true,
      note: `Boxes: 25 to 75 %, with the median; whiskers: 5 to 95 %.${rows.length < every.length ? " Hidden: too few people for quantiles." : ""}`,
    });
    every.forEach((i, k) => { if (rows.includes(i)) axes.box(k, span(columns, i), k); });
    return axes;
  });
}

// The interval of a share: as the answer tells it, else Wilson's of its counts.
function interval(columns, i) {
  for (const [low, high] of [["prevalence_low", "prevalence_high"], ["low", "high"]]) if (known(columns[low]?.[i])) return [columns[low][i], columns[high][i]];
  return known(columns.with_term?.[i]) && columns.n[i] ? wilson(columns.with_term[i], columns.n[i]) : null;
}

export function prevalence(columns) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  const terms = [...new Set(columns.term)];
  const size = (name) => Math.max(0, ...columns.term.map((_, i) => ((columns.stratum?.[i] ?? "all") === name ? columns.n?.[i] ?? 0 : 0)));
  const named = (name) => (size(name) ? `${name} (n = ${whole(size(name))})` : name);
  const spans = columns.term.map((_, i) => (known(columns.prevalence[i]) ? interval(columns, i) : null));
  const most = Math.max(0.01, ...columns.prevalence.filter(known), ...spans.map((s) => s?.[1] ?? 0));
  const axes = new Axes({
    name: "prevalence", title: "Prevalence", sub: strata.length > 1 ? "" : named(strata[0]).replace(/^all \((.*)\)$/, "$1"), series: strata, x: "Term", y: "Share of people", xs: terms, ys: [0, most * 1.08],
    note: `Lines: 95 % intervals.${columns.prevalence.some((v) => !known(v)) ? " Hidden: too few people have the term, or are without it." : ""}`,
  });
  const wide = 0.7 / strata.length;
  columns.prevalence.forEach((v, i) => {
    const series = Math.max(0, strata.indexOf(columns.stratum?.[i] ?? "all"));
    const left = terms.indexOf(columns.term[i]) - 0.35 + series * wide;
    if (!known(v)) return axes.hidden(left + wide / 2);
    axes.bar(left, left + wide, v, series);
    if (spans[i]) axes.line([left + wide / 2, spans[i][0]], [left + wide / 2, spans[i][1]], "error");
    return null;
  });
  axes.legend(strata.map(named));
  return axes;
}

// Odds ratios with their 95 % intervals (Woolf's where the answer tells none), on a logarithmic axis.
export function odds(columns, { params }) {
  const every = (columns.stratum ?? ["all"]).map((name, i) => ({ name: String(name), cells: [columns.both[i], columns.first_only[i], columns.second_only[i], columns.neither[i]], ratio: columns.odds_ratio[i], i }));
  const rows = every.filter(({ cells, ratio }) => ratio > 0 && cells.every((n) => n > 0));
  if (!rows.length) return null;
  const spans = rows.map(({ ratio, cells, i }) => {
    if (known(columns.odds_ratio_low?.[i])) return [columns.odds_ratio_low[i], columns.odds_ratio_high[i]];
    const half = Math.exp(Z * Math.sqrt(cells.reduce((sum, n) => sum + 1 / n, 0)));
    return [ratio / half, ratio * half];
  });
  const names = rows.map(({ name, cells }) => `${name}, n = ${whole(cells.reduce((a, b) => a + b, 0))}`);
  const xs = bounds([1, ...spans.flat()]).map(Math.log10);
  const left = every.length - rows.length;
  const axes = new Axes({
    name: "odds", title: params.first ? `${codeOf(params.first)} and ${codeOf(params.second)}` : "Two conditions", sub: rows.length === 1 ? said(rows[0].ratio, spans[0]) : "", x: "Odds ratio (logarithmic)", y: "", ys: names, xs, pad: true, height: 136 + 34 * rows.length, xticks: decades(xs),
    note: `Odds ratios with 95 % intervals; dashed: 1, no relation.${left ? ` ${whole(left)} groups with a hidden or an empty cell are not drawn.` : ""}`,
  });
  axes.line([0, -0.5], [0, rows.length - 0.5]);
  rows.forEach(({ ratio }, i) => {
    axes.line([Math.log10(spans[i][0]), i], [Math.log10(spans[i][1]), i], "whisker", 0);
    axes.dot(Math.log10(ratio), i, 0, 5);
  });
  return axes;
}

const codeOf = (one) => one.term ?? one.code ?? one.name ?? one.id;
const said = (ratio, [low, high]) => `odds ratio ${rounded(ratio)} (95 % interval ${rounded(low)} to ${rounded(high)})`;

// Ticks of a logarithmic axis at 1, 2 and 5 of each power of ten.
function decades([low, high]) {
  const made = [];
  for (let e = Math.floor(low) - 1; e <= Math.ceil(high); e += 1) {
    for (const m of [1, 2, 5]) {
      const at = Math.log10(m) + e;
      if (at >= low - 0.1 && at <= high + 0.1) made.push([at, String(+(m * 10 ** e).toPrecision(1))]);
    }
  }
  return made;
}
