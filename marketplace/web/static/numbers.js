// What plots reckon with: missing cells, quantiles, intervals, and numbers as a paper writes them.

export const Z = 1.959964;
const MEDIAN_CHI2 = 0.4549364;
const SMALLEST = Number.MIN_VALUE; // a p value that is stored as 0 is at most this

export const known = (v) => v !== null && v !== undefined;
export const bounds = (values) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
// -log10 of a p value; null where there is none.
export const scored = (p) => (!known(p) || !(p >= 0) ? null : -Math.log10(Math.max(p, SMALLEST)));
export const missing = (values) => values.filter((v) => !known(v)).length;

export const whole = (n) => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, ",");
export const short = (v) => (Math.abs(v) >= 1e6 ? `${+(v / 1e6).toFixed(2)} M` : String(+v.toPrecision(4)).replace("-", "−"));
export const rounded = (v, digits = 3) => String(+v.toPrecision(digits)).replace("-", "−");

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

// 0.012, or 1.4 × 10⁻⁶.
export function power(v) {
  if (v === 0) return "0";
  if (v >= 1e-3 && v < 1e4) return rounded(v, 2);
  const [digits, exponent] = v.toExponential(1).split("e");
  const raised = [...String(+exponent)].map((c) => RAISED[c]).join("");
  return digits === "1.0" ? `10${raised}` : `${digits.replace(/\.0$/, "")} × 10${raised}`;
}

export const pValue = (p) => (p > 0 ? `P = ${power(p)}` : `P < ${power(1e-300)}`);

// "n = 118" or "n = 110–118 people" of a column of counts; "" where none is told.
export function sample(counts) {
  const told = (counts ?? []).filter((n) => known(n) && n > 0);
  if (!told.length) return "";
  const [low, high] = bounds(told);
  return low === high ? `n = ${whole(low)}` : `n = ${whole(low)}–${whole(high)}`;
}

// Median of chi-squared over its expectation: 1 without inflation.
export function lambda(p) {
  const sorted = p.filter((v) => known(v) && v >= 0).sort((a, b) => a - b);
  if (!sorted.length) return NaN;
  const middle = (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  return chi2(middle) / MEDIAN_CHI2;
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

// Wilson's interval of a proportion.
export function wilson(k, n) {
  const middle = (k + (Z * Z) / 2) / (n + Z * Z);
  const half = (Z / (n + Z * Z)) * Math.sqrt((k * (n - k)) / n + (Z * Z) / 4);
  return [middle - half, middle + half];
}

// A quantile of the k-th smallest of n uniform numbers: Beta(k, n + 1 - k), by bisection of its logarithm.
export function orderQuantile(share, k, n) {
  let [low, high] = [-745, 0];
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (betaBelow(Math.exp(middle), k, n + 1 - k) < share) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

// The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes 6.4).
function betaBelow(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaBelow(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let [c, d] = [1, 1 / (1 - ((a + b) * x) / (a + 1))];
  let made = d;
  for (let m = 1; m < 400; m += 1) {
    for (const by of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
      d = 1 / (1 + by * d);
      c = 1 + by / c;
      made *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-12) break;
  }
  return front * made;
}

// Stirling's series, from 10 on; below by recurrence.
function logGamma(x) {
  if (x < 10) return logGamma(x + 1) - Math.log(x);
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3) + 1 / (1260 * x ** 5);
}
