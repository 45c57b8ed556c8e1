// "At a glance" in the report: what was found without a dictionary, and where there is truth, what of it that would have shown.

import { formatCount, formatNumber, formatPercent } from "../format.ts";
import type { GlanceOfStudy, PlantedInPeaks } from "../glance-of-study.ts";
import { GLANCE_PAGE } from "../glance-page.ts";
import { type Html, html } from "../html.ts";
import type { ReportInput } from "../report-input.ts";
import { termLink } from "../terms.ts";
import { missing } from "./tables.ts";

const COMMAND = "tunediff glance STUDY";

export function glanceSection({ glance, truth }: ReportInput): Html {
  return html`<section id="glance"><h2>At a glance</h2>${
    glance.state === "made"
      ? found(glance.value, truth)
      : missing(
          glance.state === "absent"
            ? "No glance was taken: what differs can be seen in seconds without a dictionary, and held against what follows."
            : "The glance is of other models or another layer.",
          COMMAND,
        )
  }</section>`;
}

function found({ glance, planted }: GlanceOfStudy, truth: ReportInput["truth"]): Html {
  const { findings, text } = glance;
  return html`<p class="prose">Without a dictionary, from ${formatNumber(text.tokens, "token")} of ${
    text.source === "file" ? "the data" : "text that the models wrote"
  }. <a href="${GLANCE_PAGE}">The texts and tables of the glance</a> are a page of their own.</p>${
    findings.length === 0
      ? html`<p class="prose">Nothing differs.</p>`
      : html`<ol class="prose findings">${findings.map((finding) => html`<li>${finding}</li>`)}</ol>`
  }${truth !== undefined && againstTruth(planted, truth)}`;
}

/** Side by side, and no more than can be known: the documents shown, not whether a reader would have seen it there. */
function againstTruth(planted: PlantedInPeaks | null, truth: NonNullable<ReportInput["truth"]>): Html {
  const dictionary = html`With the dictionary, claims find <strong>${formatCount(truth.conceptsFound)} of ${formatCount(
    truth.conceptsPlanted,
  )}</strong> of them, each with the latent that predicts it (<a href="#truth">score</a>).`;
  const heading = html`<h3>Held against what was planted</h3>`;
  if (planted === null)
    return html`${heading}<p class="prose">The glance shows texts that are not the study’s, so what is planted in them is not known. A glance names no behaviour by itself. ${dictionary}</p>`;
  const { peaks, known, withAny, ofStore, concepts } = planted;
  return html`${heading}<p class="prose">${termLink("kl", "KL")} peaks are shown in ${formatNumber(peaks, "document")}${
    known < peaks && html`, of which ${formatCount(known)} are the study’s`
  }. ${formatCount(withAny)} of ${formatCount(known)} hold a planted behaviour, against ${formatPercent(
    ofStore.withAny / ofStore.documents,
    0,
  )} of all the study’s documents: ${
    concepts.length === 0
      ? "none"
      : html`<strong>${formatCount(concepts.length)} of ${formatCount(truth.conceptsPlanted)}</strong> behaviours (${concepts
          .map(({ concept, documents }) => `${concept} ${documents}`)
          .join(", ")})`
  }. The glance shows these documents and names no behaviour; a reader must. ${dictionary}</p>`;
}
