// Plots of an answer as SVG, drawn here from the decrypted numbers; nothing is fetched.

import { svg } from "./dom.js";

const [W, H, LEFT, BOTTOM, TOP] = [640, 360, 58, 46, 34];
const GENOME_WIDE = 5e-8;

export function plotsOf(answer) {
  const { columns = {} } = answer;
  const made = [];
  const p = columns.p ?? columns.p_value;
  if (p && columns.pos) made.push(manhattan(columns, p), qq(p));
  if (p && (columns.beta ?? columns.effect)) made.push(volcano(columns.beta ?? columns.effect, p));
  const af = columns.af ?? columns.AF;
  if (af && columns.stratum && new Set(columns.stratum).size >= 2) made.push(compared(columns.stratum, af));
  if (af) made.push(spectrum(af));
  const count = columns.count ?? columns.n;
  if (!af && !p && count && (columns.bin ?? columns.lower ?? columns.low)) made.push(histogram(columns.bin ?? columns.lower ?? columns.low, count));
  return made;
}

function frame(title, x, y, [x0, x1], [y0, y1]) {
  const sx = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (W - LEFT - 16);
  const sy = (v) => H - BOTTOM - ((v - y0) / (y1 - y0 || 1)) * (H - BOTTOM - TOP);
  const text = (at, value, more = {}) => svg("text", { x: at[0], y: at[1], "text-anchor": "middle", ...more }, document.createTextNode(value));
  const root = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${title}. ${x} against ${y}.`, xmlns: "http://www.w3.org/2000/svg" },
    text([W / 2, 18], title, { class: "title" }), text([W / 2, H - 8], x), text([14, H / 2], y, { transform: `rotate(-90 14 ${H / 2})` }));
  for (const v of ticks(y0, y1)) {
    root.append(svg("line", { class: "grid", x1: LEFT, x2: W - 16, y1: sy(v), y2: sy(v) }), text([LEFT - 8, sy(v) + 4], short(v), { "text-anchor": "end" }));
  }
  for (const v of ticks(x0, x1)) root.append(text([sx(v), H - BOTTOM + 18], short(v)));
  root.append(svg("path", { class: "axis", d: `M${LEFT},${TOP}V${H - BOTTOM}H${W - 16}` }));
  return { root, sx, sy };
}

export function ticks(low, high) {
  const span = high - low || 1;
  const rough = span / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) found.push(v);
  return found;
}

const short = (v) => (Math.abs(v) >= 1e6 ? `${+(v / 1e6).toFixed(2)} M` : String(+v.toPrecision(4)));
const bounds = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
const scored = (p) => (p === null || !(p > 0) ? null : -Math.log10(p));

function dots({ root, sx, sy }, pairs, r = 2.6) {
  for (const [x, y] of pairs) root.append(svg("circle", { class: "dot", cx: sx(x).toFixed(1), cy: sy(y).toFixed(1), r }));
  return root;
}

function line({ root, sx, sy }, [x0, y0], [x1, y1]) {
  root.append(svg("line", { class: "line", x1: sx(x0), y1: sy(y0), x2: sx(x1), y2: sy(y1) }));
}

function manhattan(columns, p) {
  const pairs = columns.pos.map((x, i) => [x, scored(p[i])]).filter(([, y]) => y !== null);
  const top = Math.max(8, ...pairs.map(([, y]) => y)) * 1.05;
  const range = bounds(pairs.map(([x]) => x));
  const made = frame("Association along the chromosome", "Position", "\u2212log10 p", range, [0, top]);
  line(made, [range[0], -Math.log10(GENOME_WIDE)], [range[1], -Math.log10(GENOME_WIDE)]);
  return { name: "manhattan", root: dots(made, pairs) };
}

function qq(p) {
  const seen = p.map(scored).filter((y) => y !== null).sort((a, b) => b - a);
  const pairs = seen.map((y, i) => [-Math.log10((i + 0.5) / seen.length), y]);
  const top = Math.max(1, ...pairs.flat()) * 1.05;
  const made = frame("Observed against expected p", "Expected \u2212log10 p", "Observed \u2212log10 p", [0, top], [0, top]);
  line(made, [0, 0], [top, top]);
  return { name: "qq", root: dots(made, pairs) };
}

function volcano(effect, p) {
  const pairs = effect.map((x, i) => [x, scored(p[i])]).filter(([x, y]) => x !== null && y !== null);
  const most = Math.max(1e-9, ...pairs.map(([x]) => Math.abs(x))) * 1.05;
  const made = frame("Effect and evidence", "Effect (beta)", "\u2212log10 p", [-most, most], [0, Math.max(2, ...pairs.map(([, y]) => y)) * 1.05]);
  return { name: "volcano", root: dots(made, pairs) };
}

function compared(strata, af) {
  const [first, second] = [...new Set(strata)];
  const of = (name) => af.filter((_, i) => strata[i] === name);
  const other = of(second);
  const pairs = of(first).map((x, i) => [x, other[i]]).filter(([x, y]) => x !== null && y !== null && y !== undefined);
  const made = frame(`Allele frequencies: ${first} and ${second}`, first, second, [0, 1], [0, 1]);
  line(made, [0, 0], [1, 1]);
  return { name: "frequencies", root: dots(made, pairs) };
}

function spectrum(af) {
  const bins = new Array(20).fill(0);
  for (const v of af) if (v !== null) bins[Math.min(19, Math.max(0, Math.floor(v * 20)))] += 1;
  return bars("Allele frequency spectrum", "Allele frequency", "Variants", bins.map((n, i) => [i / 20, (i + 1) / 20, n]), "spectrum");
}

function histogram(lows, counts) {
  const width = lows.length > 1 ? lows[1] - lows[0] : 1;
  return bars("Distribution", "Value", "People", lows.map((v, i) => [v, v + width, counts[i] ?? 0]), "distribution");
}

function bars(title, x, y, rows, name) {
  const made = frame(title, x, y, [rows[0][0], rows.at(-1)[1]], [0, Math.max(1, ...rows.map((r) => r[2])) * 1.05]);
  for (const [from, to, n] of rows) {
    const top = made.sy(Math.max(0, n));
    made.root.append(svg("rect", { class: "bar", x: made.sx(from) + 1, width: Math.max(1, made.sx(to) - made.sx(from) - 2), y: top, height: H - BOTTOM - top }));
  }
  return { name, root: made.root };
}

// Colours as text inside the file, so that it looks the same elsewhere.
export function standalone(root) {
  const copy = root.cloneNode(true);
  const paint = { dot: ["fill", "#0d5f58"], bar: ["fill", "#0d5f58"], grid: ["stroke", "#dcd9ce"], axis: ["stroke", "#868d86"], line: ["stroke", "#84500a"] };
  for (const [name, [key, value]] of Object.entries(paint)) {
    for (const element of copy.querySelectorAll(`.${name}`)) element.setAttribute(key, value);
  }
  for (const element of copy.querySelectorAll(".axis, .line")) element.setAttribute("fill", "none");
  copy.setAttribute("font-family", "sans-serif");
  copy.setAttribute("font-size", "12");
  return new XMLSerializer().serializeToString(copy);
}
