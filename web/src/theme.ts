// Light, dark, or what the system says: an attribute of the root element, which the palette's rules read. Kept in this browser alone.

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];
const KEY = "tunediff-theme";
export const THEME_CHANGED = "tunediff:theme";

export function savedTheme(): Theme {
  const saved = window.localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === saved) ?? "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  window.localStorage.setItem(KEY, theme);
  window.dispatchEvent(new Event(THEME_CHANGED));
}

/** Calls back when the colours change, by choice or by the system. Returns how to stop. */
export function onThemeChange(listener: () => void): () => void {
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", listener);
  window.addEventListener(THEME_CHANGED, listener);
  return () => {
    media.removeEventListener("change", listener);
    window.removeEventListener(THEME_CHANGED, listener);
  };
}

/** The value of a custom property now, e.g. "#0072b2". */
export function cssColour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
