// Opening the vault: by passkey, passphrase or printed code; here, or on a new device.

import { action, h, show } from "../dom.js";
import * as homes from "../home.js";
import { addConsentKey, imported } from "../party.js";
import { prfSecret } from "../passkey.js";
import { parseCode } from "../vault.js";

const TITLES = [
  [/^#\/withdraw/, "Withdraw a consent"], [/^#\/erase/, "Erase a dataset"], [/^#\/answer/, "Open your answer"],
  [/^#\/order/, "Order"], [/^#\/cancel/, "Somebody asked for your account"], [/^#\/pause/, "Pause a consent"], [/^#\/resume/, "Resume a consent"],
  [/^#\/use/, "Uses of my data"], [/^#\/terms/, "Change your terms"],
];

// Shown instead of a view that needs keys; goes on to it once they are open.
export async function gate({ next, known }) {
  const verb = TITLES.find(([pattern]) => pattern.test(next))?.[1];
  const kinds = new Set(known.wraps.map((wrap) => wrap.kind));
  const go = () => {
    if (window.location.hash === next) window.dispatchEvent(new HashChangeEvent("hashchange"));
    else window.location.hash = next;
  };
  show(h("div.trouble", {},
    h("p.eyebrow", {}, verb ?? "Your keys"), h("h1", {}, verb ? "First, it is you" : "Unlock your keys"),
    h("p.lead", {}, "Your keys are kept locked in this browser."),
    kinds.has("prf") ? action("Unlock with my passkey", async () => { await homes.unlockWithPasskey(); go(); }) : null,
    kinds.has("passphrase") ? secretForm("Passphrase", "current-password", async (text) => { await homes.unlock(homes.passphrase(text)); go(); }) : null,
    h("details", {}, h("summary", {}, "I cannot use it now"),
      secretForm("Printed code", "off", async (text) => { await homes.unlock({ kind: "code", secret: parseCode(text) }); go(); })),
  ));
}

export async function unlock() {
  const known = await homes.known();
  if (known) await gate({ next: "#/", known });
  else window.location.hash = "#/start";
}

function secretForm(label, complete, act) {
  const id = `in-${label.replaceAll(" ", "-")}`;
  const input = h("input", { id, type: complete === "off" ? "text" : "password", autocomplete: complete, spellcheck: "false", autocapitalize: "characters" });
  return h("div", {}, h("p.field", {}, h("label", { for: id }, label), input), action(`Use my ${label.toLowerCase()}`, () => act(input.value), { quiet: true }));
}

export function recover() {
  show(h("div.trouble", {},
    h("h1", {}, "Bring your keys here"),
    h("p.lead", {}, "A locked copy of them is kept at the market. Your passkey or your printed code finds it and opens it; the market cannot."),
    h("h2", {}, "With a passkey"),
    action("Use a passkey I have", withPasskey),
    h("h2", {}, "With the printed code"),
    secretForm("Printed code", "off", async (text) => {
      const home = await homes.recover({ kind: "code", secret: parseCode(text) });
      await addConsentKey(home);
      window.location.hash = "#/";
    }),
    h("p.muted", {}, "A new passkey for this device is made along the way; the ledger binds it to you."),
    h("h2", {}, "Nothing of that works?"),
    h("p", {}, h("a", { href: "#/recovery" }, "Ask for your account back"), ": with your recovery key, and seven days in public."),
  ));
}

async function withPasskey() {
  const { secret } = await prfSecret();
  if (secret === null) throw new Error("this passkey cannot open keys; use the printed code");
  await homes.recover({ kind: "prf", secret });
  window.location.hash = "#/";
}

export function importFile() {
  const file = h("input", { id: "file", type: "file", accept: ".json" });
  const phrase = h("input", { id: "phrase", type: "password", autocomplete: "current-password" });
  show(h("div.trouble", {},
    h("h1", {}, "Import keys"),
    h("p.lead", {}, "From a file that ", h("code", {}, "omic identity export"), " or another browser wrote. Both go on as one identity."),
    h("p.field", {}, h("label", { for: "file" }, "The file"), file),
    h("p.field", {}, h("label", { for: "phrase" }, "Its passphrase"), phrase),
    action("Import", async () => {
      await imported(JSON.parse(await file.files[0].text()), phrase.value);
      window.location.hash = "#/";
    }),
  ));
}
