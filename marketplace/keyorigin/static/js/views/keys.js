// My keys: what there is, ways in, and taking it elsewhere.

import { config } from "../config.js";
import { action, facts, h, save, secretField, show } from "../dom.js";
import { standing } from "../owner.js";
import { addConsentKey, addSignInKey, exported } from "../party.js";
import { newCode, underWay } from "../recovery.js";
import { formatCode } from "../vault.js";
import { paper } from "./start.js";

const WAYS = { prf: "a passkey", code: "the printed code", passphrase: "a passphrase" };

export async function overview({ home }) {
  const { role } = home.identity;
  const datasets = home.list("datasets").filter((one) => !one.erased && !one.replaced_by);
  show(
    h("header.page", {}, h("p.eyebrow", {}, "Your keys"), h("h1", {}, "Unlocked on this device")),
    h("div.actions", {}, role === "owner" ? h("a.button", { href: "#/share" }, "Share data") : null, toMarket(home),
      role === "owner" && datasets.length ? h("a.button.quiet", { href: "#/passport" }, "Share with a professional") : null,
      role === "owner" && datasets.length ? h("a.button.quiet", { href: "#/uses" }, "Every use of my data") : null,
      role === "researcher" ? h("a.button.quiet", { href: "#/shared" }, "Open a co-author's answer") : null),
    underWay(home) ? h("p.note", {}, "You asked for this account back. ", h("a", { href: "#/recovery" }, "See from when on it is yours"), ".") : null,
    home.level ? null : h("p.note", {}, "The market did not answer, so its locked copy of your keys is older than what is here. The next visit sends it; until then do not lose this device."),
    role === "owner" ? files(home, datasets) : null,
    h("div.two", {},
      h("section", {}, h("h2", {}, "Ways in"),
        h("ul", { id: "ways" }, home.vault.wraps.map((one) => h("li", {}, WAYS[one.kind]))),
        h("p.muted", {}, "A passkey on another device, or on a security key you plug in, opens your keys when this device is lost."),
        action("Add a passkey", async () => added(home), { quiet: true, busy: "Follow your device…" }),
        h("p.muted", {}, "The market's pages are signed in to with a passkey of its own, which can consent to nothing."),
        action("Make a passkey to sign in with", async () => signInKey(home), { quiet: true, busy: "Follow your device…" }),
        h("p.muted", {}, "A new code ends the one you have: make it when somebody may have seen that."),
        action("Make a new printed code", async () => paper(formatCode(await newCode(home)), "#/", home.party), { quiet: true })),
      h("section", {}, h("h2", {}, "Take it elsewhere"), exporter(home))),
    h("section", {}, h("h2", {}, "Who you are on the ledger"),
      facts([["Your number", h("code.whole", {}, home.party)], ["Role", role], ["Passkeys that sign", String(home.passkeys.length)], ["Receipts kept", String(home.list("receipts").length)]])),
  );
}

async function signInKey(home) {
  await addSignInKey(home);
  await overview({ home });
  tell("Made. It signs you in on the market's pages from this device.");
}

const tell = (said) => document.getElementById("ways").after(h("p.note", { role: "status" }, said));

async function added(home) {
  const opens = await addConsentKey(home, { elsewhere: true });
  await overview({ home });
  tell(opens ? "Added. It signs for you, and opens your keys in any browser." : "Added. It signs for you, but that device cannot open keys with it: keep your printed code or passphrase too.");
}

function files(home, datasets) {
  return h("section", { "aria-labelledby": "files" }, h("h2", { id: "files" }, "Your files"),
    datasets.length ? h("ul.consents", {}, datasets.map((one) => card(home, one)))
      : h("p", {}, "There is none yet. ", h("a", { href: "#/share" }, "Choose a file"), ": you see what is in it, and decide who may compute on it, before anything leaves this device."));
}

const STATES = { live: ["good", "Consent in force"], paused: ["wait", "Consent paused"], none: ["calm", "Used by nobody"] };

// One file: what it may be used for now, and every step from there.
function card(home, { dataset, name, index, summary }) {
  const mine = home.list("grants").filter((one) => one.dataset === dataset);
  const given = standing(home, dataset);
  const [tone, said] = STATES[given?.state ?? "none"];
  const link = (href, label) => h("a.button.quiet.small", { href }, label, h("span.sr", {}, ` ${name}`));
  const steps = {
    live: () => [link(`#/pause/${given.grant}`, "Pause"), link(`#/withdraw/${given.grant}`, "Withdraw")],
    paused: () => [link(`#/resume/${given.grant}`, "Resume"), link(`#/withdraw/${given.grant}`, "Withdraw")],
    none: () => [link(`#/consent/${dataset}`, mine.length ? "Consent again" : "Read the terms and consent")],
  }[given?.state ?? "none"]();
  const found = Object.entries(summary ?? {}).filter(([, value]) => ["string", "number"].includes(typeof value));
  return h("li.card", {}, h("div.head", {}, h("h3", {}, name), h(`span.state.${tone}`, {}, said)),
    h("div.actions", {}, ...steps, link(`#/terms/${dataset}`, "Change its terms"), link(`#/erase/${dataset}`, "Erase")),
    h("details", {}, h("summary", {}, "What is in it"),
      facts([...found.map(([what, value]) => [what.replaceAll("_", " "), String(value)]), ["Registered in", `ledger entry ${index}`]])));
}

export function toMarket(home, label = home.identity.role === "owner" ? "Go to my data" : "Go to my research") {
  return action(label, async () => {
    const { url } = await home.market.post("/session/link");
    if (!url.startsWith(`${(await config()).trust.marketplace_url}/`)) throw new Error("the market answered with a strange address");
    window.location.href = url;
  }, { quiet: true });
}

function exporter(home) {
  const phrase = secretField("Passphrase for the file", { id: "export-phrase", complete: "new-password", more: "12 characters or more", least: 12 });
  return h("div", {},
    h("p", {}, "One locked file with all your keys, consents and receipts. ", h("code", {}, "omic identity import FILE"), " reads it, and so does this page in another browser."),
    phrase.element,
    action("Download my keys", async () => {
      const { value } = phrase.input;
      if (value.length < 12) throw new Error(`choose 12 characters or more; these are ${value.length}`);
      save("omic-identity.json", "application/json", JSON.stringify(await exported(home, value)));
    }, { quiet: true }));
}
