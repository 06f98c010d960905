// The key pages: one address (#/...) a view. Whatever needs keys asks for the passkey first.

import { config } from "./config.js";
import { alert, h, plainError, show } from "./dom.js";
import { sendAgain } from "./handed.js";
import { explain } from "./hints.js";
import * as homes from "./home.js";
import { unfinished } from "./party.js";
import { renew } from "./renewal.js";
import { ChangedPast, checkIn } from "./seen.js";
import * as answerView from "./views/answer.js";
import * as approveView from "./views/approve.js";
import * as changeView from "./views/change.js";
import * as keysView from "./views/keys.js";
import * as orderView from "./views/order.js";
import * as passportView from "./views/passport.js";
import * as recoveryView from "./views/recovery.js";
import * as shareView from "./views/share.js";
import * as startView from "./views/start.js";
import * as stopView from "./views/stop.js";
import * as unlockView from "./views/unlock.js";
import * as usesView from "./views/uses.js";
import * as verifyView from "./views/verify.js";

// name -> [view, needs keys]
const VIEWS = {
  "": [keysView.overview, true],
  start: [startView.start, false],
  unlock: [unlockView.unlock, false],
  recover: [unlockView.recover, false],
  import: [unlockView.importFile, false],
  recovery: [recoveryView.recovery, false],
  cancel: [recoveryView.cancel, true],
  share: [shareView.share, true],
  consent: [shareView.consent, true],
  terms: [changeView.change, true],
  withdraw: [stopView.withdraw, false],
  pause: [stopView.pause, false],
  resume: [stopView.resume, false],
  erase: [stopView.erase, false],
  approve: [approveView.approve, true],
  passport: [passportView.passport, true],
  unshare: [passportView.unshare, false],
  fetch: [passportView.fetchShare, false],
  order: [orderView.order, true],
  answer: [answerView.answer, true],
  shared: [answerView.shared, true],
  uses: [usesView.uses, true],
  use: [usesView.use, true],
  verify: [verifyView.verify, false],
};

let newest = 0;

async function route() {
  const mine = ++newest;
  const [path, query = ""] = window.location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const [view, needsKeys] = VIEWS[name] ?? [missing, false];
  try {
    const open = homes.unlocked();
    await open?.refresh();
    if (needsKeys && open && unfinished(open)) await startView.goOn({ home: open, next: window.location.hash });
    else if (needsKeys && !open) {
      const known = await homes.known();
      await (known ? unlockView.gate : startView.start)({ next: window.location.hash, known });
    } else {
      const moved = await renewed();
      if (mine !== newest) return; // somebody went on meanwhile: that view is not to be written over
      await view({ rest: rest.map(decodeURIComponent), query: new URLSearchParams(query), home: open });
      if (moved) document.getElementById("main").append(said(moved));
    }
  } catch (error) {
    if (mine !== newest && !(error instanceof ChangedPast)) return;
    show(error instanceof ChangedPast ? changedPast(error)
      : h("div.trouble", {}, h("h1", {}, "That did not work"), alert(plainError(error)), h("p", {}, h("a", { href: "#/" }, "Back to your keys"))));
    if (!(error instanceof DOMException)) console.warn(error.message);
  }
  await frame();
  const title = document.querySelector("main h1")?.textContent;
  document.title = title ? `${title} · Omic Market keys` : "Your keys · Omic Market";
  if (route.visited) document.getElementById("main").focus({ preventScroll: false });
  route.visited = true;
}

// Before anything is shown: what another device did is taken in, the ledger must still hold what it
// showed before, and consents whose key ages are moved to compute's newest one.
async function renewed() {
  const home = homes.unlocked();
  if (!home) return 0;
  await tried(() => sendAgain(home));
  await tried(() => home.catchUp());
  return await tried(async () => {
    await checkIn(home);
    return renew(home);
  }) ?? 0;
}

// No network is no reason to keep somebody from their keys.
async function tried(act) {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ChangedPast) throw error;
    console.warn(error.message);
    return null;
  }
}

const said = (moved) => h("p.muted", { role: "status", id: "renewed" }, moved === 1
  ? "Your consent was sealed to the newest key of the compute service. Its terms are as they were."
  : `${moved} of your consents were sealed to the newest key of the compute service. Their terms are as they were.`);

const changedPast = (error) => h("div.trouble", {},
  h("p.eyebrow", {}, "Stop here"), h("h1", {}, "Your ledger changed its past"), alert(error.message),
  h("p", {}, "Sign nothing more. Keep this device as it is: it holds the proof, signed by the ledger and its witnesses. Tell the auditors this market names."));

function missing() {
  show(h("div.trouble", {}, h("h1", {}, "There is nothing here"), h("p", {}, h("a", { href: "#/" }, "Your keys"))));
}

async function frame() {
  const { trust } = await config();
  const home = homes.unlocked();
  const link = (href, label) => h("li", {}, h("a", { href }, label));
  const role = home?.identity.role;
  document.getElementById("nav").replaceChildren(
    link(trust.marketplace_url, "The market"),
    ...(role === "owner" ? [link("#/share", "Share data")] : []),
    ...(home ? [link("#/", "Keys")] : []),
  );
  document.getElementById("who").replaceChildren(...(home ? [h("button.plain", {
    type: "button", onclick: () => { homes.lock(); window.location.hash = "#/unlock"; },
  }, "Lock")] : []));
  document.getElementById("glossary").href = `${trust.marketplace_url}/glossary`;
  const strip = document.getElementById("standin");
  if (trust.embedded && strip.hidden) {
    strip.append(h("p", {}, h("strong", {}, "Practice run."), " Witnesses and attester are stand-ins on this machine."));
    strip.hidden = false;
  }
}

window.addEventListener("hashchange", route);
explain(document.getElementById("main"));
frame().finally(route); // first, so that what is above a view does not push it down later
