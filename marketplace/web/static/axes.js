// Axes, marks and saving of the plots, as plain SVG; no plot knows anything of where it is shown.
// A figure is made for a column of print, 88 mm wide: its smallest letters are then of 6.5 points.

import { bounds, known, short } from "./numbers.js";

export { bounds, short };

const NS = "http://www.w3.org/2000/svg";
export const [W, H] = [440, 310];
const [RIGHT, BOTTOM, ROW, LINE] = [14, 46, 15, 14];
const PRINTED_MM = 88;
const LETTER = 6.9; // the width of a letter of 13 units, roughly
const TEXT = 13;
// Told apart by everybody, also without colour vision of one kind (tests/marketplace/keyorigin/test_plots.py).
const SERIES = ["#0d5f58", "#d55e00", "#6a3fd0", "#1b2422", "#d0699f", "#6b3a0a"];
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2"]; // and by their lines, in print without colour

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function ticks(low, high, most = 5) {
  const rough = (high - low || 1) / most;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough * 0.999);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step / 1e6; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}

function padded([low, high]) {
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}

const wide = (text) => Math.max(...String(text).split("\n").map((line) => line.length)) * LETTER;

// Break a label at blanks so that no line is wider than its place; what is still too wide is cut.
function fitted(text, room) {
  const most = Math.max(3, Math.floor(room / LETTER));
  const lines = String(text).split("\n").flatMap((line) => {
    const made = [""];
    for (const word of line.split(" ")) {
      if (made.at(-1) && made.at(-1).length + word.length >= most) made.push(word);
      else made[made.length - 1] = made.at(-1) ? `${made.at(-1)} ${word}` : word;
    }
    return made;
  });
  return lines.slice(0, 3).map((line) => clip(line, most));
}

const plain = (values) => values.map((v) => [v, short(v)]);

// xs, ys: [low, high], or names: string[] for a scale of named places ("\n" begins a line). sub: the
// line under the title: who and how many. note: what a caption says. xticks, yticks: [[at, label]].
// below: rows of text under the axis of x (see `row`). series: names that get a legend above the marks.
export class Axes {
  constructor({ name, title, sub = "", note = "", x, y, xs, ys, xticks, yticks, pad = false, below = 0, series = [], height = H, grid = true }) {
    Object.assign(this, { name, title, note });
    this.names = typeof xs[0] === "string" ? xs : null;
    this.rows = typeof ys[0] === "string" ? ys : null;
    const [x0, x1] = this.names ? [-0.5, xs.length - 0.5] : pad ? padded(xs) : xs;
    const [y0, y1] = this.rows ? [ys.length - 0.5, -0.5] : pad ? padded(ys) : ys;
    const upright = this.rows ? this.rows.map((text, i) => [i, text]) : yticks ?? plain(ticks(y0, y1));
    this.left = Math.min(150, Math.max(below ? 76 : 54, 34 + Math.max(...upright.map(([, text]) => wide(text)))));
    this.top = (sub ? 50 : 34) + (series.length > 1 ? 16 : 0);
    const flat = this.names ? this.places() : xticks ?? plain(ticks(x0, x1));
    this.deep = Math.max(1, ...flat.map(([, text]) => (Array.isArray(text) ? text.length : 1)));
    this.height = height + below * ROW + (this.deep - 1) * LINE;
    this.base = this.height - BOTTOM - below * ROW - (this.deep - 1) * LINE;
    this.sx = (v) => this.left + ((v - x0) / (x1 - x0 || 1)) * (W - this.left - RIGHT);
    this.sy = (v) => this.base - ((v - y0) / (y1 - y0 || 1)) * (this.base - this.top);
    this.root = svg("svg", { class: "axes", viewBox: `0 0 ${W} ${this.height}`, role: "img", xmlns: NS, "aria-label": [`${title}.`, sub && `${sub}.`, y ? `${y} against ${x}.` : `${x}.`, note].filter(Boolean).join(" ") });
    this.text(W / 2, 18, clip(title, 52), { class: "title" });
    if (sub) this.text(W / 2, 36, clip(sub, 66), { class: "sub" });
    const under = clip(x, 60);
    this.text(Math.min((W - RIGHT + this.left) / 2, W - 4 - wide(under) / 2), this.base + 22 + this.deep * LINE, under);
    const middle = (this.base + this.top) / 2;
    if (y) this.text(14, middle, clip(y, Math.floor((this.base - this.top + 30) / LETTER)), { transform: `rotate(-90 14 ${middle})` });
    this.frame(flat, upright, grid);
  }

  // Labels of named places, on as many lines as their room asks, at most twelve of them.
  places() {
    const room = (W - this.left - RIGHT) / this.names.length;
    const every = Math.ceil(this.names.length / 12);
    return this.names.map((name, i) => [i, fitted(name, room * every - 6)]).filter(([i]) => i % every === 0);
  }

  frame(flat, upright, grid) {
    for (const [v, text] of upright) {
      if (grid) this.add("line", { class: "grid", x1: this.left, x2: W - RIGHT, y1: this.sy(v), y2: this.sy(v) });
      this.add("line", { class: "axis", x1: this.left - 4, x2: this.left, y1: this.sy(v), y2: this.sy(v) });
      this.text(this.left - 7, this.sy(v) + 4, clip(String(text), 17), { "text-anchor": "end", class: "row" });
    }
    let last = -Infinity;
    for (const [v, text] of flat) {
      const lines = Array.isArray(text) ? text : [text];
      if (!this.names) this.add("line", { class: "axis", x1: this.sx(v), x2: this.sx(v), y1: this.base, y2: this.base + 4 });
      const half = wide(lines.join("\n")) / 2;
      if (this.sx(v) - half < last + 3) continue; // no label over another
      last = this.sx(v) + half;
      lines.forEach((line, i) => this.text(this.sx(v), this.base + 17 + i * LINE, line, { class: "row" }));
    }
    this.add("path", { class: "axis", d: `M${this.left},${this.top}V${this.base}H${W - RIGHT}` });
  }

  add(tag, attributes, ...children) {
    const made = svg(tag, attributes, ...children);
    this.root.append(made);
    return made;
  }

  text(x, y, value, more = {}) {
    return this.add("text", { x, y, "text-anchor": "middle", ...more }, document.createTextNode(value));
  }

  // A level that decides something, with its name at the right end, above it.
  threshold(y, label) {
    const at = this.sy(y);
    this.add("line", { class: "line", x1: this.left, x2: W - RIGHT, y1: at, y2: at });
    this.text(W - RIGHT, at - 4, label, { class: "row over", "text-anchor": "end" });
  }

  dot(x, y, series = 0, r = 2.2) {
    this.add("circle", { class: `dot s${series % SERIES.length}`, cx: this.sx(x).toFixed(1), cy: this.sy(y).toFixed(1), r });
  }

  // One mark for those that coincide within a unit: a million look the same, and are drawn in a moment.
  dots(marks) {
    const seen = new Set();
    for (const [x, y, series = 0] of marks) {
      const cell = Math.round(this.sx(x)) * 4096 + Math.round(this.sy(y));
      if (!seen.has(cell)) this.dot(x, y, series);
      seen.add(cell);
    }
  }

  line([x0, y0], [x1, y1], kind = "line", series = null) {
    this.add("line", { class: series === null ? kind : `${kind} s${series % SERIES.length}`, x1: this.sx(x0), y1: this.sy(y0), x2: this.sx(x1), y2: this.sy(y1) });
  }

  path(points, kind = "curve", series = 0, close = "") {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${this.sx(x).toFixed(1)},${this.sy(y).toFixed(1)}`).join("");
    const dash = kind === "curve" && DASHES[series % DASHES.length] ? { "stroke-dasharray": DASHES[series % DASHES.length] } : {};
    this.add("path", { class: `${kind} s${series % SERIES.length}`, d: d + close, ...dash });
  }

  bar(x0, x1, y, series = 0) {
    const [left, right, top, base] = [this.sx(x0), this.sx(x1), this.sy(Math.max(0, y)), this.sy(0)];
    this.add("rect", { class: `bar s${series % SERIES.length}`, x: left + 1, width: Math.max(1, right - left - 2), y: top, height: Math.max(0, base - top) });
  }

  // Say at a place that its number was not let out, so that nobody takes it for a zero.
  hidden(x) {
    const at = this.sx(x);
    this.text(at + 4, this.base - 6, "hidden", { class: "row", "text-anchor": "start", transform: `rotate(-90 ${at + 4} ${this.base - 6})` });
  }

  // A row of values under the axis of x, at most one a place that has room for it.
  row(at, name, values) {
    const y = this.base + BOTTOM + (this.deep - 1) * LINE + at * ROW;
    this.text(this.left - 14, y, clip(name, 8), { class: "row", "text-anchor": "end" });
    let last = -Infinity;
    for (const [x, value] of values) {
      if (this.sx(x) - last < 32) continue;
      last = this.sx(x);
      this.text(last, y, value, { class: "row" });
    }
  }

  // A box from low to high with whiskers and a median, at place k of named places.
  box(k, [bottom, low, median, high, top], series = 0) {
    this.line([k, bottom], [k, top], "whisker", series);
    const [left, right] = [this.sx(k - 0.18), this.sx(k + 0.18)];
    this.add("rect", { class: `bar s${series % SERIES.length}`, x: left, width: right - left, y: this.sy(high), height: Math.max(1, this.sy(low) - this.sy(high)) });
    if (known(median)) this.add("line", { class: "median", stroke: "#fff", "stroke-width": 2.5, x1: left, x2: right, y1: this.sy(median), y2: this.sy(median) });
  }

  // Names of the series, in a row above the marks, for which `series` keeps the room.
  legend(names, curves = false) {
    if (names.length < 2) return;
    const told = names.slice(0, SERIES.length).map((name) => clip(name, 24));
    let x = Math.max(this.left, W - RIGHT - told.reduce((sum, name) => sum + wide(name) + 34, 0));
    told.forEach((name, i) => {
      if (curves) this.add("line", { class: `curve s${i}`, x1: x, x2: x + 22, y1: this.top - 6, y2: this.top - 6, ...(DASHES[i] ? { "stroke-dasharray": DASHES[i] } : {}) });
      else this.add("rect", { class: `bar s${i}`, x: x + 10, y: this.top - 11, width: 10, height: 10 });
      this.text(x + 26, this.top - 2, name, { class: "row", "text-anchor": "start" });
      x += wide(name) + 34;
    });
  }
}

export const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const PAINT = {
  grid: { stroke: "#dcd9ce" }, axis: { stroke: "#5a625c", fill: "none" }, line: { stroke: "#5a625c", "stroke-dasharray": "5 4" },
  curve: { fill: "none", "stroke-width": 2 }, whisker: { "stroke-width": 1.6 }, error: { stroke: "#1b2422", "stroke-width": 1.6 },
  band: { "fill-opacity": 0.18, stroke: "none" }, title: { "font-weight": 600, "font-size": 14 }, sub: { "font-size": 12.5 }, row: { "font-size": 12.5 }, over: { stroke: "#fff", "stroke-width": 3, "paint-order": "stroke" },
};

// Colours as attributes inside the file, so that it looks the same elsewhere; what its caption says, as text.
export function standalone(root, note = "") {
  const copy = root.cloneNode(true);
  for (const [name, paint] of Object.entries(PAINT)) {
    for (const element of copy.querySelectorAll(`.${name}`)) for (const [key, value] of Object.entries(paint)) element.setAttribute(key, value);
  }
  SERIES.forEach((colour, i) => {
    for (const element of copy.querySelectorAll(`.s${i}`)) {
      const kinds = element.classList;
      element.setAttribute(kinds.contains("curve") || kinds.contains("whisker") ? "stroke" : "fill", colour);
    }
  });
  const { width, height } = root.viewBox.baseVal;
  const more = { "font-family": "Helvetica, Arial, sans-serif", "font-size": TEXT, fill: "#1b2422", width: `${PRINTED_MM}mm`, height: `${((PRINTED_MM * height) / width).toFixed(2)}mm` };
  for (const [key, value] of Object.entries(more)) copy.setAttribute(key, value);
  if (note) copy.prepend(svg("desc", {}, document.createTextNode(note)));
  return new XMLSerializer().serializeToString(copy);
}

// -> Blob of a PNG with 600 dots to an inch at a column's width, and that said inside.
export async function png(root, note = "", dpi = 600) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([standalone(root, note)], { type: "image/svg+xml" }));
  await image.decode();
  const { width, height } = root.viewBox.baseVal;
  const scale = (PRINTED_MM / 25.4) * dpi / width;
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const made = await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  return withDensity(new Uint8Array(await made.arrayBuffer()), dpi);
}

const HEAD = 33; // a PNG's signature and first chunk; what says the density may follow (PNG 11.3.4.3)

function withDensity(file, dpi) {
  const chunk = new DataView(new ArrayBuffer(21));
  const metre = Math.round(dpi / 0.0254);
  [9, 0x70485973, metre, metre].forEach((value, i) => chunk.setUint32(4 * i, value));
  chunk.setUint8(16, 1);
  chunk.setUint32(17, crc32(new Uint8Array(chunk.buffer, 4, 13)));
  return new Blob([file.subarray(0, HEAD), chunk, file.subarray(HEAD)], { type: "image/png" });
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}
