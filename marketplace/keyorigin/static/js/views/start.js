// Making keys: passkeys, the printed code, and a first word about what happens.

import { available } from "../passkey.js";
import { action, alert, go, h, secretField, show } from "../dom.js";
import * as homes from "../home.js";
import { enrol, finish, NeedsPassphrase } from "../party.js";
import { gate } from "./unlock.js";

const TEXTS = {
  owner: ["Make your keys", "They are made here, on your device, and never leave it unlocked. A passkey (your fingerprint, face or PIN) opens them; there is no password."],
  researcher: ["Make your research keys", "One key signs what you order, another opens the answers. Nobody else can read them, not even us."],
};
const LEAST = 12;

const roleFor = (next) => (/^#\/(order|answer)/.test(next) ? "researcher" : "owner");
const afterwards = (role, next = "") => (next.length > 2 ? next : role === "owner" ? "#/share" : "#/");

export async function start({ next = "", query = new URLSearchParams() }) {
  const role = query.get("role") ?? roleFor(next);
  if (homes.unlocked()) {
    window.location.hash = afterwards(role);
    return;
  }
  const known = await homes.known();
  if (known && !query.has("anew")) await gate({ next: afterwards(role, next), known, anew: `#/start?role=${role}&anew` });
  else offer(role, next, known);
}

function offer(role, next, known) {
  const [title, lead] = TEXTS[role] ?? TEXTS.owner;
  const step = h("p.muted", { role: "status" });
  const phrase = secretField("Passphrase", { id: "phrase", complete: "new-password", more: "12 characters or more; a few words nobody would guess", least: LEAST });
  phrase.element.hidden = true;
  show(h("div.trouble", {},
    h("p.eyebrow", {}, role === "owner" ? "Step 1 of 3" : "Step 1 of 2"), h("h1", {}, title), h("p.lead", {}, lead),
    available() ? null : alert("This browser has no passkeys. Use a newer browser, or the omic command."),
    known ? h("p.note", {}, "This browser holds keys already. The new ones take their place here; the old ones stay locked at the market, and their passkey or printed code brings them back.") : null,
    phrase.element,
    action("Make my keys", () => begin(role, next, { step, phrase }), { busy: "Follow your device…" }), step,
    h("h2", {}, "Have keys already?"),
    h("p", {}, "On another device, or on paper: ", h("a", { href: "#/recover" }, "bring them here"), ". From the ", h("code", {}, "omic"), " command: ", h("a", { href: "#/import" }, "import the file"), "."),
    h("details", {}, h("summary", {}, "What will my device ask me?"),
      h("p", {}, "Twice to make a passkey: one signs your consents and nothing else, the other signs you in and can consent to nothing. Say yes to both.")),
  ));
}

async function begin(role, next, { step, phrase }) {
  const asked = !phrase.element.hidden;
  if (asked && phrase.input.value.length < LEAST) throw new Error(`a passphrase has ${LEAST} characters or more; this one has ${phrase.input.value.length}`);
  try {
    const { home, code } = await enrol(role, { passphrase: asked ? phrase.input.value : null, onStep: (text) => { step.textContent = text; } });
    paper(code, afterwards(role, next), home.party);
  } catch (error) {
    if (error instanceof NeedsPassphrase) {
      phrase.element.hidden = false;
      phrase.input.focus();
    }
    throw error;
  } finally {
    step.textContent = "";
  }
}

// Enrolling was cut off by a reload: the keys are here, the rest is made now.
export async function goOn({ home, next }) {
  const step = h("p.muted", { role: "status" });
  const act = async () => {
    const code = await finish(home, (text) => { step.textContent = text; });
    paper(code, afterwards(home.identity.role, next), home.party);
  };
  show(h("div.trouble", {}, h("p.eyebrow", {}, "Almost there"), h("h1", {}, "Finish making your keys"),
    h("p.lead", {}, "Last time it stopped half way. Your keys are here; the passkey that signs you in and your printed code are still to make."),
    action("Finish", act, { busy: "Follow your device…" }), step));
}

// The printed code: shown once, on paper or nowhere.
export function paper(code, next, party) {
  show(h("div.trouble", {},
    h("p.eyebrow", {}, "Your keys"), h("h1", {}, "Keep this code on paper"),
    h("p.lead", {}, "If you lose this device, it brings your keys back. Whoever has it has your keys, so keep it as you keep a passport."),
    h("p.code-sheet", { id: "code" }, code),
    h("p.muted", {}, "And your number on the ledger, for the case that even the locked copy of your keys is lost: ", h("code.whole", { id: "number" }, party)),
    h("div.actions.noprint", {},
      h("a.button", { href: next, onclick: (event) => { event.preventDefault(); go(next); } }, "I have written it down"),
      h("button.button.quiet", { type: "button", onclick: () => window.print() }, "Print it")),
    h("p.muted.noprint", {}, "It is not stored anywhere. You can make a new one later, which ends this one."),
  ));
  document.getElementById("main").focus();
}
