// Other terms for data that is here already: chosen, read, and signed by one use of the passkey.

import { action, facts, h, list, plainError, show } from "../dom.js";
import * as owner from "../owner.js";
import { describe, fromPreset } from "../terms.js";
import { toMarket } from "./keys.js";
import { inPublic } from "./share.js";
import { termsForm } from "./termsform.js";

export async function change({ home, rest: [dataset] }) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record || record.erased) throw new Error("the keys in this browser know no such dataset");
  const given = owner.standing(home, dataset);
  const now = {
    terms: given?.terms ?? record.terms ?? await fromPreset("non_profit_research", { now: Date.now() }),
    facets: given?.facets ?? record.facets ?? {},
  };
  const exact = h("div.exact", { "aria-live": "polite" });
  let shown = null; // what is signed is what was shown last, and nothing else
  const form = await termsForm(now, async (read, readFacets) => {
    shown = null;
    try {
      const [terms, facets] = [read(), readFacets()];
      exact.replaceChildren(h("h2", {}, "You would consent to"), list([...await describe(terms), inPublic(facets)]));
      shown = { terms, facets };
    } catch (error) {
      exact.replaceChildren(h("p", {}, `Still to decide: ${plainError(error)}.`));
    }
  });
  const sign = async () => {
    if (shown === null) throw new Error("decide what is missing first");
    done(home, record, await owner.changeTerms(home, record, shown.terms, shown.facets));
  };
  show(h("div.narrow", {}, h("p.eyebrow", {}, record.name), h("h1", {}, given ? "Change your terms" : "Your terms"),
    h("p.lead", {}, given ? "They take the place of the consent you gave: it ends, and this one counts from the same moment." : "Nobody can compute on it until you consent."),
    form.element, exact,
    h("div.actions", {}, action("Consent to these terms with my passkey", sign, { busy: "Follow your device\u2026" }), h("a.button.quiet", { href: "#/" }, "Leave them as they are")),
    h("p.muted", {}, "What was answered before stays as it is. An order under way that these terms do not allow is answered without you.")));
}

function done(home, record, grant) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Done"), h("h1", {}, "Your new terms are in force"),
    h("p.lead", {}, `From now on ${record.name} can be computed on under these terms only.`),
    facts([["Your receipt", `ledger entry ${grant.index}, cosigned by the witnesses, checked here`]]),
    h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: `#/withdraw/${grant.grant}` }, "Withdraw"))));
  document.getElementById("main").focus();
}
