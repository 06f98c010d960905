// What was measured, in the words of the question: names and units for the axes of its plots.

// -> {name, unit, label}: label is "name (unit)", with the scale where there is one.
export function quantity({ params, facts }, otherwise = "Value") {
  const trait = params.trait ?? {};
  const named = facts.feature ?? params.feature ?? facts.gene ?? params.gene ?? trait.name ?? trait.id ?? trait.code ?? params.code;
  const name = named ?? (params.score || params.weights ? "Score" : otherwise);
  const unit = unitOf({ params, facts });
  return { name, unit, label: unit ? `${name} (${unit})` : name };
}

export function unitOf({ params, facts }) {
  const unit = facts.unit ?? params.unit ?? params.trait?.unit ?? "";
  if ((facts.transform ?? params.transform) === "inverse_normal") return "normal scores";
  return (facts.scale ?? params.scale) === "log2_plus_1" ? `log2(${unit || "value"} + 1)` : unit;
}

// Cases and controls: an effect is a logarithm of odds.
export const isOdds = ({ family }) => family === "logistic_association";

// "22:17512779 T>C"
export const variantOf = (columns, i) => `${columns.contig[i]}:${columns.pos[i]} ${columns.ref[i]}>${columns.alt[i]}`;
