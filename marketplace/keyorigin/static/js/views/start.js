// Making keys: passkeys, the printed code, and a first word about what happens.

import { available } from "../passkey.js";
import { action, alert, h, show } from "../dom.js";
import * as homes from "../home.js";
import { enrol, NeedsPassphrase } from "../party.js";

const TEXTS = {
  owner: ["Make your keys", "They are made here, on your device, and never leave it unlocked. A passkey (your fingerprint, face or PIN) opens them; there is no password."],
  researcher: ["Make your research keys", "One key signs what you order, another opens the answers. Nobody else can read them, not even us."],
};

export async function start({ next = "", query = new URLSearchParams() }) {
  const role = query.get("role") ?? (/^#\/(order|answer)/.test(next) ? "researcher" : "owner");
  if (homes.unlocked()) {
    window.location.hash = role === "owner" ? "#/share" : "#/";
    return;
  }
  const [title, lead] = TEXTS[role] ?? TEXTS.owner;
  const step = h("p.muted", { role: "status" });
  const phrase = h("div", { hidden: true });
  show(h("div.trouble", {},
    h("p.eyebrow", {}, role === "owner" ? "Step 1 of 3" : "Step 1 of 2"), h("h1", {}, title), h("p.lead", {}, lead),
    available() ? null : alert("This browser has no passkeys. Use a newer browser, or the omic command."),
    phrase,
    action("Make my keys", () => begin(role, next, { step, phrase }), { busy: "Follow your device…" }), step,
    h("h2", {}, "Have keys already?"),
    h("p", {}, "On another device, or on paper: ", h("a", { href: "#/recover" }, "bring them here"), ". From the ", h("code", {}, "omic"), " command: ", h("a", { href: "#/import" }, "import the file"), "."),
  ));
}

async function begin(role, next, { step, phrase }) {
  const passphrase = phrase.querySelector("input")?.value ?? null;
  if (!phrase.hidden && (passphrase ?? "").length < 12) throw new Error("a passphrase here has 12 characters or more");
  try {
    const { code } = await enrol(role, { passphrase, made: begin.made, onStep: (text) => { step.textContent = text; } });
    begin.made = null;
    paper(code, next.length > 2 ? next : role === "owner" ? "#/share" : "#/", homes.unlocked().party);
  } catch (error) {
    step.textContent = "";
    if (!(error instanceof NeedsPassphrase)) throw error;
    begin.made = error.passkey;
    phrase.replaceChildren(h("p.field", {}, h("label", { for: "phrase" }, "Passphrase"), h("input", { id: "phrase", type: "password", autocomplete: "new-password", minlength: "12" })));
    phrase.hidden = false;
    throw error;
  }
}

// The printed code: shown once, on paper or nowhere.
export function paper(code, next, party) {
  show(h("div.trouble", {},
    h("p.eyebrow", {}, "Your keys"), h("h1", {}, "Keep this code on paper"),
    h("p.lead", {}, "If you lose this device, it brings your keys back. Whoever has it has your keys, so keep it as you keep a passport."),
    h("p.code-sheet", { id: "code" }, code),
    h("p.muted", {}, "And your number on the ledger, for the case that even the locked copy of your keys is lost: ", h("code.whole", { id: "number" }, party)),
    h("div.actions.noprint", {},
      h("a.button", { href: next }, "I have written it down"),
      h("button.button.quiet", { type: "button", onclick: () => window.print() }, "Print it")),
    h("p.muted.noprint", {}, "It is not stored anywhere. You can make a new one later, which ends this one."),
  ));
}
