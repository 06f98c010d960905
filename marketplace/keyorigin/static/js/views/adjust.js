// Every choice of the terms, for whoever wants more than a preset. The controls always show the terms
// they were filled with, so that nothing is decided unseen; what they cannot show is kept as it was.

import { words } from "../config.js";
import { h } from "../dom.js";

const DISEASES = "DUO:0000007";
const USES = {
  "DUO:0000042": "Any research", "DUO:0000006": "Health and medical research",
  [DISEASES]: "Research on the conditions I choose", "DUO:0000011": "Ancestry and population origins",
  "DUO:0000004": "Any use at all",
};
const CARE = "DUO:0000043";
const [NON_PROFIT, NO_COMMERCE, BOTH] = ["DUO:0000045", "DUO:0000046", "DUO:0000018"];
// Named projects, none named: compute then leaves each order to the owner.
const ASK_ME = "DUO:0000027";
const CONDITIONS = {
  [ASK_ME]: "Ask me before each use", [NON_PROFIT]: "Only non-profit organisations", [NO_COMMERCE]: "No commercial use",
  "DUO:0000021": "Only with an ethics committee\u2019s approval", "DUO:0000015": "Not for developing software or methods",
  "DUO:0000044": "Not for the study of ancestry", "DUO:0000016": "Only studies that use genetic data",
  "DUO:0000019": "Results must be published", "DUO:0000029": "What is derived must be given back",
};
const FLAGS = { no_insurers: "Never for insurers", no_employers: "Never for employers", no_ai_training: "Never for training AI models" };
const PRICES = { non_profit_research: "Non-profit research", commercial_research: "Commercial research", methods: "Developing methods", clinical_care: "Clinical care" };
const SHARES = { 1: "all of it", "1/2": "a half", "1/5": "a fifth", "1/10": "a tenth", "1/20": "a twentieth" };
const HERE = "local";
const DAY = 86_400_000;
const ids = (name) => `adj-${name.replaceAll(/\W/g, "-")}`;

const field = (label, control, more = "") => h("p.field", {}, h("label", { for: control.id }, label, more ? h("small", {}, ` ${more}`) : null), control);
const group = (title, ...inside) => h("fieldset.inner", {}, h("legend", {}, title), ...inside);
const select = (name, pairs) => h("select", { id: ids(name) }, pairs.map(([value, text]) => h("option", { value }, text)));

// Ticks by code. -> {element, get: () => codes ticked, set(codes)}
function ticks(prefix, texts) {
  const boxes = Object.entries(texts).map(([code, text]) => [code, h("input", { type: "checkbox", id: ids(`${prefix}-${code}`) }), text]);
  return {
    element: h("div.ticklist", {}, boxes.map(([, box, text]) => h("p.check", {}, box, h("label", { for: box.id }, text)))),
    get: () => boxes.filter(([, box]) => box.checked).map(([code]) => code),
    set: (codes) => boxes.forEach(([code, box]) => { box.checked = codes.includes(code); }),
  };
}

// One kind of use: never, free, or a price. -> {element, get(terms) => minor units or "never", set(terms)}
function priced(kind, known) {
  const label = PRICES[kind] ?? kind.replaceAll("_", " ");
  const choice = select(`price-${kind}`, [["never", "Never"], ["free", "Free"], ["price", "At a price"]]);
  const amount = h("input", { id: ids(`amount-${kind}`), type: "number", min: "0", max: "100000", step: "any", inputmode: "decimal" });
  const said = field("Price of a use", amount);
  const unit = (terms) => 10 ** (known.decimals[terms.currency] ?? 2);
  const shown = () => { said.hidden = choice.value !== "price"; };
  choice.addEventListener("change", shown);
  return {
    element: h("div.priced", {}, field(label, choice), said),
    get: (terms) => {
      if (choice.value !== "price") return choice.value === "free" ? 0 : "never";
      const value = Number(amount.value);
      if (!(amount.value && value > 0 && value <= 100_000)) throw new Error(`say what a use costs for ${label.toLowerCase()}, or choose free or never`);
      return Math.round(value * unit(terms));
    },
    set: (terms) => {
      const price = terms.prices[kind] ?? "never";
      choice.value = price === "never" ? "never" : price === 0 ? "free" : "price";
      amount.value = price > 0 ? String(price / unit(terms)) : "";
      said.querySelector("label").textContent = `Price of a use, in ${terms.currency.toUpperCase()}`;
      shown();
    },
  };
}

// How much an answer may show: the budget of a lifetime with its picture, and how it is spent.
function budgeting(known) {
  const lifetime = select("budget", Object.keys(known.risk).map((rho) => [rho, `\u03c1 = ${rho}: right in ${known.right_of_100[rho]} of 100 guesses`]));
  const share = select("share", Object.entries(SHARES));
  const exact = h("input", { id: ids("exact"), type: "number", min: "0", max: String(10 ** 12), step: "1" });
  const [most, risk] = [field("Exact figures that may ever count you", exact), h("figure.risk")];
  const drawn = () => picture(risk, known, lifetime.value);
  lifetime.addEventListener("change", drawn);
  return {
    element: group("How much answers may show of you",
      h("p.muted", {}, "Could somebody who has your whole genome tell that you took part? 50 of 100 is guessing. The larger the budget, the more questions count you."),
      h("div.fields-row", {}, field("Privacy budget for your lifetime", lifetime), field("Of it, one order may use", share), most), risk),
    get: (release) => ({ ...release, lifetime_rho: lifetime.value, order_share: share.value, exact_statistics: release.mode === "trusted" ? whole(exact.value) : release.exact_statistics }),
    set: ({ release }) => {
      offer(lifetime, release.lifetime_rho);
      offer(share, release.order_share);
      exact.value = String(release.exact_statistics);
      most.hidden = release.mode !== "trusted";
      drawn();
    },
  };
}

// What was chosen elsewhere (by the omic command) and is none of the choices here stays choosable.
function offer(control, value) {
  if (![...control.options].some((one) => one.value === value)) control.append(h("option", { value }, value));
  control.value = value;
}

function whole(text) {
  if (!/^\d{1,13}$/.test(text)) throw new Error("say how many exact figures may ever count you, as a whole number");
  return Number(text);
}

// What a budget risks, as the owner's page draws it; an image, so that no markup is parsed here.
function picture(figure, known, rho) {
  const drawn = known.risk_pictures[rho];
  figure.hidden = !drawn;
  figure.replaceChildren(...(drawn ? [h("img", { src: `data:image/svg+xml,${encodeURIComponent(drawn)}`, alt: "" }), h("figcaption", {}, known.risk[rho])] : []));
}

// Any question, or those chosen. -> {element, get, set}
function questions(known) {
  const any = select("family", [["*", "Any approved question"], ["", "Only those I choose"]]);
  const list = ticks("family", known.titles);
  const shown = () => { list.element.hidden = any.value === "*"; };
  any.addEventListener("change", shown);
  return {
    element: group("Which questions", field("It may be asked", any), list.element),
    get: () => (any.value === "*" ? ["*"] : some(list.get(), "choose at least one kind of question")),
    set: ({ query_families: chosen }) => {
      any.value = chosen[0] === "*" ? "*" : "";
      list.set(chosen);
      shown();
    },
  };
}

function limits() {
  const until = h("input", { id: ids("until"), type: "date", min: new Date(Date.now() + DAY).toISOString().slice(0, 10) });
  const region = select("region", [["*", "Wherever this market computes"], [HERE, "Only where my file lies"]]);
  const day = (ms) => (ms === null ? "" : new Date(ms).toISOString().slice(0, 10));
  return {
    element: group("How long and where", h("div.fields-row", {}, field("Until", until, "empty: until you withdraw"), field("Computed", region))),
    get: (terms) => ({
      regions: region.value.split(","),
      valid_until: until.value === day(terms.valid_until) ? terms.valid_until : until.value ? Date.parse(`${until.value}T23:59:59Z`) : null,
    }),
    set: (terms) => {
      until.value = day(terms.valid_until);
      offer(region, terms.regions.join(","));
    },
  };
}

function some(chosen, otherwise) {
  if (!chosen.length) throw new Error(otherwise);
  return chosen;
}

const shownOf = ({ modifiers }) => modifiers.filter((one) => plain(one)).flatMap((one) => (one.id === BOTH ? [NON_PROFIT, NO_COMMERCE] : [one.id]));
const plain = ({ id, parameters }) => (id in CONDITIONS || [CARE, BOTH].includes(id)) && Object.keys(parameters).length === 0;

// Conditions as they are written: the two about profit have a code together.
function modifiersOf(terms, care, chosen) {
  const both = [NON_PROFIT, NO_COMMERCE].every((code) => chosen.includes(code));
  const codes = both ? [BOTH, ...chosen.filter((code) => ![NON_PROFIT, NO_COMMERCE].includes(code))] : chosen;
  return [...terms.modifiers.filter((one) => !plain(one)), ...[...codes, ...care].map((id) => ({ id, parameters: {} }))];
}

const ANY_DISEASE = "MONDO:0000001";
export const byLabel = (diseases) => Object.entries(diseases)
  .map(([id, label]) => [id, id === ANY_DISEASE ? "any disease" : label]).sort(([, a], [, b]) => a.localeCompare(b));

// -> {element, fill(terms), read(terms), facets(), say(facets)}: read writes the choices into terms.
export async function adjuster() {
  const known = await words();
  const [uses, care, conditions, flags] = [ticks("use", USES), ticks("care", { [CARE]: "Clinical care as well" }), ticks("only", CONDITIONS), ticks("flag", FLAGS)];
  const diseases = ticks("disease", Object.fromEntries(byLabel(known.diseases)));
  const which = group("Which conditions", diseases.element);
  const prices = known.price_classes.map((kind) => [kind, priced(kind, known)]);
  const [budget, asked, where] = [budgeting(known), questions(known), limits()];
  const population = h("input", { id: "adj-population", type: "text", maxlength: "64", placeholder: "not published" });
  const sex = select("sex", [["", "not published"], ["female", "female"], ["male", "male"]]);
  const shown = () => { which.hidden = !uses.get().includes(DISEASES); };
  uses.element.addEventListener("change", shown);
  const element = h("details.adjust", {}, h("summary", {}, "Decide every detail yourself"),
    group("What it may be used for", uses.element, care.element), which,
    group("Who, and on what condition", conditions.element, flags.element),
    group("Your price for each use", h("p.muted", {}, "For each kind of use; never means no."), prices.map(([, one]) => one.element)),
    asked.element, where.element, budget.element,
    group("Say in public, so that you can be found", h("p.muted", {}, "Researchers can count and choose by these. Leave them empty to say nothing."),
      h("div.fields-row", {}, field("Population", population), field("Sex", sex))));
  let others = {}; // facets that have no field here
  const parts = [...prices.map(([, one]) => one), budget, asked, where];
  return {
    element,
    fill: (terms) => {
      uses.set(terms.permissions);
      diseases.set(terms.diseases);
      care.set(shownOf(terms));
      conditions.set(shownOf(terms));
      flags.set(Object.keys(FLAGS).filter((name) => terms.flags[name]));
      for (const one of parts) one.set(terms);
      shown();
    },
    read: (terms) => {
      const permissions = some(uses.get(), "choose at least one use");
      return {
        ...terms, permissions,
        diseases: permissions.includes(DISEASES) ? some(diseases.get(), "choose at least one condition") : [],
        modifiers: modifiersOf(terms, care.get(), conditions.get()),
        flags: { ...terms.flags, ...Object.fromEntries(Object.keys(FLAGS).map((name) => [name, flags.get().includes(name)])) },
        prices: Object.fromEntries(prices.map(([kind, one]) => [kind, one.get(terms)])),
        query_families: asked.get(), release: budget.get(terms.release), ...where.get(terms),
      };
    },
    facets: () => Object.fromEntries([...Object.entries(others), ["population", population.value.trim()], ["sex", sex.value]].filter(([, value]) => value)),
    say: ({ population: where = "", sex: which = "", ...rest }) => { [population.value, sex.value, others] = [where, which, rest]; },
  };
}
