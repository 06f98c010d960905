// My keys: what there is, ways in, and taking it elsewhere.

import { config } from "../config.js";
import { action, facts, h, save, show } from "../dom.js";
import { addConsentKey, exported } from "../party.js";
import { newCode, underWay } from "../recovery.js";
import { formatCode } from "../vault.js";
import { paper } from "./start.js";

const WAYS = { prf: "a passkey", code: "the printed code", passphrase: "a passphrase" };

export async function overview({ home }) {
  const { role } = home.identity;
  const datasets = home.list("datasets").filter((one) => !one.erased);
  const waiting = datasets.filter((one) => !home.list("grants").some((g) => g.dataset === one.dataset && g.state !== "withdrawn"));
  show(
    h("header.page", {}, h("p.eyebrow", {}, "Your keys"), h("h1", {}, "Unlocked on this device")),
    h("div.actions", {}, role === "owner" ? h("a.button", { href: "#/share" }, "Share data") : null, toMarket(home),
      role === "owner" && datasets.length ? h("a.button.quiet", { href: "#/passport" }, "Share with a professional") : null,
      role === "owner" && datasets.length ? h("a.button.quiet", { href: "#/uses" }, "Every use of my data") : null,
      role === "researcher" ? h("a.button.quiet", { href: "#/shared" }, "Open a co-author's answer") : null),
    underWay(home) ? h("p.note", {}, "You asked for this account back. ", h("a", { href: "#/recovery" }, "See from when on it is yours"), ".") : null,
    waiting.length ? h("section.note", {}, h("h2", {}, "Waiting for your consent"),
      h("ul", {}, waiting.map((one) => h("li", {}, h("a", { href: `#/consent/${one.dataset}` }, one.name), ", registered, used by nobody yet")))) : null,
    datasets.length ? h("section", { "aria-labelledby": "files" }, h("h2", { id: "files" }, "Your files"), datasets.map(file)) : null,
    h("div.two", {},
      h("section", {}, h("h2", {}, "Ways in"),
        h("ul", {}, home.vault.wraps.map((one) => h("li", {}, WAYS[one.kind]))),
        action("Add a passkey", async () => { await addConsentKey(home); await overview({ home }); }, { quiet: true }),
        action("Make a new printed code", async () => paper(formatCode(await newCode(home)), "#/", home.party), { quiet: true })),
      h("section", {}, h("h2", {}, "Take it elsewhere"), exporter(home))),
    h("section", {}, h("h2", {}, "Who you are on the ledger"),
      facts([["Your number", h("code.whole", {}, home.party)], ["Role", role], ["Passkeys that sign", String(home.passkeys.length)], ["Receipts kept", String(home.list("receipts").length)]])),
  );
}

// What was found in a file when it was looked into here; only these keys know it.
function file({ dataset, name, index, summary }) {
  const found = Object.entries(summary ?? {}).filter(([, value]) => ["string", "number"].includes(typeof value));
  return h("details", {}, h("summary", {}, name), facts([...found.map(([what, value]) => [what.replaceAll("_", " "), String(value)]), ["Registered in", `ledger entry ${index}`]]),
    h("div.actions", {}, h("a.button.quiet.small", { href: `#/terms/${dataset}` }, "Change its terms"), h("a.button.quiet.small", { href: `#/erase/${dataset}` }, "Erase it")));
}

export function toMarket(home, label = home.identity.role === "owner" ? "Go to my data" : "Go to my research") {
  return action(label, async () => {
    const { url } = await home.market.post("/session/link");
    if (!url.startsWith(`${(await config()).trust.marketplace_url}/`)) throw new Error("the market answered with a strange address");
    window.location.href = url;
  }, { quiet: true });
}

function exporter(home) {
  const phrase = h("input", { id: "export-phrase", type: "password", autocomplete: "new-password", minlength: "12" });
  return h("div", {},
    h("p", {}, "One locked file with all your keys, consents and receipts. ", h("code", {}, "omic identity import FILE"), " reads it, and so does this page."),
    h("p.field", {}, h("label", { for: "export-phrase" }, "Passphrase for the file (12 characters or more)"), phrase),
    action("Download my keys", async () => {
      if (phrase.value.length < 12) throw new Error("choose 12 characters or more");
      save("omic-identity.json", "application/json", JSON.stringify(await exported(home, phrase.value)));
    }, { quiet: true }));
}
