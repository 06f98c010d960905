// Figures of tests: where along the genome, against expectation, how large; a level by genotype.

import { Axes, bounds } from "./axes.js";
import { isOdds, quantity, unitOf, variantOf } from "./asked.js";
import { Z, known, lambda, missing, orderQuantile, pValue, power, rounded, sample, scored, whole } from "./numbers.js";

const GENOME_WIDE = 5e-8;
const FALSE_SHARE = 0.05;
const MOST_LABELS = 5;
const MOST_EFFECTS = 24;
const BAND_POINTS = 40;
const MB = 1e6;

// "118 variants tested, n = 116–118; 2 hidden"
function tested(columns, what = "variants") {
  const without = missing(columns.p);
  const n = sample(columns.n);
  return `${whole(columns.p.length - without)} ${what}${n && `, ${n}`}${without ? `; ${whole(without)} not shown` : ""}`;
}

const WITHOUT = "Not shown are variants without a test: monomorphic here, or hidden because few people carry them.";
const unshown = (columns) => (missing(columns.p) ? ` ${WITHOUT}` : "");

const natural = new Intl.Collator("en", { numeric: true });

export function manhattan(columns, asked) {
  const { pos, p } = columns;
  const contig = columns.contig ?? pos.map(() => "");
  const contigs = [...new Set(contig)].sort(natural.compare);
  const ends = new Map();
  pos.forEach((at, i) => ends.set(contig[i], Math.max(ends.get(contig[i]) ?? 0, at)));
  const starts = new Map();
  let offset = 0;
  for (const name of contigs) {
    starts.set(name, offset);
    offset += ends.get(name);
  }
  const one = contigs.length === 1;
  const marks = pos.map((at, i) => [(one ? at : starts.get(contig[i]) + at) / MB, scored(p[i]), one ? 0 : contigs.indexOf(contig[i]) % 2]).filter(([, y]) => y !== null);
  if (!marks.length) return null;
  const xs = one ? bounds(marks.map(([x]) => x)) : [0, offset / MB];
  const most = marks.reduce((top, [, y]) => Math.max(top, y), 8);
  const build = asked.build && `, ${asked.build}`;
  const axes = new Axes({
    name: "manhattan", title: "Association by position", sub: tested(columns), xs, ys: [0, most * 1.08], pad: false,
    x: one ? `Position on chromosome ${contigs[0]} (Mb${build})` : `Chromosome${asked.build && ` (${asked.build})`}`, y: "−log10 P",
    xticks: one ? undefined : contigs.map((name) => [(starts.get(name) + ends.get(name) / 2) / MB, name]),
    note: `Dashed: genome-wide significance, P = 5 × 10⁻⁸.${unshown(columns)}`,
  });
  axes.threshold(-Math.log10(GENOME_WIDE), "P = 5 × 10⁻⁸");
  axes.dots(marks);
  return axes;
}

export function qq(columns) {
  const seen = columns.p.map(scored).filter((y) => y !== null).sort((a, b) => b - a);
  if (!seen.length) return null;
  const tests = seen.length;
  const pairs = seen.map((y, i) => [-Math.log10((i + 0.5) / tests), y]);
  const right = Math.max(1, pairs[0][0]) * 1.05;
  const band = [];
  for (const rank of ranks(tests)) {
    const at = -Math.log10((rank - 0.5) / tests);
    band.push([at, ...[0.025, 0.975].map((share) => -Math.log10(orderQuantile(share, rank, tests)))]);
  }
  const top = Math.max(1, pairs[0][1], ...band.map(([, high]) => high)) * 1.05;
  const axes = new Axes({
    name: "qq", title: "Observed against expected P", sub: `λ = ${lambda(columns.p).toFixed(2)}; ${tested(columns)}`,
    x: "Expected −log10 P", y: "Observed −log10 P", xs: [0, right], ys: [0, top],
    note: `λ: median χ² over the median expected. Band: 95 % of independent tests without any association, at each rank; neighbouring variants go together, so a cluster may leave it by chance.${unshown(columns)}`,
  });
  axes.path([...band.map(([x, high]) => [x, high]), ...band.map(([x, , low]) => [x, low]).reverse()], "band", 3, "Z");
  axes.line([0, 0], [Math.min(right, top), Math.min(right, top)]);
  axes.dots(pairs);
  return axes;
}

// Ranks from the smallest p on, closer together where the picture has room for them.
function ranks(tests) {
  const made = new Set();
  for (let i = 0; i <= BAND_POINTS; i += 1) made.add(Math.round(tests ** (i / BAND_POINTS)));
  return [...made];
}

export function volcano(columns, asked) {
  const effect = columns.beta ?? columns.difference;
  const marks = effect.map((v, i) => ({ v, y: scored(columns.p[i]), i })).filter(({ v, y }) => known(v) && y !== null);
  if (!marks.length) return null;
  const most = Math.max(1e-9, ...bounds(marks.map(({ v }) => v)).map(Math.abs)) * 1.08;
  const bar = -Math.log10(FALSE_SHARE / marks.length);
  const found = ({ y, i }) => (columns.q ? known(columns.q[i]) && columns.q[i] <= FALSE_SHARE : y >= bar);
  const top = Math.max(bar, marks.reduce((high, { y }) => Math.max(high, y), 0));
  const axes = new Axes({
    name: "volcano", title: "Effect and evidence", sub: tested(columns, columns.feature ? "features" : "variants"), x: effectLabel(columns, asked), y: "−log10 P", xs: [-most, most], ys: [0, top * 1.12],
    note: `Dashed: 0.05 over the number of tests (Bonferroni). Coloured: ${columns.q ? "false discovery rate at most 5 % (q, Benjamini and Hochberg)" : "above that line"}.${unshown(columns)}`,
  });
  axes.threshold(bar, `P = ${power(FALSE_SHARE / marks.length)}`);
  axes.dots(marks.map((mark) => [mark.v, mark.y, found(mark) ? 1 : 0]));
  labelled(axes, marks.filter(found).sort((a, b) => b.y - a.y).slice(0, MOST_LABELS), columns);
  return axes;
}

// Names of the strongest, each beside its mark, none over another.
function labelled(axes, marks, columns) {
  const taken = [];
  for (const { v, y, i } of marks) {
    const name = columns.feature?.[i] ?? variantOf(columns, i);
    const [x, at] = [axes.sx(v), axes.sy(y) + 4];
    if (taken.some((other) => Math.abs(other - at) < 13)) continue;
    taken.push(at);
    const side = v > 0 ? ["end", -6] : ["start", 6];
    axes.text(x + side[1], at, name, { class: "row over", "text-anchor": side[0] });
  }
}

function effectLabel(columns, asked) {
  if (columns.difference) {
    const { a, b } = asked.facts.groups ?? asked.params.groups ?? {};
    const unit = unitOf(asked);
    return `Difference of means${a ? `, ${a} − ${b}` : ", with − without"}${unit ? ` (${unit})` : ""}`;
  }
  if (isOdds(asked)) return "β: log odds for each copy of the effect allele";
  const { name, unit } = quantity(asked, "trait");
  return `β for each copy, in ${unit ? `${unit} of ${name}` : name}`;
}

// A few effects, each with its 95 % interval, one below the other.
export function effects(columns, asked) {
  const effect = columns.beta ?? columns.difference;
  const [low, high] = columns.beta ? [columns.beta_low, columns.beta_high] : [columns.difference_low, columns.difference_high];
  const told = effect.map((v, i) => i).filter((i) => known(effect[i]) && known(low?.[i]) && known(high?.[i])).slice(0, MOST_EFFECTS);
  if (!told.length || (columns.beta && told.length < 2)) return null; // one slope has a picture of its own
  const strata = new Set(columns.stratum ?? []).size > 1;
  const names = told.map((i) => [columns.feature?.[i] ?? variantOf(columns, i), strata ? columns.stratum[i] : ""].filter(Boolean).join(", "));
  const axes = new Axes({
    name: "effects", title: columns.feature ? "Difference of two groups" : "Effects", sub: sample(columns.n), x: effectLabel(columns, asked), y: "", ys: names,
    xs: bounds([0, ...told.flatMap((i) => [low[i], high[i]])]), pad: true, height: 130 + 26 * told.length,
    note: `Points with 95 % intervals.${told.length < effect.length ? ` ${whole(effect.length - told.length)} without a number or beyond ${MOST_EFFECTS} are not drawn.` : ""}`,
  });
  axes.line([0, -0.5], [0, told.length - 0.5]);
  told.forEach((i, at) => {
    axes.line([low[i], at], [high[i], at], "whisker", 0);
    axes.dot(effect[i], at, 0, 4);
  });
  return axes;
}

// The strongest variant's line with its 95 % band; boxes by genotype are a question of their own.
export function regression(columns, asked) {
  const best = columns.p.reduce((at, v, i) => (known(v) && (at < 0 || v < columns.p[at]) ? i : at), -1);
  if (best < 0 || !known(columns.beta[best]) || !known(columns.se[best])) return null;
  const [b, s] = [columns.beta[best], columns.se[best]];
  const [allele, other] = [columns.a1?.[best] ?? columns.alt[best], columns.a1?.[best] === columns.ref[best] ? columns.alt[best] : columns.ref[best]];
  const names = [`${other}/${other}`, `${other}/${allele}`, `${allele}/${allele}`];
  const [upper, lower] = [1, -1].map((side) => [0, 1, 2].map((g) => g * (b + side * Z * s)));
  const { label } = quantity(asked, "trait");
  const interval = `${rounded(b - Z * s)} to ${rounded(b + Z * s)}`;
  const n = sample([columns.n?.[best]]);
  const alone = columns.p.filter(known).length === 1;
  const axes = new Axes({
    name: "regression", title: alone ? variantOf(columns, best) : `Strongest: ${variantOf(columns, best)}`, sub: `β = ${rounded(b)} (${interval}), ${pValue(columns.p[best])}${n && `, ${n}`}`,
    x: "Genotype", y: isOdds(asked) ? `Log odds, off ${names[0]}` : `${label}, off ${names[0]}`, xs: names, ys: bounds([...upper, ...lower, 0]), pad: true,
    note: `The line that was fitted, adjusted as asked, with its 95 % interval.${alone ? "" : " The strongest of several tests: its effect is likely overstated (winner's curse)."}`,
  });
  axes.path([...upper.map((v, g) => [g, v]), ...lower.map((v, g) => [g, v]).reverse()], "band", 0, "Z");
  axes.path([0, 1, 2].map((g) => [g, g * b]));
  for (const g of [0, 1, 2]) axes.dot(g, g * b, 0, 4);
  return axes;
}

// [5 %, 25 %, 50 %, 75 %, 95 %] of a row; a whisker that may not leave ends at its box.
export function span(columns, i) {
  const [q25, q75] = [columns.q25[i], columns.q75[i]];
  return [columns.q05?.[i] ?? q25, q25, columns.q50[i], q75, columns.q95?.[i] ?? q75];
}

// A feature by genotype: boxes, means with their intervals, and the line through everybody's values.
export function genotypes(columns, asked) {
  const boxed = columns.genotype.map((_, i) => known(columns.q25[i]) && known(columns.q75[i]));
  const names = columns.genotype.map((name, i) => `${name}\n${known(columns.n[i]) ? `n = ${whole(columns.n[i])}` : "hidden"}`);
  const spans = columns.genotype.map((_, i) => (boxed[i] ? span(columns, i) : null));
  const means = columns.mean.map((v, i) => (known(columns.mean_low?.[i]) ? [columns.mean_low[i], v, columns.mean_high[i]] : [v]));
  const heights = [...spans.flatMap((s) => (s ? [s[0], s[4]] : [])), ...columns.fit, ...means.flat()].filter(known);
  if (!heights.length) return null;
  const slope = known(columns.fit[0]) && columns.fit.length > 1 ? (columns.fit.at(-1) - columns.fit[0]) / (columns.dosage.at(-1) - columns.dosage[0]) : null;
  const { name, unit, label } = quantity(asked, "Level");
  const axes = new Axes({
    name: "genotypes", title: `${name} by genotype`, sub: slope === null ? "" : `${slope > 0 ? "+" : ""}${rounded(slope)}${unit && ` ${unit}`} for each copy`, x: asked.facts.variant ?? "Genotype", y: label, xs: names, ys: bounds(heights), pad: true,
    note: "Boxes: 25 to 75 %, with the median; whiskers: 5 to 95 %. Points: means with 95 % intervals; line: least squares over everybody. Hidden: too few people for that number.",
  });
  spans.forEach((s, k) => { if (s) axes.box(k, s); });
  axes.path(columns.fit.map((v, k) => [k, v]).filter(([, v]) => known(v)), "curve", 1);
  means.forEach((ends, k) => {
    if (ends.length === 3) axes.line([k, ends[0]], [k, ends[2]], "error");
    if (known(columns.mean[k])) axes.dot(k, columns.mean[k], 1, 4);
  });
  return axes;
}
