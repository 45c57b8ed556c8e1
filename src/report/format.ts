// Numbers as the page writes them: one way each for counts, fractions, ratios and durations.
//
// Locale-free on purpose, so that the same study gives the same bytes everywhere.

const MISSING = "n/a";
const MINUS = "\u2212";
const NARROW_SPACE = "\u202f";

/** 12345 → "12,345". Rounds to an integer. */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  const digits = Math.abs(Math.round(value)).toString();
  const grouped = digits.replace(/\B(?=(\d{3})+$)/g, ",");
  return Math.round(value) < 0 ? MINUS + grouped : grouped;
}

/** Fixed decimals with a true minus sign; NaN and infinities read "n/a". A rounded zero has no sign. */
export function formatFixed(value: number, decimals = 2): string {
  if (!Number.isFinite(value)) return MISSING;
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** 0.0123 → "1.2 %". */
export function formatPercent(fraction: number, decimals = 1): string {
  return Number.isFinite(fraction) ? `${formatFixed(fraction * 100, decimals)}${NARROW_SPACE}%` : MISSING;
}

/** A share that may be tiny: percent with two significant digits below one percent ("0.013 %"). */
export function formatShare(fraction: number): string {
  if (!Number.isFinite(fraction)) return MISSING;
  const percent = fraction * 100;
  if (percent === 0 || percent >= 1) return formatPercent(fraction, 1);
  const decimals = Math.min(6, 1 - Math.floor(Math.log10(percent)));
  return formatPercent(fraction, decimals);
}

/** Three significant digits, exponent form outside [1e-3, 1e5). */
export function formatSignificant(value: number): string {
  if (!Number.isFinite(value)) return MISSING;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) {
    const [mantissa, exponent] = value.toExponential(2).split("e");
    return `${mantissa.replace("-", MINUS)}e${exponent.replace("+", "").replace("-", MINUS)}`;
  }
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(size)));
  return formatFixed(value, decimals);
}

/** 75.4 → "1 min 15 s". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return MISSING;
  if (seconds < 10) return `${formatFixed(seconds, 1)}${NARROW_SPACE}s`;
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const text = ["h", "min", "s"].map((unit, i) => (parts[i] > 0 ? `${parts[i]}${NARROW_SPACE}${unit}` : ""));
  return text.filter(Boolean).join(" ") || `0${NARROW_SPACE}s`;
}

/** "1 latent", "2 latents". */
export function formatNumber(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** A 95 % interval in words: "0.010 to 0.080"; an end without limit is said, never written as a number. */
export function formatLimits({ low, high }: { low: number; high: number }, decimals = 3): string {
  if (Number.isNaN(low) || Number.isNaN(high)) return "not known";
  const [from, to] = [Number.isFinite(low), Number.isFinite(high)];
  if (from && to) return `${formatFixed(low, decimals)} to ${formatFixed(high, decimals)}`;
  if (from) return `${formatFixed(low, decimals)} or more, no upper limit`;
  return to ? `${formatFixed(high, decimals)} or less, no lower limit` : "no limits";
}
