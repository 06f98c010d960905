// Taking back: withdraw, pause, resume, erase. One view, one button each.

import { action, facts, h, show } from "../dom.js";
import * as homes from "../home.js";
import * as owner from "../owner.js";
import { toMarket } from "./keys.js";

function find(home, id) {
  const grant = home.documents[`grants/${id}.json`];
  if (!grant) throw new Error("the keys in this browser know no such consent. Open it on the device where you gave it, or bring those keys here.");
  return [grant, home.documents[`datasets/${grant.dataset}.json`]];
}

function page(eyebrow, title, lead, ...more) {
  show(h("div.trouble", {}, h("p.eyebrow", {}, eyebrow), h("h1", {}, title), h("p.lead", {}, lead), ...more));
}

function done(home, title, lead, place) {
  page("Done", title, lead, facts([["Your receipt", `ledger entry ${place.index}, cosigned by the witnesses, checked here`]]), h("div.actions", {}, toMarket(home)));
  document.getElementById("main").focus();
}

const LEAD = "It takes effect at once: the key of this consent and what was derived with it are destroyed. Answers given before stay as they are.";

// Two clicks from the page of my data: that link, and this button. The passkey opens the keys and the
// consent is withdrawn in the same step.
export async function withdraw({ home, rest: [id] }) {
  if (!home) return lockedWithdraw(id);
  const [grant, record] = find(home, id);
  if (grant.state === "withdrawn" || grant.state === "erased") {
    return page("Withdrawn", "This consent has ended", "Nobody can compute on this data by it.", h("a.button.quiet", { href: "#/" }, "Back to your keys"));
  }
  return page("Withdraw", `Withdraw your consent for ${record.name}?`, LEAD, h("div.actions", {},
    action("Withdraw now", () => ended(home, id), { busy: "Withdrawing…" }), h("a.button.quiet", { href: "#/" }, "Keep it")));
}

async function lockedWithdraw(id) {
  const known = await homes.known();
  if (!known) throw new Error("this browser does not hold the keys of this consent. Bring them here first (Have keys already?), or withdraw on the device where you gave it.");
  const act = async () => {
    await ended(await homes.unlockWithPasskey(), id);
  };
  return page("Withdraw", "Withdraw this consent?", LEAD, h("div.actions", {},
    action("Withdraw with my passkey", act, { busy: "Follow your device…" }), h("a.button.quiet", { href: "#/unlock" }, "Another way to unlock")));
}

async function ended(home, id) {
  find(home, id);
  done(home, "Your consent is withdrawn", "The key is being destroyed. You can consent again whenever you like.", await owner.stop(home, id, "consent.withdrawn"));
}

export function pause({ home, rest: [id] }) {
  const [, record] = find(home, id);
  page("Pause", `Pause your consent for ${record.name}?`, "Nobody can compute on it until you resume. The consent itself stays.",
    action("Pause now", async () => done(home, "Your consent is paused", "Resume it whenever you like.", await owner.stop(home, id, "consent.paused"))));
}

export function resume({ home, rest: [id] }) {
  const [, record] = find(home, id);
  page("Resume", `Resume your consent for ${record.name}?`, "It counts again, under the same terms.",
    action("Resume with my passkey", async () => done(home, "Your consent counts again", "Under the same terms as before.", await owner.resume(home, id))));
}

export function erase({ home, rest: [dataset] }) {
  const record = home.documents[`datasets/${dataset}.json`];
  if (!record) throw new Error("the keys in this browser know no such dataset");
  if (record.erased) return page("Erased", "This dataset is erased", "The ledger keeps commitments that mean nothing any more.");
  return page("Erase", `Erase ${record.name}?`,
    "Its consents end, the encrypted file is deleted, and so is the private part of every ledger entry about it. This cannot be undone. Your own file stays with you.",
    h("div.actions", {}, action("Erase it for good", async () => done(home, "It is erased", "The file and its keys are being deleted everywhere they were.", await owner.erase(home, dataset)), { busy: "Erasing…" }),
      h("a.button.quiet", { href: "#/" }, "Keep it")));
}
