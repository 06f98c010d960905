// Axes, marks and saving of the plots, as plain SVG; no plot knows anything of where it is shown.

const NS = "http://www.w3.org/2000/svg";
export const [W, H] = [640, 380];
const [LEFT, RIGHT, BOTTOM, TOP, ROW] = [64, 18, 50, 40, 16];
// Okabe and Ito's colours: told apart by everybody, also in print.
const SERIES = ["#0d5f58", "#b8590b", "#5a55a3", "#8f7a00", "#a33a5f", "#4d5956"];

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function ticks(low, high) {
  const rough = (high - low || 1) / 5;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step / 1e6; v += step) found.push(Math.abs(v) < step / 1e6 ? 0 : v);
  return found;
}

export const short = (v) => (Math.abs(v) >= 1e6 ? `${+(v / 1e6).toFixed(2)} M` : String(+v.toPrecision(4)));
export const bounds = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);

function padded([low, high]) {
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - room, high + room];
}

// xs, ys: [low, high], or names: string[] for a scale of named places. below: rows of text under
// the axis of x (see `row`).
export class Axes {
  constructor({ name, title, x, y, xs, ys, pad = false, below = 0, height = H + below * ROW }) {
    Object.assign(this, { name, height, base: height - BOTTOM - below * ROW });
    this.names = typeof xs[0] === "string" ? xs : null;
    this.rows = typeof ys[0] === "string" ? ys : null;
    const [x0, x1] = this.names ? [-0.5, xs.length - 0.5] : pad ? padded(xs) : xs;
    const [y0, y1] = this.rows ? [ys.length - 0.5, -0.5] : pad ? padded(ys) : ys;
    this.sx = (v) => LEFT + ((v - x0) / (x1 - x0 || 1)) * (W - LEFT - RIGHT);
    this.sy = (v) => this.base - ((v - y0) / (y1 - y0 || 1)) * (this.base - TOP);
    this.root = svg("svg", { class: "axes", viewBox: `0 0 ${W} ${height}`, role: "img", xmlns: NS, "aria-label": `${title}. ${y} against ${x}.` });
    this.text(W / 2, 20, title, { class: "title" });
    this.text((W + LEFT) / 2, this.base + 40, x);
    const middle = (this.base + TOP) / 2;
    this.text(16, middle, y, { transform: `rotate(-90 16 ${middle})` });
    this.grid(x0, x1, y0, y1);
  }

  grid(x0, x1, y0, y1) {
    const base = this.base;
    for (const v of this.rows ? this.rows.keys() : ticks(y0, y1)) {
      this.add("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: this.sy(v), y2: this.sy(v) });
      this.text(LEFT - 8, this.sy(v) + 4, this.rows ? clip(this.rows[v], 9) : short(v), { "text-anchor": "end" });
    }
    const every = this.names ? Math.ceil(this.names.length / 12) : 1;
    const places = this.names ? [...this.names.keys()].filter((i) => i % every === 0) : ticks(x0, x1);
    for (const v of places) this.text(this.sx(v), base + 18, this.names ? clip(this.names[v], Math.max(5, Math.floor(84 / this.names.length))) : short(v), this.names ? { class: "row" } : {});
    this.add("path", { class: "axis", d: `M${LEFT},${TOP}V${base}H${W - RIGHT}` });
  }

  add(tag, attributes, ...children) {
    const made = svg(tag, attributes, ...children);
    this.root.append(made);
    return made;
  }

  text(x, y, value, more = {}) {
    return this.add("text", { x, y, "text-anchor": "middle", ...more }, document.createTextNode(value));
  }

  dot(x, y, series = 0, r = 2.8) {
    this.add("circle", { class: `dot s${series % SERIES.length}`, cx: this.sx(x).toFixed(1), cy: this.sy(y).toFixed(1), r });
  }

  line([x0, y0], [x1, y1], kind = "line", series = null) {
    this.add("line", { class: series === null ? kind : `${kind} s${series % SERIES.length}`, x1: this.sx(x0), y1: this.sy(y0), x2: this.sx(x1), y2: this.sy(y1) });
  }

  path(points, kind = "curve", series = 0, close = "") {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${this.sx(x).toFixed(1)},${this.sy(y).toFixed(1)}`).join("");
    this.add("path", { class: `${kind} s${series % SERIES.length}`, d: d + close });
  }

  bar(x0, x1, y, series = 0) {
    const [left, right, top, base] = [this.sx(x0), this.sx(x1), this.sy(Math.max(0, y)), this.sy(0)];
    this.add("rect", { class: `bar s${series % SERIES.length}`, x: left + 1, width: Math.max(1, right - left - 2), y: top, height: Math.max(0, base - top) });
  }

  // A row of values under the axis of x, at most one a place that has room for it.
  row(at, name, values) {
    const y = this.base + BOTTOM + at * ROW;
    this.text(LEFT - 16, y, clip(name, 8), { class: "row", "text-anchor": "end" });
    let last = -Infinity;
    for (const [x, value] of values) {
      if (this.sx(x) - last < 34) continue;
      last = this.sx(x);
      this.text(last, y, value, { class: "row" });
    }
  }

  // A box from low to high with whiskers and a median, at place k of named places.
  box(k, [bottom, low, median, high, top], series = 0) {
    this.line([k, bottom], [k, top], "whisker", series);
    const [left, right] = [this.sx(k - 0.18), this.sx(k + 0.18)];
    this.add("rect", { class: `bar s${series % SERIES.length}`, x: left, width: right - left, y: this.sy(high), height: Math.max(1, this.sy(low) - this.sy(high)) });
    if (median !== null && median !== undefined) this.add("line", { class: "median", stroke: "#fff", "stroke-width": 2.5, x1: left, x2: right, y1: this.sy(median), y2: this.sy(median) });
  }

  legend(names) {
    if (names.length < 2) return;
    names.slice(0, SERIES.length).forEach((name, i) => {
      const y = TOP + 4 + i * 17;
      this.add("rect", { class: `bar s${i}`, x: W - RIGHT - 110, y: y - 9, width: 10, height: 10 });
      this.text(W - RIGHT - 94, y, clip(name, 16), { "text-anchor": "start" });
    });
  }
}

const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

const PAINT = { grid: { stroke: "#dcd9ce" }, axis: { stroke: "#868d86", fill: "none" }, line: { stroke: "#84500a", "stroke-dasharray": "5 4" }, curve: { fill: "none", "stroke-width": 2 }, whisker: { "stroke-width": 1.6 }, error: { stroke: "#1b2422", "stroke-width": 1.6 }, band: { "fill-opacity": 0.18, stroke: "none" } };

// Colours as attributes inside the file, so that it looks the same elsewhere.
export function standalone(root) {
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
  copy.setAttribute("font-family", "sans-serif");
  copy.setAttribute("font-size", "12");
  return new XMLSerializer().serializeToString(copy);
}

// -> Blob of a PNG, three pixels to a unit (about 300 dpi at a column's width).
export async function png(root, scale = 3) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([standalone(root)], { type: "image/svg+xml" }));
  await image.decode();
  const { width, height } = root.viewBox.baseVal;
  const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
}
