// The colours of every page and chart: one for base, one for finetuned, both colour-blind safe, in light and dark.
//
// Okabe & Ito (2008) blue and vermilion, lightened for dark paper. A chart names a colour by its role; the value is a
// custom property with the light colour as fallback, so that an exported SVG looks right without the page around it.
// Activation shading is a ramp of lightness, readable in grey; contrast against the ink is held by a test.

export const LIGHT = {
  paper: "#fcfbf8",
  panel: "#f4f2ec",
  ink: "#1c1b19",
  muted: "#5d5953",
  rule: "#d8d3c8",
  faint: "#e9e5db",
  base: "#0072b2",
  finetuned: "#d55e00",
  /** The same hue dark enough for text on paper. */
  baseInk: "#00598c",
  finetunedInk: "#a34600",
  neutral: "#8b867d",
} as const;

export const DARK: Record<ColourName, string> = {
  paper: "#17181b",
  panel: "#1f2125",
  ink: "#e9e6df",
  muted: "#a8a49b",
  rule: "#3a3c41",
  faint: "#292b30",
  base: "#56a9dd",
  finetuned: "#f2853b",
  baseInk: "#7cc0ea",
  finetunedInk: "#f7a469",
  neutral: "#8d8a84",
};

export type ColourName = keyof typeof LIGHT;

/** Letters of charts and tables; the page uses the same list. */
export const SANS = "-apple-system, 'Segoe UI', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif";

/** Number of steps in which activations are shaded, 1 = weakest. */
export const N_SHADES = 9;

/** For an SVG presentation attribute or a style rule. */
export function colour(name: ColourName): string {
  return `var(--${kebab(name)}, ${LIGHT[name]})`;
}

/** Background of shade `level` (1 … N_SHADES) for one side, as #rrggbb on that theme's paper. */
export function shade(theme: "light" | "dark", side: "base" | "finetuned", level: number): string {
  const fraction = level / N_SHADES;
  if (theme === "light") return mix(LIGHT.paper, LIGHT[side], 0.07 + 0.63 * fraction);
  return mix(DARK.paper, side === "base" ? "#0079bd" : "#c65400", 0.1 + 0.66 * fraction);
}

/** Shade level of an activation relative to the latent's maximum: 0 silent, 1 … N_SHADES. Linear. */
export function shadeLevel(activation: number, maxActivation: number): number {
  if (!(activation > 0) || !(maxActivation > 0)) return 0;
  return Math.min(N_SHADES, Math.max(1, Math.ceil((activation / maxActivation) * N_SHADES)));
}

/** Custom properties of one theme, as CSS declarations. */
export function cssVariables(theme: "light" | "dark"): string {
  const colours = Object.entries(theme === "light" ? LIGHT : DARK).map(
    ([name, hex]) => `--${kebab(name)}:${hex}`,
  );
  const shades = (["base", "finetuned"] as const).flatMap((side) =>
    Array.from({ length: N_SHADES }, (_, i) => `--${side}-${i + 1}:${shade(theme, side, i + 1)}`),
  );
  return [...colours, ...shades].join(";");
}

/** WCAG 2 contrast ratio of two #rrggbb colours, 1 … 21. */
export function contrastRatio(first: string, second: string): number {
  const [dark, light] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** WCAG 2 relative luminance of #rrggbb, 0 … 1. */
export function luminance(hex: string): number {
  const [red, green, blue] = channels(hex).map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function mix(from: string, to: string, share: number): string {
  const target = channels(to);
  const mixed = channels(from).map((channel, i) => Math.round(channel + (target[i] - channel) * share));
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

function channels(hex: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
