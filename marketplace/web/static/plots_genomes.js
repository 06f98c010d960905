// Figures of genomes counted: allele frequencies, linkage, components, relatives.

import { Axes, W, bounds, clip, svg } from "./axes.js";
import { known, missing, sample, whole } from "./numbers.js";

const HIDDEN = "Hidden, and not drawn: variants that few people carry, or few are without.";
const MOST_LINKED = 60;
const MB = 1e6;

const keyOf = (columns, i) => `${columns.contig?.[i]}-${columns.pos?.[i]}-${columns.ref?.[i]}-${columns.alt?.[i]}`;

// Each of a few strata against the first, variant by variant.
export function compared(columns) {
  const { stratum, af } = columns;
  const names = [...new Set(stratum)];
  if (names.length < 2) return [];
  const of = new Map(names.map((name) => [name, new Map()]));
  stratum.forEach((name, i) => of.get(name).set(columns.pos ? keyOf(columns, i) : of.get(name).size, i));
  const alleles = (name) => Math.max(0, ...[...of.get(name).values()].map((i) => columns.an?.[i] ?? 0));
  const axis = (name) => `Frequency of ALT, ${name}${alleles(name) ? ` (${whole(alleles(name))} alleles)` : ""}`;
  return names.slice(1, 4).map((second) => {
    const rows = [...of.get(names[0])].filter(([key]) => of.get(second).has(key)).map(([key, i]) => [af[i], af[of.get(second).get(key)]]);
    const pairs = rows.filter(([x, y]) => known(x) && known(y));
    const left = rows.length - pairs.length;
    const axes = new Axes({
      name: `frequencies-${names[0]}-${second}`, title: `Allele frequencies: ${names[0]} and ${second}`, sub: `${whole(pairs.length)} variants${pairs.length > 2 ? `, r = ${correlation(pairs).toFixed(3)}` : ""}${left ? `; ${whole(left)} hidden` : ""}`,
      x: axis(names[0]), y: axis(second), xs: [0, 1], ys: [0, 1], height: 400, note: `Dashed: the same frequency in both.${left ? ` ${HIDDEN}` : ""}`,
    });
    axes.line([0, 0], [1, 1]);
    axes.dots(pairs);
    return axes;
  });
}

function correlation(pairs) {
  const mean = (at) => pairs.reduce((sum, pair) => sum + pair[at], 0) / pairs.length;
  const [mx, my] = [mean(0), mean(1)];
  const sums = pairs.reduce(([xy, xx, yy], [x, y]) => [xy + (x - mx) * (y - my), xx + (x - mx) ** 2, yy + (y - my) ** 2], [0, 0, 0]);
  return sums[0] / Math.sqrt(sums[1] * sums[2] || 1);
}

export function spectrum({ af, an, stratum }) {
  if (new Set(stratum ?? []).size > 1) return null; // the comparison shows them
  const bins = new Array(20).fill(0);
  for (const v of af) if (known(v)) bins[Math.min(19, Math.max(0, Math.floor(v * 20)))] += 1;
  const left = missing(af);
  const most = Math.max(0, ...an.filter(known));
  const axes = new Axes({
    name: "spectrum", title: "Allele frequency spectrum", sub: `${whole(af.length - left)} variants${most ? `, up to ${whole(most)} alleles` : ""}${left ? `; ${whole(left)} hidden` : ""}`,
    x: "Frequency of ALT", y: "Variants", xs: [0, 1], ys: [0, Math.max(1, ...bins) * 1.05], note: left ? HIDDEN : "",
  });
  bins.forEach((n, i) => axes.bar(i / 20, (i + 1) / 20, n));
  return axes;
}

const placeOf = (name) => name.split("-");

// Squared correlation of every two variants; a cell without a number stays crossed out.
export function linkage(columns, { build }) {
  const all = [...new Set([...columns.variant_a, ...columns.variant_b])];
  const names = all.slice(0, MOST_LINKED);
  const at = new Map(names.map((name, i) => [name, i]));
  const contigs = new Set(names.map((name) => placeOf(name)[0]));
  const every = Math.ceil(names.length / 4);
  const marked = names.map((name, i) => [i + 0.5, contigs.size > 1 ? name : (placeOf(name)[1] / MB).toFixed(3)]).filter((_, i) => i % every === 0);
  const left = missing(columns.r2);
  const n = sample(columns.n);
  const title = contigs.size > 1 ? "Variant" : `Variant: place on chromosome ${[...contigs][0]} (Mb${build && `, ${build}`})`;
  const axes = new Axes({
    name: "linkage", title: "Linkage disequilibrium, r²", sub: `${all.length > names.length ? `first ${names.length} of ${all.length}` : names.length} variants${n && `, ${n}`}${left ? `; ${whole(left)} pairs hidden` : ""}`,
    x: title, y: title, xs: [0, names.length], ys: [names.length, 0], xticks: marked, yticks: marked, height: 420, grid: false,
    note: `Darker: closer to r² = 1. ${left ? "Crossed out: hidden, because few people carry one of the two." : ""}`,
  });
  columns.r2.forEach((r2, i) => {
    const [a, b] = [at.get(columns.variant_a[i]), at.get(columns.variant_b[i])];
    if (a === undefined || b === undefined) return;
    square(axes, Math.min(a, b), Math.max(a, b), r2);
  });
  scale(axes);
  return axes;
}

function square(axes, a, b, r2) {
  const [x, y, width, height] = [axes.sx(a), axes.sy(b), axes.sx(1) - axes.sx(0), axes.sy(1) - axes.sy(0)];
  if (known(r2)) axes.add("rect", { class: "bar s0", "fill-opacity": r2.toFixed(3), x: x.toFixed(2), y: y.toFixed(2), width: width.toFixed(2), height: height.toFixed(2) });
  else axes.add("path", { class: "axis", d: `M${x},${y}l${width},${height}M${x + width},${y}l${-width},${height}` });
}

// What the darkness means, in the half that has no pairs.
function scale(axes) {
  const [x, y] = [W - 196, axes.top + 14];
  [0, 0.25, 0.5, 0.75, 1].forEach((r2, i) => {
    axes.add("rect", { class: "bar s0", "fill-opacity": r2, x: x + i * 30, y, width: 30, height: 12 });
    axes.text(x + i * 30 + 15, y + 26, String(r2), { class: "row" });
  });
  axes.root.append(svg("path", { class: "axis", d: `M${x},${y}h150v12h-150z` }));
  axes.text(x - 14, y + 11, "r²", { class: "row" });
}

// A cohort's components: a line for each kind of number, a column (pc1 ...) for each component.
export function scree(columns) {
  const names = Object.keys(columns).filter((name) => /^pc\d+$/.test(name));
  const at = columns.table.indexOf("share");
  if (at < 0) return null;
  const shares = names.map((name) => columns[name][at]);
  const axes = new Axes({ name: "components", title: "Variance along each component", sub: sample([columns.n?.[at]]), x: "Component", y: "Share of variance", xs: names.map((name) => name.toUpperCase()), ys: [0, Math.max(0.01, ...shares.filter(known)) * 1.08] });
  shares.forEach((v, i) => { if (known(v)) axes.bar(i - 0.3, i + 0.3, v); else axes.hidden(i); });
  return axes;
}

export function groups({ table, group, n, pc1, pc2 }) {
  const marks = table.flatMap((kind, i) => (kind === "mean" && known(pc1[i]) && known(pc2?.[i]) ? [{ name: group[i], n: n?.[i], x: pc1[i], y: pc2[i], dx: pc1[i + 1], dy: pc2[i + 1] }] : []));
  if (marks.length < 2) return null;
  const reach = (at, wide) => bounds(marks.flatMap((m) => [m[at] - (m[wide] ?? 0), m[at] + (m[wide] ?? 0)]));
  const axes = new Axes({ name: "component-means", title: "Groups on the first two components", sub: sample(marks.map((mark) => mark.n)), x: "PC1", y: "PC2", xs: reach("x", "dx"), ys: reach("y", "dy"), pad: true, note: "Points: means of the groups; lines: one standard deviation each way." });
  const taken = [];
  marks.forEach(({ name, x, y, dx, dy }, i) => {
    axes.line([x - (dx ?? 0), y], [x + (dx ?? 0), y], "whisker", i);
    axes.line([x, y - (dy ?? 0)], [x, y + (dy ?? 0)], "whisker", i);
    axes.dot(x, y, i, 4);
    const at = [axes.sx(x) + 8, axes.sy(y) - 6];
    while (taken.some(([ox, oy]) => Math.abs(ox - at[0]) < 70 && Math.abs(oy - at[1]) < 13)) at[1] -= 13;
    taken.push(at);
    axes.text(...at, clip(name, 18), { class: "row", "text-anchor": "start" });
  });
  return axes;
}

// Pairs that are related, with the interval of their share of all pairs of n people where it is told.
export function degrees({ degree, pairs, n, share_low, share_high }) {
  const rows = degree.map((name, i) => i).filter((i) => degree[i] !== "unrelated");
  const span = (i) => (known(share_low?.[i]) && known(share_high?.[i]) ? [share_low[i], share_high[i]].map((v) => (v * n[i] * (n[i] - 1)) / 2) : null);
  const all = known(n?.[0]) ? (n[0] * (n[0] - 1)) / 2 : null;
  const rest = pairs[degree.indexOf("unrelated")];
  const axes = new Axes({
    name: "relatedness", title: "Related pairs of people, by degree", sub: all === null ? "" : `n = ${whole(n[0])}: ${whole(all)} pairs${known(rest) ? `, ${whole(rest)} unrelated` : ""}`,
    x: "Degree of relationship", y: "Pairs", xs: rows.map((i) => degree[i].replaceAll("_", " ")), ys: [0, Math.max(1, ...rows.map((i) => Math.max(pairs[i] ?? 0, span(i)?.[1] ?? 0))) * 1.12],
    note: "Lines: 95 % intervals, by a jackknife over people. Unrelated pairs are counted above, not drawn.",
  });
  rows.forEach((i, at) => {
    if (!known(pairs[i])) return axes.hidden(at);
    axes.bar(at - 0.3, at + 0.3, pairs[i]);
    const ends = span(i);
    if (ends) axes.line([at, ends[0]], [at, ends[1]], "error");
    return axes.text(axes.sx(at) + 6, axes.sy(pairs[i]) - 5, whole(pairs[i]), { class: "row", "text-anchor": "start" });
  });
  return axes;
}
