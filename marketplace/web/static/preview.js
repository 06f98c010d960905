// Draws the preview of a question: made-up numbers that came with the page.

import { plotsOf } from "./plots.js";

const data = document.getElementById("preview-data");
if (data) {
  for (const { root } of plotsOf({ columns: JSON.parse(data.textContent) })) {
    const figure = document.createElement("figure");
    figure.className = "plot wide";
    figure.append(root);
    document.getElementById("preview-plots").append(figure);
  }
}
