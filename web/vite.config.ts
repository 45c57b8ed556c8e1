// How the dashboard's browser side is built: into web/dist, files named by their hash, nothing inlined (the content policy refuses it).
//
// The palette is the report's own: its custom properties are written into a virtual style sheet here, at build time.

import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { cssVariables, N_SHADES, SANS } from "../src/report/charts/palette.ts";

const PALETTE_ID = "virtual:palette.css";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [react(), palette()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2023",
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});

/** Light, dark and by the system's choice; shades of activations as classes a1 … a9 below .base and .finetuned. */
function palette(): Plugin {
  const shades = Array.from({ length: N_SHADES }, (_, i) =>
    ["base", "finetuned"].map((side) => `.${side} .a${i + 1}{background:var(--${side}-${i + 1})}`).join(""),
  ).join("\n");
  const css = `:root{color-scheme:light;${cssVariables("light")};--sans:${SANS}}
@media (prefers-color-scheme:dark){:root:not([data-theme="light"]){color-scheme:dark;${cssVariables("dark")}}}
:root[data-theme="dark"]{color-scheme:dark;${cssVariables("dark")}}
${shades}`;
  return {
    name: "tunediff-palette",
    resolveId: (id) => (id === PALETTE_ID ? `\0${PALETTE_ID}` : null),
    load: (id) => (id === `\0${PALETTE_ID}` ? css : null),
  };
}
