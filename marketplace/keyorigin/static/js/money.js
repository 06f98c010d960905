// Amounts in a currency's smallest unit, written for people.

import { words } from "./config.js";

// Terms say it as compute does: 250 gbp is "2.50 GBP".
export function amountWords(amount, currency, known) {
  const places = known.decimals[currency] ?? 2;
  const digits = String(amount).padStart(places + 1, "0");
  const text = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  return `${text} ${currency.toUpperCase()}`;
}

// -> (amount, currency) => "£2.50", with the decimals the market counts by.
export async function moneyFormat() {
  const { decimals } = await words();
  return (amount, currency) => {
    const places = decimals[currency] ?? 2;
    return new Intl.NumberFormat("en-GB", { style: "currency", currency: currency.toUpperCase(), minimumFractionDigits: places, maximumFractionDigits: places }).format(amount / 10 ** places);
  };
}
