// Small conveniences; every page works without them. No cryptography happens on this origin.
"use strict";

const POLL_MS = 5000;
const COUNT_MS = 500;

// A sign-in link carries its code after "#", which no server sees; send it from here.
function finishSignIn() {
  const form = document.getElementById("signin");
  const code = window.location.hash.slice(1);
  if (!form || code.length < 20) return;
  form.elements.code.value = code;
  window.history.replaceState(null, "", window.location.pathname);
  form.submit();
}

function addCopyButtons() {
  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll(".commands")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + box.getAttribute("aria-label"));
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(Array.from(box.querySelectorAll(".cmd"), (line) => line.textContent).join("\n"));
      button.textContent = "Copied";
      window.setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
    box.append(button);
  }
}

// A word's meaning shows on hover and focus. A finger's first touch shows it, the second follows the
// link; Escape shuts it (WCAG 2.2, 1.4.13).
function explainWords() {
  for (const hint of document.querySelectorAll(".hint")) {
    const link = hint.querySelector("a");
    let first = false;
    link.addEventListener("pointerdown", (event) => { first = event.pointerType === "touch" && document.activeElement !== link; });
    link.addEventListener("click", (event) => {
      if (!first) return;
      event.preventDefault();
      link.focus();
    });
    for (const name of ["pointerleave", "focusout"]) hint.addEventListener(name, () => hint.classList.remove("shut"));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") for (const hint of document.querySelectorAll(".hint:is(:hover, :focus-within)")) hint.classList.add("shut");
  });
}

// Ask a small JSON address now and then while the page is in view; a failure waits for the next turn.
function poll(url, act) {
  window.setInterval(async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (answer.ok) act(await answer.json());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }, POLL_MS);
}

function watchLedger() {
  const line = document.getElementById("fresh");
  if (!line) return;
  poll(line.dataset.url, ({ size }) => {
    const more = size - Number(line.dataset.size);
    if (more <= 0) return;
    const link = document.createElement("a");
    link.href = line.dataset.here;
    link.textContent = more === 1 ? "1 new entry: show it" : more + " new entries: show them";
    line.replaceChildren(link);
  });
}

function watchOrder() {
  const way = document.getElementById("watch");
  if (!way) return;
  const line = document.getElementById("progress");
  const seen = ({ state, objects, said }) => {
    if (line && line.textContent !== said) line.textContent = said;
    const more = objects && String(objects.length) !== way.dataset.objects;
    if (state !== way.dataset.state || more) window.location.reload();
  };
  if (!window.EventSource) return poll(way.dataset.url, seen);
  const events = new EventSource(way.dataset.events);
  events.addEventListener("state", (event) => seen(JSON.parse(event.data)));
  return window.addEventListener("pagehide", () => events.close());
}

// While a question is put together, say how many people allow it as it stands.
function countWhileAsking() {
  const form = document.getElementById("question-form");
  const line = document.getElementById("live");
  if (!form || !line) return;
  let timer = 0;
  let turn = 0;
  const count = async () => {
    turn += 1;
    const mine = turn;
    try {
      const answer = await fetch(line.dataset.url, { method: "POST", body: new FormData(form) });
      const { said } = answer.ok ? await answer.json() : { said: "" };
      if (mine !== turn) return;
      line.textContent = said;
      line.hidden = !said;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  };
  form.addEventListener("input", () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(count, COUNT_MS);
  });
  count();
}

// While the catalogue is searched, its counts follow; the button does the same without this.
function countWhileSearching() {
  const form = document.getElementById("search");
  if (!form) return;
  let turn = 0;
  form.addEventListener("change", async () => {
    turn += 1;
    const mine = turn;
    const url = form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(url);
      if (!answer.ok || mine !== turn) return;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ["counted-said", "counted"]) document.getElementById(id).replaceChildren(...found.getElementById(id).childNodes);
      window.history.replaceState(null, "", url);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  });
}

// Sign in with the passkey made for it. Consents are signed by other passkeys, on another address.
function offerPasskey() {
  const place = document.getElementById("passkey-signin");
  if (!place || !window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  place.hidden = false;
  const trouble = document.getElementById("passkey-trouble");
  place.querySelector("button").addEventListener("click", async () => {
    trouble.hidden = true;
    try {
      const options = await postJson(place, place.dataset.options, {});
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
      const credential = await navigator.credentials.get({ publicKey });
      window.location.href = (await postJson(place, place.dataset.answer, credential.toJSON())).go;
    } catch (error) {
      trouble.textContent = error.name === "NotAllowedError" ? "The passkey was not used. Try again when you are ready." : error.message;
      trouble.hidden = false;
    }
  });
}

async function postJson(place, url, body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": place.dataset.token };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const value = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(value.detail ?? "That did not work; reload the page and try again.");
  return value;
}

finishSignIn();
offerPasskey();
addCopyButtons();
explainWords();
watchLedger();
watchOrder();
countWhileAsking();
countWhileSearching();
