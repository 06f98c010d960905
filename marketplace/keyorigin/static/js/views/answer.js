// The answer: fetched encrypted, opened and drawn here, checked against the ledger.

import { config, words } from "../config.js";
import { checkBundle, sameValue } from "../bundle.js";
import { action, alert, facts, h, plainError, save, show } from "../dom.js";
import { conditionsOf } from "../match.js";
import { plotsOf, png, standalone } from "../../plots.js";
import * as researcher from "../researcher.js";

const SHOWN = 50;
const PRINTED = "one column wide (88 mm); the PNG has 600 dots to an inch";

export async function answer({ home, rest: [order] }) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Answer"), h("h1", {}, "Opening it here…")));
  await reveal(order, await researcher.answer(home, order));
}

// An answer somebody shared, chosen from this device.
export async function shared({ home }) {
  const input = h("input", { id: "shared", type: "file", accept: ".c4gh" });
  const trouble = h("div", { role: "status" });
  input.addEventListener("change", async () => {
    try {
      const { order, found } = await researcher.openShared(home, new Uint8Array(await input.files[0].arrayBuffer()));
      await reveal(order, found);
    } catch (error) {
      trouble.replaceChildren(alert(plainError(error)));
    }
  });
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Shared with you"), h("h1", {}, "Open a co-author's answer"),
    h("p.lead", {}, "The file opens with your keys, here. Its proof is checked against the ledger as if you had ordered it yourself."),
    h("div.drop", {}, h("label", { for: "shared" }, "The file they sent (.c4gh)"), input), trouble,
    h("h2", {}, "Your key for it"), h("p", {}, "Give this to a co-author who wants to share with you. It only locks; it opens nothing."),
    h("p.code-sheet.small", { id: "answer-key" }, researcher.answerKey(home))));
}

// Nothing is shown, drawn or saved before its proof holds.
async function reveal(order, found) {
  const { document: doc } = found;
  const [{ trust }, { titles }] = [await config(), await words()];
  const asked = titles[doc.query?.family] ?? doc.query?.family ?? "";
  const verdict = h("div", { role: "status" }, h("p.muted", {}, "Checking it against the ledger…"));
  const head = h("header.page", {}, h("p.eyebrow", {}, "Answer"), h("h1", {}, asked));
  show(head, verdict);
  let proof;
  try {
    proof = await checked(order, found, trust);
  } catch (error) {
    verdict.replaceChildren(alert(`The proof does not hold: ${plainError(error)}. Do not use this answer.`));
    return;
  }
  head.append(h("p.lead", {}, `Decrypted in this browser. ${people(doc.n)}`));
  verdict.replaceChildren(h("div.note", {}, h("h2", {}, "It checks out"), facts(proof.lines)));
  verdict.after(...told(order, found, trust, asked, proof.published)); // nowhere, if somebody went on
}

function told(order, found, trust, asked, published) {
  const { document: doc } = found;
  const columns = doc.answer.columns ?? {};
  return [...drawings(doc),
    h("section", {}, h("h2", {}, "The numbers"), table(columns), downloads(order, found, columns)),
    sharing(order, found),
    h("div.two", {}, h("section", {}, h("h2", {}, "For your methods section"), h("p", { id: "methods" }, methods(doc, trust, asked))),
      h("section", {}, h("h2", {}, "To cite"), h("p", { id: "citation" }, ...citation(doc, trust, published)),
        h("h3", {}, "In a notebook"), h("p", {}, "With your keys in a home of the omic command, by ", h("a", { href: "#/" }, "Download my keys"), " and ", h("code", {}, "omic identity import FILE"), ":"),
        h("pre", { tabindex: "0", role: "group", "aria-label": "Python" }, notebook(order))))];
}

const OF = { match: ", those whom the match keeps", scope: " in scope; how many of them match, only the noised numbers tell" };
const people = (n) => (n?.bucket ? `People: ${n.bucket}${OF[n.of] ?? ""}.` : "");

// Is what is shown the very result the bundle proves? Anybody can encrypt a file to these keys.
async function checked(order, { document: shown, bundle }, trust) {
  const { bundle: proven, lines, published } = await checkBundle(trust, bundle);
  if (proven.order !== order || !sameValue(proven.result, shown)) throw new Error("it is the proof of another answer");
  return { lines, published };
}

function drawings({ answer: result, query }) {
  const made = plotsOf({ ...result, query });
  if (!made.length) return [];
  return [h("div.plots", {}, made.map(({ name, title, note, root }) => h("figure.plot", {}, root, h("figcaption", {}, note ? h("p", {}, note) : null,
    h("p.noprint", {}, h("button.plain", { type: "button", "aria-description": title, onclick: () => save(`${name}.svg`, "image/svg+xml", standalone(root, note)) }, "SVG"), " ",
      h("button.plain", { type: "button", "aria-description": title, onclick: async () => save(`${name}.png`, "image/png", await png(root, note)) }, "PNG"),
      h("span.muted", {}, ` ${PRINTED}`)))))),
  ];
}

const FIRST = ["stratum", "contig", "pos", "ref", "alt", "feature", "gene", "af", "ac", "an", "beta", "se", "p"];

// What a reader looks for first comes first; the files keep every column.
function ordered(columns) {
  const place = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return Object.keys(columns).sort((a, b) => place(a) - place(b));
}

function table(columns) {
  const names = ordered(columns);
  const count = columns[names[0]]?.length ?? 0;
  if (!count) return h("p", {}, "The answer holds no rows.");
  const cell = (v) => (v === null || v === undefined ? "\u2013" : typeof v === "number" ? String(+v.toPrecision(6)) : String(v));
  const rows = Array.from({ length: Math.min(SHOWN, count) }, (_, i) => h("tr", {}, names.map((name) => h("td", {}, cell(columns[name][i])))));
  return h("div", {}, h("div.scroll", { tabindex: "0", role: "group", "aria-label": "Rows of the answer" },
    h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name.replaceAll("_", " "))))), h("tbody", {}, rows))),
  count > SHOWN ? h("p.muted", {}, `${SHOWN} of ${count} rows are shown; the files hold all.`) : null);
}

function downloads(order, { text, bundle }, columns) {
  const name = order.slice(0, 8);
  const button = (label, file, type, data) => h("button.button.quiet.small", { type: "button", onclick: async () => save(file, type, await data()) }, label);
  return h("div.actions", {}, button("CSV", `${name}.csv`, "text/csv", () => researcher.csv(columns)),
    button("Parquet", `${name}.parquet`, "application/vnd.apache.parquet", () => researcher.parquet(columns)),
    button("JSON", `${name}.json`, "application/json", () => text), button("Proof bundle", `${name}.bundle.json`, "application/json", () => bundle));
}

function sharing(order, found) {
  const key = h("input", { id: "coauthor", type: "text", spellcheck: "false", autocomplete: "off", placeholder: "omic-answers:…" });
  return h("details", {}, h("summary", {}, "Share with a co-author"),
    h("p", {}, "Makes a file that only they can open, with the proof inside. Send it any way you like; the market sees nothing of it. Their key stands on their page ", h("em", {}, "Open a co-author's answer"), "."),
    h("p.field", {}, h("label", { for: "coauthor" }, "Your co-author's key"), key),
    action("Make the file", async () => {
      const data = await researcher.shareWith(researcher.parseAnswerKey(key.value), order, found);
      save(`${order.slice(0, 8)}.shared.c4gh`, "application/octet-stream", data);
    }, { quiet: true }));
}

function matched(query) {
  const conditions = conditionsOf(query);
  return conditions.length ? ` Only participants for whom all of this holds were counted (participants without such data were not): ${conditions.join("; ")}.` : "";
}

function methods(doc, trust, asked) {
  const { query, release } = doc;
  const exact = release.mode === "trusted" ? "Exact results were released after review by two accredited output reviewers; numbers that few participants determine, and those that would give them away, were withheld."
    : `Results carry calibrated discrete Gaussian noise (zero-concentrated differential privacy, \u03c1 = ${release.rho} for each participant).`;
  const code = [query.family, `version ${query.version ?? 1}`, query.build].filter(Boolean).join(", ");
  return `\u201c${asked}\u201d (${code}) was computed on consented, encrypted data of the Omic Market (${trust.origin}) without access to individual records.${sized(doc.n)}${matched(query)}${modelled(doc.answer.facts ?? {})} ${exact} The query (SHA-256 ${doc.query_digest}) ran as code with digest ${doc.code_digest}; every use was recorded in a witnessed transparency log before data was opened.`;
}

const sized = (n) => (n?.bucket ? ` Participants: ${n.bucket}${OF[n.of] ?? ""}.` : "");

// What was fitted, where the answer says it.
function modelled({ model, test, effect_allele: allele }) {
  return [model && ` Terms of the model: ${model.join(", ")}.`, test && ` Test: ${test}.`, allele && ` Effect allele: ${allele.toUpperCase()}.`].filter(Boolean).join("");
}

// The entry that commits to this very answer, where anybody can look it up.
function citation(doc, trust, { index, payload }) {
  const year = Number.isFinite(payload.time) ? ` (${new Date(payload.time).getUTCFullYear()})` : "";
  const place = `${trust.marketplace_url}/ledger/${index}`;
  return [`Omic Market${year}. Result of order ${doc.order}, query ${doc.query_digest.slice(0, 16)}. Ledger ${trust.origin}, entry ${index}: `, h("a", { href: place }, place), ". Verifiable with the accompanying proof bundle."];
}

const notebook = (order) => `from marketplace.client import Market\n\nmarket = Market.open()\ntable = market.answer("${order}").to_pandas()`;

