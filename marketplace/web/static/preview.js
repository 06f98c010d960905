// Draws the preview of a question: made-up numbers that came with the page.

import { plotsOf } from "./plots.js";

const data = document.getElementById("preview-data");
if (data) {
  for (const { root, note } of plotsOf(JSON.parse(data.textContent))) {
    const [figure, caption] = [document.createElement("figure"), document.createElement("figcaption")];
    figure.className = "plot wide";
    caption.textContent = note;
    figure.append(root, ...(note ? [caption] : []));
    document.getElementById("preview-plots").append(figure);
  }
}
