// Every use of this person's data as their own browser finds it, and one of them looked at closely.

import { config } from "../config.js";
import { facts, h, show } from "../dom.js";
import { findUses, useAt } from "../uses.js";
import { toMarket } from "./keys.js";
import { climbed, saying } from "./verify.js";

const moment = (ms) => new Date(ms).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
const named = (home, datasets) => datasets.map((id) => home.documents[`datasets/${id}.json`]?.name ?? id.slice(0, 8)).join(", ");
const ONCE = "Read once, checked and stored for the uses you allow";

export async function uses({ home }) {
  const bar = h("progress", { "aria-label": "Reading the ledger" });
  const said = h("p", { role: "status" }, "Reading the ledger\u2026");
  const list = h("div", {});
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Uses of my data"), h("h1", {}, "Every use, found by your own browser"),
    h("p.lead", {}, "It reads the public ledger itself, from your first consent on, and asks nobody. A use that somebody left out of a list would still be found here."),
    h("div.progress", {}, bar, said), list, h("div.actions", {}, toMarket(home))));
  const { uses: found, read } = await findUses(home, (done, all) => { [bar.max, bar.value] = [all, done]; });
  bar.hidden = true;
  said.textContent = `${read.toLocaleString("en-GB")} ledger entries read and proved here; ${found.length === 1 ? "1 use" : `${found.length} uses`} of your data found.`;
  const { trust } = await config();
  list.replaceChildren(found.length
    ? h("ol.timeline", {}, found.toReversed().map((one) => line(home, trust, one)))
    : h("div.empty", {}, h("h2", {}, "Not used yet"), h("p", {}, "Nothing on the ledger opened your data so far.")));
}

function line(home, trust, { index, time, order, project, datasets, files }) {
  const what = order ? h("a", { href: new URL(`/jobs/${order}`, trust.marketplace_url).href }, project || `Order ${order.slice(0, 8)}`) : ONCE;
  return h("li", {}, h("h2", {}, what),
    h("p", {}, named(home, datasets), order ? `, one of ${files} files in all` : ""),
    h("p.muted", {}, `${moment(time)}, ledger entry ${index}: `, h("a", { href: `#/use/${index}` }, "prove it")));
}

export async function use({ home, rest: [number] }) {
  const index = Number(number);
  if (!Number.isSafeInteger(index)) throw new Error("an entry has a whole number");
  const { use: mine, time, entry, ...proven } = await useAt(home, index);
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Uses of my data"),
    h("h1", {}, mine ? "Proved: your data was in it" : "Proved: your data was not in it"),
    h("p.lead", {}, mine
      ? `${named(home, mine.datasets)} was used. Only you and compute hold the mark that shows it, and your browser found it among the ${mine.files} of this use.`
      : "None of the consents these keys hold was opened for this use."),
    h("section.note", {}, h("p", {}, saying(entry.type, time, proven.checkpoint)),
      mine ? facts([["What for", mine.order ? `order ${mine.order.slice(0, 8)}` : ONCE], ["Ledger entry", String(index)]]) : null, climbed(index, proven)),
    h("div.actions", {}, h("a.button.quiet", { href: "#/uses" }, "Every use of my data"), toMarket(home))));
}
