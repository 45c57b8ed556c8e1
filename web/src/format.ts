// Numbers as the screens write them: the report's forms, one way each. "–" stands where a number does not exist.

export const NO_VALUE = "–";
const MINUS = "\u2212";

/** 12345 → "12,345". */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return NO_VALUE;
  const digits = Math.abs(Math.round(value))
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
  return value < 0 ? MINUS + digits : digits;
}

/** Fixed decimals with a true minus sign; a rounded zero has none. */
export function formatFixed(value: number, decimals = 2): string {
  if (!Number.isFinite(value)) return value === Infinity ? "∞" : value === -Infinity ? `${MINUS}∞` : NO_VALUE;
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

export function formatPercent(fraction: number, decimals = 1): string {
  return Number.isFinite(fraction) ? `${formatFixed(fraction * 100, decimals)}\u202f%` : NO_VALUE;
}

/** Three significant digits; exponent form outside [1e-3, 1e5); whole numbers whole. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return formatFixed(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return formatCount(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) {
    const [mantissa, exponent] = value.toExponential(2).split("e");
    return `${mantissa.replace("-", MINUS)}e${exponent.replace("+", "").replace("-", MINUS)}`;
  }
  return formatFixed(value, Math.max(0, 2 - Math.floor(Math.log10(size))));
}

/** "1 latent", "2 latents". */
export function formatAmount(count: number, singular: string): string {
  return `${formatCount(count)} ${singular}${count === 1 ? "" : "s"}`;
}

/** Limits of an interval in words; an end without limit is said. */
export function formatLimits(low: number, high: number, decimals = 2): string {
  if (Number.isNaN(low) || Number.isNaN(high)) return "not known";
  const [from, to] = [Number.isFinite(low), Number.isFinite(high)];
  if (from && to) return `${formatFixed(low, decimals)} to ${formatFixed(high, decimals)}`;
  if (from) return `${formatFixed(low, decimals)} or more, no upper limit`;
  return to ? `${formatFixed(high, decimals)} or less, no lower limit` : "no limits";
}

/** A number of the API, where NaN and infinities travel as words. */
export function toNumber(value: number | string | undefined): number {
  return typeof value === "number" ? value : value === undefined || value === "" ? Number.NaN : Number(value);
}
