// Terms: presets to start from, and every word of them said back plainly. What is said here is made
// from the terms that are signed, with compute's own words; compute.describe says the same (tests).

import { hex, sha256 } from "./bytes.js";
import { canonical } from "./canonical.js";
import { words } from "./config.js";
import { amountWords } from "./money.js";

const DISEASE_SPECIFIC = "DUO:0000007";

export const sha256OfTerms = async (terms) => hex(await sha256(canonical(terms)));

// A preset with the owner's choices. price: minor units (everything_at_a_price only).
export async function fromPreset(name, { now, diseases = [], price = 0, mode = "private", until = null }) {
  const { presets, price_classes: classes } = await words();
  const terms = structuredClone(presets[name].terms);
  terms.valid_from = now;
  terms.valid_until = until;
  terms.release.mode = mode;
  if (name === "my_condition_free") terms.diseases = diseases;
  if (name === "everything_at_a_price") terms.prices = Object.fromEntries(classes.map((kind) => [kind, price]));
  return terms;
}

export async function describe(terms) {
  const known = await words();
  const lines = terms.release.mode === "trusted" ? [known.trusted_warning] : [];
  lines.push(`You allow: ${terms.permissions.map((code) => permission(code, terms, known)).join("; or ")}.`);
  for (const one of terms.modifiers) lines.push(modifier(one, known));
  return [...lines, ...flags(terms.flags), ...prices(terms, known), ...limits(terms, known)];
}

function permission(code, terms, known) {
  if (code !== DISEASE_SPECIFIC) return known.duo[code];
  return `research on ${terms.diseases.map((d) => known.diseases[d] ?? d).join(", ")}`;
}

function modifier(one, known) {
  const [value] = Object.values(one.parameters);
  if (value === undefined && known.asking.includes(one.id)) return `Condition: ${known.duo[one.id]}. You are asked each time.`;
  if (value === undefined) return `Condition: ${known.duo[one.id]}.`;
  return `Condition: ${known.duo[one.id]} (${Array.isArray(value) ? value.join(", ") : value}).`;
}

function flags(given) {
  return [
    ...(given.no_insurers ? ["Never for insurers."] : []),
    ...(given.no_employers ? ["Never for employers."] : []),
    given.no_ai_training ? "Training AI models: never." : "Training AI models: allowed.",
    "Nobody may try to find out who you are.",
  ];
}

function prices(terms, known) {
  return known.price_classes.map((kind) => {
    const price = terms.prices[kind] ?? "never";
    const plain = kind.replaceAll("_", " ");
    if (price === "never") return `Price for ${plain}: never.`;
    if (price === 0) return `Price for ${plain}: free.`;
    return `Price for ${plain}: ${amountWords(price, terms.currency, known)} a use.`;
  });
}

function risk(release, known) {
  return known.risk[release.lifetime_rho] ?? "Its risk cannot be said here; see omic consent list.";
}

function limits(terms, known) {
  const [families, regions, { release }] = [terms.query_families.join(", "), terms.regions.join(", "), terms];
  return [
    families === "*" ? "Any approved query." : `Only these queries: ${families}.`,
    regions === "*" ? "Computed anywhere." : `Computed only in: ${regions}.`,
    ...(release.mode === "trusted" ? [`At most ${release.exact_statistics} exact figures may ever count you.`] : []),
    ...(release.mode === "private" ? ["Every answer has noise added, which bounds what it can show of you.", risk(release, known)] : []),
    `Privacy budget for your lifetime: ${release.lifetime_rho}, of which one order may use at most ${release.order_share}.`,
    terms.valid_until === null ? "Until you withdraw." : `Until ${new Date(terms.valid_until).toISOString().slice(0, 16).replace("T", " ")} UTC.`,
  ];
}
