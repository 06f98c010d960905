// Plots of an answer, chosen by its columns; drawn where it is decrypted, nothing is fetched.
// What each family's figures look like is in plots_association.js, plots_genomes.js, plots_people.js.

import { png, standalone } from "./axes.js";
import { effects, genotypes, manhattan, qq, regression, volcano } from "./plots_association.js";
import { compared, degrees, groups, linkage, scree, spectrum } from "./plots_genomes.js";
import { boxes, histogram, odds, onset, prevalence, survival } from "./plots_people.js";
import { known } from "./numbers.js";

export { png, standalone };

const LEAST_TESTS = 10; // fewer are a table, not a distribution of p values

// {columns, facts, query} -> [Axes]; each has a name, a root to show, and a note for its caption.
export function plotsOf({ columns = {}, facts = {}, query = {} }) {
  const has = (...names) => names.every((name) => columns[name]?.length);
  const asked = { build: query.build ?? "", family: query.family ?? "", params: query.params ?? {}, facts };
  const made = [];
  const many = (columns.p ?? []).filter(known).length >= LEAST_TESTS;
  if (has("pos", "p") && many) made.push(manhattan(columns, asked), qq(columns, asked));
  if ((has("beta", "se") || has("difference")) && many) made.push(volcano(columns, asked));
  if ((has("beta", "se") || has("difference")) && !many) made.push(effects(columns, asked));
  if (has("beta", "se", "p", "pos")) made.push(regression(columns, asked));
  if (has("af", "stratum")) made.push(...compared(columns));
  if (has("af", "an") && !has("p")) made.push(spectrum(columns));
  if (has("metric", "q25", "q75")) made.push(...boxes(columns, asked));
  if (has("genotype", "mean", "fit")) made.push(genotypes(columns, asked));
  if (has("survival", "age_to")) made.push(onset(columns, asked));
  if (has("from", "to", "count")) made.push(...byStratum(columns).flatMap((own) => [histogram(own, asked), survival(own, asked)]));
  if (has("prevalence", "term")) made.push(prevalence(columns));
  if (has("odds_ratio", "both")) made.push(odds(columns, asked));
  if (has("variant_a", "r2")) made.push(linkage(columns, asked));
  if (has("table", "pc1")) made.push(scree(columns), groups(columns));
  if (has("degree", "pairs")) made.push(degrees(columns));
  return made.filter(Boolean);
}

// The columns of each stratum by itself; of, said in a title, names one of several.
function byStratum(columns) {
  const strata = [...new Set(columns.stratum ?? ["all"])];
  if (strata.length < 2) return [{ ...columns, of: "" }];
  return strata.map((name) => {
    const own = (values) => values.filter((_, i) => columns.stratum[i] === name);
    return { ...Object.fromEntries(Object.entries(columns).map(([key, values]) => [key, own(values)])), of: `, ${name}` };
  });
}
