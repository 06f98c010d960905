// Every choice of the terms, for whoever wants more than a preset; the preview judges each change.

import { words } from "../config.js";
import { h } from "../dom.js";
import { Market } from "../market.js";

const PURPOSE_CODES = { "DUO:0000042": "Any research", "DUO:0000006": "Health and medical research", "DUO:0000011": "Ancestry and population origins", "DUO:0000004": "No restriction by purpose" };
const PRICES = { non_profit_research: "Non-profit research", commercial_research: "Commercial research", methods: "Developing methods", clinical_care: "Clinical care" };
const DAY = 86_400_000;

// -> {element, apply(terms), facets()}: apply writes the choices into terms that a preset made.
export async function adjuster() {
  const known = await words();
  const permissions = Object.entries(PURPOSE_CODES).filter(([code]) => known.duo[code]);
  const field = (label, control, more = "") => h("p.field", {}, h("label", { for: control.id }, label, more ? h("small", {}, ` ${more}`) : null), control);
  const select = (id, pairs) => h("select", { id }, pairs.map(([value, text]) => h("option", { value }, text)));
  const same = ["", "As the choice above"];
  const permission = select("adj-permission", [same, ...permissions]);
  const until = h("input", { id: "adj-until", type: "date", min: new Date(Date.now() + DAY).toISOString().slice(0, 10) });
  const budget = select("adj-budget", [same, ...Object.keys(known.risk).map((rho) => [rho, `\u03c1 = ${rho}`])]);
  const risk = h("figure.risk", { hidden: true });
  budget.addEventListener("change", () => picture(risk, known, budget.value));
  const share = select("adj-share", [same, ["1", "all of it"], ["1/2", "a half"], ["1/5", "a fifth"], ["1/10", "a tenth"], ["1/20", "a twentieth"]]);
  const family = select("adj-family", [same, ...known.families.map((name) => [name, known.titles[name]])]);
  const ai = select("adj-ai", [same, ["yes", "Never"], ["no", "Allowed"]]);
  const prices = known.price_classes.map((kind) => [kind, h("input", { id: `adj-price-${kind}`, type: "text", inputmode: "decimal", placeholder: "as above", size: "8" })]);
  const population = h("input", { id: "adj-population", type: "text", maxlength: "64", placeholder: "not published" });
  const sex = select("adj-sex", [["", "not published"], ["female", "female"], ["male", "male"]]);
  const element = h("details.adjust", {}, h("summary", {}, "Decide every detail yourself"),
    h("div.fields-row", {}, field("What it may be used for", permission), field("Until", until, "empty: until you withdraw"), field("Training AI models", ai),
      field("Privacy budget for your lifetime", budget), field("Of it, one order may use", share), field("Only this kind of question", family)),
    risk,
    h("fieldset.inner", {}, h("legend", {}, "Your price for each use, in pounds"), h("p.muted", {}, "A number, 0 for free, or never."),
      h("div.fields-row", {}, prices.map(([kind, input]) => field(PRICES[kind] ?? kind.replaceAll("_", " "), input)))),
    h("fieldset.inner", {}, h("legend", {}, "Say in public, so that you can be found"), h("p.muted", {}, "Researchers can count and choose by these. Leave them empty to say nothing."),
      h("div.fields-row", {}, field("Population", population), field("Sex", sex))));
  const apply = (terms) => {
    if (permission.value) terms.permissions = [permission.value];
    if (permission.value) terms.diseases = [];
    if (until.value) terms.valid_until = Date.parse(`${until.value}T23:59:59Z`);
    if (budget.value) terms.release.lifetime_rho = budget.value;
    if (share.value) terms.release.order_share = share.value;
    if (family.value) terms.query_families = [family.value];
    if (ai.value) terms.flags.no_ai_training = ai.value === "yes";
    for (const [kind, input] of prices) if (input.value.trim()) terms.prices[kind] = priceOf(input.value, kind);
    return terms;
  };
  const facets = () => Object.fromEntries([["population", population.value.trim()], ["sex", sex.value]].filter(([, value]) => value));
  return { element, apply, facets };
}

// What a budget risks, as the owner's page draws it; an image, so that no markup is parsed here.
function picture(figure, known, rho) {
  figure.hidden = !rho;
  if (!rho) return figure.replaceChildren();
  return figure.replaceChildren(h("img", { src: `data:image/svg+xml,${encodeURIComponent(known.risk_pictures[rho])}`, alt: "" }), h("figcaption", {}, known.risk[rho]));
}

function priceOf(text, kind) {
  const plain = text.trim().toLowerCase();
  if (plain === "never") return "never";
  const pounds = Number(plain.replace(/^\u00a3/, ""));
  if (!Number.isFinite(pounds) || pounds < 0 || pounds > 100_000) throw new Error(`the price for ${kind.replaceAll("_", " ")} must be a number of pounds, 0, or never`);
  return Math.round(pounds * 100);
}

// The matcher's verdict on real kinds of requests. The market is asked; the terms are no secret.
export async function judged(terms) {
  return (await Market.anonymous("/terms/would-allow", { method: "POST", json: { terms } })).examples;
}
