// Opening the vault: by passkey, passphrase or printed code; here, or on a new device.

import { action, go, h, secretField, show } from "../dom.js";
import * as homes from "../home.js";
import { addConsentKey, imported } from "../party.js";
import { prfSecret } from "../passkey.js";
import { parseCode } from "../vault.js";

const TITLES = [
  [/^#\/withdraw/, "Withdraw a consent"], [/^#\/erase/, "Erase a dataset"], [/^#\/answer/, "Open your answer"],
  [/^#\/unshare/, "Stop sharing"], [/^#\/order/, "Order"], [/^#\/cancel/, "Somebody asked for your account"], [/^#\/pause/, "Pause a consent"], [/^#\/resume/, "Resume a consent"],
  [/^#\/use/, "Uses of my data"], [/^#\/terms/, "Change your terms"],
];

// Shown instead of a view that needs keys; goes on to it once they are open.
// anew: where somebody goes for whom these are not the right keys.
export async function gate({ next, known, anew = "#/start?anew" }) {
  const verb = TITLES.find(([pattern]) => pattern.test(next))?.[1];
  const kinds = new Set(known.wraps.map((wrap) => wrap.kind));
  const byPhrase = () => secretForm("passphrase", async (text) => { await homes.unlock(homes.passphrase(text)); go(next); });
  show(h("div.trouble", {},
    h("p.eyebrow", {}, verb ?? "Your keys"), h("h1", {}, verb ? "First, it is you" : "Unlock your keys"),
    h("p.lead", {}, "Your keys are kept locked in this browser."),
    kinds.has("prf") ? action("Unlock with my passkey", async () => { await homes.unlockWithPasskey(); go(next); }, { busy: "Follow your device…" }) : null,
    kinds.has("passphrase") && !kinds.has("prf") ? byPhrase() : null,
    h("details", {}, h("summary", {}, "I cannot use it now"),
      kinds.has("passphrase") && kinds.has("prf") ? byPhrase() : null,
      codeForm(async (secret) => { await homes.unlock({ kind: "code", secret }); go(next); }),
      h("p", {}, "None of it at hand? ", h("a", { href: "#/recover" }, "Bring your keys here from elsewhere"), ".")),
    h("details", {}, h("summary", {}, "These are not my keys"),
      h("p", {}, "Somebody else uses this browser too, or you want others for another purpose: ", h("a", { href: anew }, "make keys of your own"), " or ", h("a", { href: "#/recover" }, "bring yours here"), ". They take the place of these here; these stay locked at the market, for whoever has their passkey or printed code.")),
  ));
}

export async function unlock() {
  const known = await homes.known();
  if (known) await gate({ next: "#/", known });
  else window.location.hash = "#/start";
}

function secretForm(what, act) {
  const { element, input } = secretField("Passphrase", { id: "in-Passphrase", complete: "current-password" });
  return h("div", {}, element, action(`Use my ${what}`, () => act(input.value), { quiet: true }));
}

function codeForm(act) {
  const input = h("input", { id: "in-Printed-code", type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "characters" });
  return h("div", {}, h("p.field", {}, h("label", { for: input.id }, "Printed code"), input),
    action("Use my printed code", () => act(parseCode(input.value)), { quiet: true }));
}

export function recover() {
  show(h("div.trouble", {},
    h("h1", {}, "Bring your keys here"),
    h("p.lead", {}, "A locked copy of them is kept at the market. Your passkey or your printed code finds it and opens it; the market cannot."),
    h("h2", {}, "With a passkey"),
    action("Use a passkey I have", withPasskey),
    h("h2", {}, "With the printed code"),
    codeForm(async (secret) => {
      const home = await homes.recover({ kind: "code", secret });
      await addConsentKey(home);
      window.location.hash = "#/";
    }),
    h("p.muted", {}, "A new passkey for this device is made along the way; the ledger binds it to you."),
    h("h2", {}, "Nothing of that works?"),
    h("p", {}, h("a", { href: "#/recovery" }, "Ask for your account back"), ": with your recovery key, and seven days in public."),
  ));
}

async function withPasskey() {
  const { secret, credential } = await prfSecret();
  if (secret === null) throw new Error("this passkey signs, but cannot open keys; use the printed code");
  await homes.recover({ kind: "prf", secret });
  await homes.remember(credential);
  window.location.hash = "#/";
}

export function importFile() {
  const file = h("input", { id: "file", type: "file", accept: ".json" });
  const phrase = secretField("Its passphrase", { id: "phrase", complete: "current-password" });
  show(h("div.trouble", {},
    h("h1", {}, "Import keys"),
    h("p.lead", {}, "From a file that ", h("code", {}, "omic identity export"), " or another browser wrote. Both go on as one identity."),
    h("p.field", {}, h("label", { for: "file" }, "The file"), file),
    phrase.element,
    action("Import", async () => {
      await imported(await exportedIn(file.files[0]), phrase.input.value);
      window.location.hash = "#/";
    }, { busy: "Follow your device…" }),
  ));
}

async function exportedIn(file) {
  if (!file) throw new Error("choose the file first; it is called omic-identity.json unless you named it otherwise");
  try {
    const closed = JSON.parse(await file.text());
    if (closed.v >= 1 && Array.isArray(closed.wraps) && typeof closed.box === "string") return closed;
  } catch {
    // said below
  }
  throw new Error(`${file.name} holds no keys. Choose the file that "Download my keys" or "omic identity export" wrote`);
}
