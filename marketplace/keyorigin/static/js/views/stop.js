// Taking back: withdraw, pause, resume, erase. One view, one button each. Two clicks from the page of my
// data: that link, and this button; where the keys are locked, the passkey opens them in the same step.

import { action, facts, h, show } from "../dom.js";
import * as homes from "../home.js";
import * as owner from "../owner.js";
import { toMarket } from "./keys.js";
import { gate } from "./unlock.js";

function find(home, id) {
  const grant = home.documents[`grants/${id}.json`];
  if (!grant) throw new Error("the keys in this browser know no such consent. Open it on the device where you gave it, or bring those keys here.");
  return [grant, home.documents[`datasets/${grant.dataset}.json`]];
}

function file(home, dataset) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record) throw new Error("the keys in this browser know no such dataset");
  return record;
}

function page(eyebrow, title, lead, ...more) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, eyebrow), h("h1", {}, title), h("p.lead", {}, lead), ...more));
}

function done(home, title, lead, place) {
  const receipt = place ? `ledger entry ${place.index}, cosigned by the witnesses, checked here`
    : "on its way: the ledger does not answer now. The market has what you signed and acts on it already; your next visit fetches the receipt";
  page("Done", title, lead, facts([["Your receipt", receipt]]), h("div.actions", {}, toMarket(home)));
  document.getElementById("main").focus();
}

// One question and one button. said: {eyebrow, title(name), lead, now, locked, keep, busy}; act(home) does it.
async function ask(home, name, said, act) {
  const known = await homes.known();
  if (!home && !known) return page(said.eyebrow, "Your keys are not in this browser", "Do it on the device where you made them, or bring your keys here with a passkey or your printed code.", h("div.actions", {}, h("a.button", { href: "#/recover" }, "Bring my keys here")));
  const otherwise = () => gate({ next: window.location.hash, known });
  if (!home && !homes.byPasskey(known)) return otherwise();
  const button = home ? said.now : said.locked;
  const run = async () => act(home ?? await homes.unlockWithPasskey());
  return page(said.eyebrow, said.title(name), said.lead, h("div.actions", {},
    action(button, run, { busy: said.busy }), home ? h("a.button.quiet", { href: "#/" }, said.keep) : h("button.button.quiet", { type: "button", onclick: otherwise }, "Another way to unlock")));
}

const WITHDRAW = {
  eyebrow: "Withdraw", title: (name) => (name ? `Withdraw your consent for ${name}?` : "Withdraw this consent?"),
  lead: "It takes effect at once: the key of this consent and what was derived with it are destroyed. Answers given before stay as they are.",
  now: "Withdraw now", locked: "Withdraw with my passkey", keep: "Keep it", busy: "Withdrawing\u2026",
};
const PAUSE = {
  eyebrow: "Pause", title: (name) => (name ? `Pause your consent for ${name}?` : "Pause this consent?"),
  lead: "Nobody can compute on it until you resume. The consent itself stays.",
  now: "Pause now", locked: "Pause with my passkey", keep: "Leave it as it is", busy: "Pausing\u2026",
};
const RESUME = {
  eyebrow: "Resume", title: (name) => (name ? `Resume your consent for ${name}?` : "Resume this consent?"),
  lead: "It counts again, under the same terms.",
  now: "Resume with my passkey", locked: "Resume with my passkey", keep: "Leave it paused", busy: "Follow your device\u2026",
};
const ERASE = {
  eyebrow: "Erase", title: (name) => (name ? `Erase ${name}?` : "Erase this file?"),
  lead: "Its consents end, the encrypted file is deleted, and so is the private part of every ledger entry about it. This cannot be undone. Your own file stays with you.",
  now: "Erase it for good", locked: "Erase it for good with my passkey", keep: "Keep it", busy: "Erasing\u2026",
};

export async function withdraw({ home, rest: [id] }) {
  const [grant, record] = home ? find(home, id) : [];
  if (grant && hasEnded(grant)) return over();
  return ask(home, record?.name, WITHDRAW, async (open) => {
    if (hasEnded(await found(open, id))) return over();
    return done(open, "Your consent is withdrawn", "The key is being destroyed. You can consent again whenever you like.", await owner.stop(open, id, "consent.withdrawn"));
  });
}

const hasEnded = ({ state }) => ["withdrawn", "erased", "replaced"].includes(state);
const over = () => page("Withdrawn", "This consent has ended", "Nobody can compute on this data by it.", h("a.button.quiet", { href: "#/" }, "Back to your keys"));

// Given on another device, perhaps: what that one saved at the market is taken in first.
async function found(home, id) {
  if (!home.documents[`grants/${id}.json`]) await home.catchUp();
  return find(home, id)[0];
}

export async function pause({ home, rest: [id] }) {
  const [, record] = home ? find(home, id) : [];
  return ask(home, record?.name, PAUSE, async (open) => {
    await found(open, id);
    done(open, "Your consent is paused", "Resume it whenever you like.", await owner.stop(open, id, "consent.paused"));
  });
}

export async function resume({ home, rest: [id] }) {
  const [, record] = home ? find(home, id) : [];
  return ask(home, record?.name, RESUME, async (open) => {
    await found(open, id);
    done(open, "Your consent counts again", "Under the same terms as before.", await owner.resume(open, id));
  });
}

export async function erase({ home, rest: [dataset] }) {
  const record = home && file(home, dataset);
  if (record?.erased) return page("Erased", "This dataset is erased", "The ledger keeps commitments that mean nothing any more.");
  return ask(home, record?.name, ERASE, async (open) => {
    if (file(open, dataset).erased) throw new Error("this dataset is erased already");
    done(open, "It is erased", "The file and its keys are being deleted everywhere they were.", await owner.erase(open, dataset));
  });
}
