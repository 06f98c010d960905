// One order that waits for the owner: what the ledger says of it, and a yes for it alone.

import { words } from "../config.js";
import { action, facts, h, list, show } from "../dom.js";
import { publicEntry } from "../log.js";
import { conditionsOf } from "../match.js";
import * as owner from "../owner.js";
import { describe } from "../terms.js";
import { toMarket } from "./keys.js";
import { inPublic } from "./share.js";

export async function approve({ home, rest: [order, dataset] }) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record || record.erased) throw new Error("the keys in this browser know no such dataset; open it on the device where you shared it");
  const { approvals } = await home.market.call("/me/approvals");
  const asked = approvals.find((one) => one.order === order && one.dataset === dataset);
  if (!asked) throw new Error("this order does not wait for you: you answered it, or it ended");
  const standing = home.documents[`grants/${asked.grant}.json`];
  if (!standing) throw new Error("the keys in this browser do not hold the consent that says “ask me first”");
  // The market names the entry; what is asked is read from the ledger itself.
  const { entry } = await publicEntry(asked.index);
  if (entry.type !== "order.placed" || entry.payload.order !== order) throw new Error("the ledger shows another order there; do not consent");
  const { purposes, titles } = await words();
  const { purpose, query, release } = entry.payload;
  const who = asked.attested.organisation ? `${asked.attested.organisation}${asked.attested.sector ? `, ${asked.attested.sector.replaceAll("_", " ")}` : ""}` : "somebody nobody vouches for";
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Waiting for your yes"), h("h1", {}, purpose.project || "Untitled project"),
    facts([
      ["Who asks", who], ["Why", `${purposes[purpose.primary] ?? purpose.primary}; ${purpose.commercial ? "for commercial use" : "not for commercial use"}`],
      ["Question", titles[query.family] ?? query.family],
      ...(conditionsOf(query).length ? [["Counting only", conditionsOf(query).join("; ")]] : []),
      ["Answer", release.mode === "trusted" ? "exact, after two people reviewed it" : `with noise, \u03c1 = ${release.rho}`],
      ["Your data", record.name], ["Read from", `ledger entry ${asked.index}, checked here`],
      ["Why you are asked", asked.reasons.map((one) => one.text).join("; ")],
    ]),
    h("div.exact", {}, h("h2", {}, "You would consent, for this order alone, under your terms"), list([...await describe(standing.terms), inPublic(standing.facets ?? record.facets)])),
    h("div.actions", {},
      action("Yes, for this order, with my passkey", async () => yes(home, record, standing, order), { busy: "Follow your device\u2026" }),
      h("a.button.quiet", { href: "#/" }, "No, leave it")),
    h("p.muted", {}, "No needs nothing: an order without your yes is answered without you.")));
}

async function yes(home, record, standing, order) {
  const given = await owner.grant(home, { ...record, offer: standing.offer }, standing.terms, standing.facets ?? record.facets ?? {}, order);
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Done"), h("h1", {}, "You said yes to this order"),
    h("p.lead", {}, "It counts for this order alone. You see the use, and your share, like any other."),
    facts([["Your receipt", `ledger entry ${given.index}, cosigned by the witnesses, checked here`]]),
    h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: `#/withdraw/${given.grant}` }, "Take it back"))));
  document.getElementById("main").focus();
}
