// report.html: the whole comparison in one file that opens from disk, without a server and without the network.
//
// A pure function of its input; collect.ts gathers that from a study folder. What keeps anything read from a model or a dataset
// from running is in html.ts and page-shell.ts.

import { html } from "./html.ts";
import { type PageEntry, pageNavigation, pageShell } from "./page-shell.ts";
import { rankClaims } from "./rank-claims.ts";
import type { ReportInput } from "./report-input.ts";
import { SCRIPT } from "./script.ts";
import { causalSection } from "./sections/causal.ts";
import { certaintySection } from "./sections/certainty.ts";
import { claimsSection } from "./sections/claims.ts";
import { differencesSection } from "./sections/differences.ts";
import { fitSection } from "./sections/fit.ts";
import { glanceSection } from "./sections/glance.ts";
import { glossarySection, limitsSection } from "./sections/glossary.ts";
import { headerSection, verdictSection } from "./sections/overview.ts";
import { dataSection, reproduceSection } from "./sections/provenance.ts";
import { truthSection } from "./sections/truth.ts";

export type { ReportInput } from "./report-input.ts";

/** The page as UTF-8 text. The same input gives the same bytes. */
export function renderReport(input: ReportInput): string {
  const claims = {
    finetuned: rankClaims(input.latents, "finetuned"),
    base: rankClaims(input.latents, "base"),
  };
  const body = html`${headerSection(input)}${pageNavigation(entries(input, claims))}<main>
${verdictSection(input, claims)}
${glanceSection(input)}
${fitSection(input)}
${differencesSection(input)}
${certaintySection(input, claims)}
${causalSection(input, claims)}
${input.truth !== undefined && truthSection(input.truth, [...claims.finetuned, ...claims.base], input.examples)}
${claimsSection(input, "finetuned", claims)}
${claimsSection(input, "base", claims)}
${dataSection(input)}
${reproduceSection(input)}
${limitsSection(input)}
${glossarySection()}
</main>`;
  const { title, toolVersion } = input;
  return pageShell({ title, toolVersion, first: "verdict", body, script: SCRIPT });
}

function entries(input: ReportInput, claims: { finetuned: unknown[]; base: unknown[] }): PageEntry[] {
  return [
    ["verdict", "In short"],
    ["glance", "At a glance"],
    ["fit", "Fit"],
    ["differences", "Leaning"],
    ["certainty", "How sure"],
    ["causal", "Causes"],
    ...(input.truth === undefined ? [] : ([["truth", "Truth"]] as PageEntry[])),
    ["finetuned-claims", "Finetuned-specific", claims.finetuned.length],
    ["base-claims", "Base-specific", claims.base.length],
    ["data", "Text"],
    ["reproduce", "Make it again"],
    ["limits", "Limits"],
    ["glossary", "Words"],
  ];
}
