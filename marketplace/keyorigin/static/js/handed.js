// Stops (withdraw, pause, erase) while the ledger does not answer: handed to the marketplace, which acts
// on them at once, and sent to the ledger again at the next visit. As marketplace/client/handed.py does.

import { submission, submissionFrom, submissionJson } from "./entry.js";
import { append } from "./log.js";
import { Market } from "./market.js";

const away = ({ status }) => status === 0 || status >= 500;
const nameOf = (one) => `handed/${one.entry.payload.id}.json`;

// -> its place on the ledger, or null while it is on its way. It is written down before it is sent:
// whatever happens next, the signed bytes and their salt are not lost.
export async function stop(home, entry) {
  const one = submission(entry);
  home.documents[nameOf(one)] = { type: entry.type, submission: submissionJson(one) };
  await home.save({ backup: false });
  const place = await taken(one);
  took(home, one, place);
  await home.save();
  return place;
}

async function taken(one) {
  try {
    return (await append([one]))[0];
  } catch (error) {
    if (!away(error)) throw error;
  }
  try {
    await Market.anonymous("/stops", { method: "POST", json: submissionJson(one) });
    return null;
  } catch (error) {
    if (!away(error)) throw error;
    throw new Error("neither the ledger nor the market answers, so nothing is stopped yet. What you signed is kept here: open this page again when you have a network, and it is sent before anything else");
  }
}

const BECOMES = { "consent.withdrawn": "withdrawn", "consent.paused": "paused" };

// It counts from now on, though its place may not be known yet.
function took(home, one, place) {
  const { type, payload } = one.entry;
  const grant = home.documents[`grants/${payload.grant}.json`];
  if (type === "dataset.erased") forget(home, payload.dataset);
  else if (grant) Object.assign(grant, { state: BECOMES[type], stop: place?.index ?? null });
  if (!place) return;
  home.keep([place]);
  delete home.documents[nameOf(one)];
}

function forget(home, dataset) {
  const record = home.documents[`datasets/${dataset}.json`];
  record.erased = true;
  delete record.header;
  delete home.keys[`datasets/${dataset}`];
  for (const one of home.list("grants").filter((grant) => grant.dataset === dataset)) one.state = "erased";
}

// Once for each unlocking. What the ledger refuses (something else stopped it first) is let go.
export async function sendAgain(home) {
  for (const document of home.list("handed")) {
    const one = submissionFrom(document.submission);
    try {
      took(home, one, await taken(one));
    } catch (error) {
      if (!(error.status >= 400 && error.status < 500)) throw error;
      delete home.documents[nameOf(one)];
    }
    await home.save();
  }
}
