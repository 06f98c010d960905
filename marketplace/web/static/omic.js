// Small conveniences; every page works without them. No cryptography happens on this origin.
"use strict";

const POLL_MS = 5000;

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
  poll(way.dataset.url, ({ state }) => {
    if (state !== way.dataset.state) window.location.reload();
  });
}

finishSignIn();
addCopyButtons();
watchLedger();
watchOrder();
