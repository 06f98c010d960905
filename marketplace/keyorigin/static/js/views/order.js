// An order: the exact request and its binding price, signed by passkey, then paid.

import { fromUtf8, unb64url } from "../bytes.js";
import { words } from "../config.js";
import { action, facts, h, show } from "../dom.js";
import { conditionsOf } from "../match.js";
import { moneyFormat } from "../money.js";
import * as researcher from "../researcher.js";

export async function order({ home, query }) {
  if (home.identity.role !== "researcher") throw new Error("this identity shares data; make research keys to order");
  const asked = JSON.parse(fromUtf8(unb64url(query.get("request") ?? "")));
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Order"), h("h1", {}, "Asking for the price…")));
  const quote = await home.market.post("/quotes", asked);
  const [{ purposes, titles }, money] = [await words(), await moneyFormat()];
  const { purpose, query: question, scope, release } = quote.order_fields;
  const rows = quote.items.map((item) => h("tr", {}, h("th", { scope: "row" }, said(item)), h("td.num", {}, money(item.amount, quote.currency))));
  show(h("div.narrow", {}, h("p.eyebrow", {}, "Order"), h("h1", {}, purpose.project || "Untitled project"),
    h("p.lead", {}, "Your passkey signs exactly this, and it becomes public: who asks, why, and what. The answer is encrypted to your key alone."),
    facts([
      ["Purpose", `${purposes[purpose.primary]}; ${purpose.commercial ? "for commercial use" : "not for commercial use"}`],
      ["Question", titles[question.family] ?? question.family], ...(question.build ? [["Genome build", question.build]] : []),
      ["Of whom", Object.entries(scope.facets ?? {}).map(([k, v]) => `${k} ${v.join(" or ")}`).join(", ") || "everybody who allows it"],
      ...(conditionsOf(question).length ? [["Counting only", `${conditionsOf(question).join("; ")}: judged inside the answer, after you pay for everybody in scope`]] : []),
      ["Answer", release.mode === "trusted" ? "Exact, after two reviewers" : `With noise, \u03c1 = ${release.rho}`],
      ["You promise", "to identify nobody"],
    ]),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Item"), h("th.num", { scope: "col" }, "Amount"))), h("tbody", {}, rows),
      h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "Total"), h("td.num", {}, money(quote.total, quote.currency))))),
    h("p.muted", {}, `The price holds until ${new Date(quote.valid_until).toLocaleTimeString("en-GB")}. Without an answer, all of it comes back.`),
    h("details", {}, h("summary", {}, "The request as it is signed"), h("pre.json", { tabindex: "0", role: "group", "aria-label": "Request as JSON" }, JSON.stringify(quote.order_fields, null, 1))),
    action("Order with my passkey", () => placed(home, quote), { busy: "Follow your device…" })));
}

function said(item) {
  if (item.kind === "data") return `${item.modality}: ${item.people_priced ?? item.people} people`;
  return item.kind === "compute" ? "Computing" : "Platform";
}

async function placed(home, quote) {
  const [id, money] = [await researcher.place(home, quote), await moneyFormat()];
  const { url } = await home.market.post(`/orders/${id}/checkout`);
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Ordered"), h("h1", {}, "Signed. Now pay"),
    h("p.lead", {}, "Nothing starts before the payment is on the ledger."),
    facts([["Order", h("code.whole", {}, id)]]),
    h("div.actions", {}, h("a.button", { href: url }, `Pay ${money(quote.total, quote.currency)}`))));
}
