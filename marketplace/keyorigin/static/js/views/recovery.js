// An account taken back when every way in is lost, and a recovery somebody else asked for cancelled.

import { action, facts, h, show } from "../dom.js";
import * as homes from "../home.js";
import { addSignInKey } from "../party.js";
import { createConsentKey } from "../passkey.js";
import * as recoveries from "../recovery.js";
import { formatCode } from "../vault.js";
import { toMarket } from "./keys.js";
import { paper } from "./start.js";
import { gate } from "./unlock.js";

const when = (ms) => new Date(ms).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
const receipt = (place) => facts([["Your receipt", `ledger entry ${place.index}, cosigned by the witnesses, checked here`]]);

function page(eyebrow, title, lead, ...more) {
  show(h("div.narrow", {}, h("p.eyebrow", {}, eyebrow), h("h1", {}, title), h("p.lead", {}, lead), ...more));
}

export async function recovery({ home }) {
  if (home) return waiting(home);
  const known = await homes.known();
  return known ? gate({ next: "#/recovery", known }) : ask();
}

function ask() {
  const file = h("input", { id: "recovery-file", type: "file", accept: ".json,.key,.txt" });
  const party = h("input", { id: "party", type: "text", autocomplete: "off", spellcheck: "false", maxlength: "40" });
  const code = h("input", { id: "recovery-code", type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "characters" });
  const phrase = h("input", { id: "recovery-phrase", type: "password", autocomplete: "new-password", minlength: "12" });
  const closer = h("p.field", { hidden: true }, h("label", { for: "recovery-phrase" }, "Passphrase", h("small", {}, " this passkey cannot keep keys by itself; 12 characters or more")), phrase);
  const field = (label, more, input) => h("p.field", {}, h("label", { for: input.id }, label, more ? h("small", {}, ` ${more}`) : null), input);
  const given = async () => (file.files[0] ? recoveries.keyInFile(await file.files[0].text()) : recoveries.keyInCode(party.value, code.value));
  let passkey = null;
  const run = async () => {
    const key = await given();
    passkey ??= await createConsentKey("recovered");
    closer.hidden = passkey.secret !== null;
    if (!closer.hidden && phrase.value.length < 12) throw new Error("choose a passphrase of 12 characters or more as well");
    await asked(key, passkey, closer.hidden ? null : phrase.value);
  };
  page("Lost everything else", "Ask for your account back", "For when no device, file or locked copy of your keys is left. It takes seven days, in public, so that nobody can do it behind your back.",
    h("p", {}, "Have your printed code? ", h("a", { href: "#/recover" }, "Try that first"), ": it brings everything back at once."),
    h("h2", {}, "With your printed code"), field("Your number on the ledger", "printed beside the code", party), field("Printed code", "", code),
    h("h2", {}, "Or with a recovery file"), field("The file", "omic account key made it", file), closer,
    action("Ask for my account", run, { busy: "Follow your device…" }),
    h("p.muted", {}, "What comes back: your account, your earnings, and the right to stop every use and to share anew. Files encrypted to the lost keys stay closed to everybody, you too."));
}

async function asked({ party, signer }, passkey, passphrase) {
  const { home, code } = await recoveries.freshHome(party, passkey, passphrase);
  await recoveries.request(home, signer, passkey, code); // refused: nothing was asked, so nothing is kept
  homes.adopt(home);
  await homes.remember(passkey.credential);
  paper(formatCode(code), "#/recovery?asked", party); // another address, so that the view is drawn anew
}

function waiting(home) {
  const asked = recoveries.underWay(home);
  if (!asked) return page("Your keys", "Your account is yours", "No recovery is under way from this browser.", h("p", {}, h("a", { href: "#/" }, "Back to your keys")));
  const end = async () => {
    const place = await recoveries.finish(home);
    await addSignInKey(home);
    await home.save({ must: true });
    page("Done", "Your account is back", "Your new keys count from now on.", receipt(place),
      h("div.actions", {}, toMarket(home), h("a.button.quiet", { href: "#/share" }, "Share data")));
    document.getElementById("main").focus();
  };
  return page("Asked for", "Your account comes back", `Your new keys count from ${when(asked.effective_at)} on. Until then whoever holds the old ones can cancel it.`,
    facts([["Asked in", `ledger entry ${asked.index}, cosigned by the witnesses, checked here`], ["Comes back", when(asked.effective_at)]]),
    h("p", {}, "Open this page on this device again when the time is over."),
    action("Take it back now", end, { quiet: asked.effective_at > Date.now(), busy: "Follow your device…" }));
}

// Somebody asked for this account: the person it belongs to says no.
export function cancel({ home, rest: [index] }) {
  const act = async () => {
    const place = await recoveries.cancel(home, Number(index));
    page("Done", "It is cancelled", "Nobody takes your account by that. Make a new printed code too: somebody may have the old one.", receipt(place),
      h("div.actions", {}, h("a.button", { href: "#/" }, "Back to your keys")));
    document.getElementById("main").focus();
  };
  page("Your account", "Somebody asked for your account", "With your printed code or recovery file, in the ledger entry below. If it was you, on another device, leave it. If not, cancel it now.",
    facts([["Asked in", `ledger entry ${index}`]]),
    h("div.actions", {}, action("It was not me: cancel it", act, { busy: "Cancelling…" }), h("a.button.quiet", { href: "#/" }, "It was me")));
}
