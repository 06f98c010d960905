// Terms on one form: a preset to start from, every detail for whoever wants it, and what they would
// allow, judged by compute's own matcher.

import { equal } from "../bytes.js";
import { canonical } from "../canonical.js";
import { words } from "../config.js";
import { h, plainError } from "../dom.js";
import { Market } from "../market.js";
import { fromPreset } from "../terms.js";
import { adjuster, byLabel } from "./adjust.js";

const PRESETS = {
  non_profit_research: ["Non-profit research, free", "Universities, hospitals and charities may compute on it for research. Companies may not."],
  my_condition_free: ["Research on my condition, free", "Only research on the conditions you name, by non-profit organisations."],
  everything_at_a_price: ["Everything, at a price", "Any approved use, also commercial. You are paid for each use. Insurers and employers never."],
};
const AS_NOW = "as_now";
const VERDICTS = { permitted: ["good", "Yes"], needs_owner: ["wait", "Asks you first"], forbidden: ["stop", "No"] };

// now: terms and facets to start from, for who changes them. changed: told after each choice, how to read terms and facets.
// -> {element, terms(), facets()}
export async function termsForm(now = null, changed = () => {}) {
  const detail = await adjuster();
  const start = await starting(now);
  const preview = h("div", { "aria-live": "polite" });
  let base = await start.terms();
  detail.fill(base);
  const terms = () => detail.read(base);
  let turn = 0;
  const redraw = async (refill) => {
    turn += 1;
    const mine = turn;
    if (refill) detail.fill(base = await start.terms());
    await changed(terms, detail.facets);
    try {
      const found = await wouldAllow(terms());
      if (mine === turn) preview.replaceChildren(table(found));
    } catch (error) {
      if (mine === turn) preview.replaceChildren(h("p.note", {}, `Still to decide: ${plainError(error)}.`));
    }
  };
  const element = h("section", { "aria-labelledby": "terms" }, h("h2", { id: "terms" }, "Who may compute on it?"), start.element, detail.element, preview);
  start.element.addEventListener("change", () => redraw(true));
  detail.element.addEventListener("change", () => redraw(false));
  detail.say(now?.facets ?? {});
  queueMicrotask(() => redraw(false));
  return { element, terms, facets: detail.facets };
}

// The choices of one screen: a preset and what it asks for.
async function starting(now) {
  const known = await words();
  const disease = h("select", { id: "disease" }, h("option", { value: "" }, "Choose your condition"),
    byLabel(known.diseases).map(([id, label]) => h("option", { value: id }, label)));
  const price = h("input", { id: "price", type: "number", min: "1", max: "100000", value: "2", step: "0.5" });
  const extras = {
    my_condition_free: h("p.field", {}, h("label", { for: "disease" }, "Your condition"), disease),
    everything_at_a_price: h("p.field", {}, h("label", { for: "price" }, "Price for each use, in pounds"), price),
  };
  const exact = h("input", { type: "checkbox", id: "exact", checked: now?.terms.release.mode === "trusted" });
  const offered = { ...(now ? { [AS_NOW]: ["As they are now", "Start from the terms you gave, and change what you like."] } : {}), ...PRESETS };
  const [first] = Object.keys(offered);
  const element = h("div", {},
    h("fieldset.choices", {}, h("legend.sr", {}, "Terms"), Object.entries(offered).map(([name, [title, text]]) => h("label.choice", {},
      h("input", { type: "radio", name: "preset", value: name, checked: name === first }), h("strong", {}, title), h("span", {}, text)))),
    ...Object.values(extras),
    h("p.check", {}, exact, h("label", { for: "exact" }, "Also allow exact figures, to accredited researchers, after two people reviewed them")));
  const chosen = () => element.querySelector("input[name=preset]:checked").value;
  const shown = () => { for (const [name, field] of Object.entries(extras)) field.hidden = chosen() !== name; };
  element.addEventListener("change", shown);
  shown();
  const mode = () => (exact.checked ? "trusted" : "private");
  const terms = async () => (chosen() === AS_NOW
    ? { ...now.terms, valid_from: Date.now(), release: { ...now.terms.release, mode: mode() } }
    : fromPreset(chosen(), { now: Date.now(), diseases: disease.value ? [disease.value] : [], price: Math.round(Number(price.value) * 100), mode: mode() }));
  return { element, terms };
}

// A preset's verdicts came with this page; of others the market is asked. The terms are no secret.
async function wouldAllow(terms) {
  const { presets } = await words();
  const same = (one) => equal(canonical({ ...one, valid_from: 0 }), canonical({ ...terms, valid_from: 0 }));
  for (const [name, { would_allow: known }] of Object.entries(presets)) {
    const diseases = name === "my_condition_free" ? ["MONDO:0005015"] : [];
    if (same(await fromPreset(name, { now: 0, diseases, price: 200, mode: terms.release.mode }))) return known[terms.release.mode];
  }
  return (await Market.anonymous("/terms/would-allow", { method: "POST", json: { terms } })).examples;
}

function table(examples) {
  const rows = examples.map(({ who, what, verdict, why, price }) => {
    const [tone, label] = VERDICTS[verdict];
    return h("tr", {}, h("th", { scope: "row" }, `${who} ${what}`, why ? h("small", {}, why) : null),
      h("td", {}, h(`span.state.${tone}`, {}, label), price ? h("small", {}, `pays ${price}`) : null));
  });
  return h("details", { open: true }, h("summary", {}, "What would this allow?"),
    h("table.would", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Somebody asks"), h("th", { scope: "col" }, "Allowed"))), h("tbody", {}, rows)));
}
