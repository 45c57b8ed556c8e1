// The one streaming pass: every row of a split is read, encoded and decoded once, and all sums are taken on the way.
//
// Memory does not grow with rows: sums by document group, the codes of the current document, the top examples. What
// the sums mean is said in latent-rows.ts.

import type { Dictionary, Encoder } from "../dictionary/dictionary.ts";
import { NumericsError } from "../errors.ts";
import type { ReportProgress } from "../progress.ts";
import { N_DOCUMENT_GROUPS, ROLES, type Split } from "../store/rows.ts";
import type { Store } from "../store/store-contract.ts";
import { createDocumentCodes } from "./document-codes.ts";
import { countRows, encodedRows, type NormaliseInPlace } from "./encoded-rows.ts";
import { addFveRow, createFveSums, type FveSums } from "./fve-sums.ts";
import { addRow, createLatentSums, type LatentSums } from "./latent-scaling.ts";
import { createTopExamples, type TopExamples } from "./top-examples.ts";

const BOS = ROLES.indexOf("bos");
const TEMPLATE = ROLES.indexOf("template");

export interface PassOptions {
  store: Store;
  dictionary: Dictionary;
  encoder: Encoder;
  normalise: NormaliseInPlace;
  /** [nLatents] f32 ‖dBase‖ + ‖dFinetuned‖. */
  activationWeight: Float32Array;
  split: Split;
  /** Rows with a larger raw norm at a site are outliers: their codes count, their error is left out of fve. */
  normLimits?: readonly number[];
  examplesPerLatent: number;
  reportProgress?: ReportProgress;
  signal?: AbortSignal;
}

export interface PassResult {
  /** Rows measured: BOS excluded, norm outliers included. */
  nRows: number;
  nDocuments: number;
  nBosRows: number;
  nOutlierRows: number;
  nNonZero: number;
  sums: LatentSums;
  /** [nLatents] documents in which it fired. */
  documents: Uint32Array;
  /** [nLatents] largest code. */
  maxCode: Float32Array;
  /** Over rows that are neither BOS nor norm outliers, and over those that are. */
  fveClean: FveSums;
  fveLeftOut: FveSums;
  examples: TopExamples;
}

/** Throws NumericsError naming the first row with a number that is not finite. */
export async function measurePass(options: PassOptions): Promise<PassResult> {
  const { store, dictionary, activationWeight, split, reportProgress } = options;
  const { nLatents, width, decoderWeight, decoderBias } = dictionary;
  const [base, finetuned] = dictionary.sites.map((site) => site.width);
  const { rows, documents: documentRecords } = store;
  const result: PassResult = {
    nRows: 0,
    nDocuments: 0,
    nBosRows: 0,
    nOutlierRows: 0,
    nNonZero: 0,
    sums: createLatentSums(N_DOCUMENT_GROUPS, nLatents),
    documents: new Uint32Array(nLatents),
    maxCode: new Float32Array(nLatents),
    fveClean: createFveSums(N_DOCUMENT_GROUPS, { base, finetuned }),
    fveLeftOut: createFveSums(N_DOCUMENT_GROUPS, { base, finetuned }),
    examples: createTopExamples({
      nLatents,
      perLatent: options.examplesPerLatent,
      tokens: rows.tokenFinetuned,
    }),
  };
  const { sums, documents, maxCode, fveClean, fveLeftOut, examples } = result;
  const documentCodes = createDocumentCodes(nLatents);
  let document = -1;
  let rowsOfDocument = 0;
  const closeDocument = (): void => {
    if (document >= 0 && rowsOfDocument > 0) result.nDocuments += 1;
    rowsOfDocument = 0;
    documentCodes.flush((latent, firings) => {
      documents[latent] += 1;
      examples.offer(latent, firings, documentRecords[document]);
    });
  };

  const h = new Float64Array(width);
  const reconstruction = new Float64Array(width);
  const total = countRows(store, [split]);
  let done = 0;
  for await (const batch of encodedRows({ ...options, splits: [split] })) {
    const { nRows, rows: rowIndex, x, normOutlier } = batch;
    const { latent, code, rowStart } = batch.codes;
    for (let i = 0; i < nRows; i += 1) {
      const row = rowIndex[i];
      if (rows.document[row] !== document) {
        closeDocument();
        document = rows.document[row];
      }
      const from = rowStart[i];
      const to = rowStart[i + 1];
      for (let c = 0, at = i * width; c < width; c += 1, at += 1) h[c] = x[at];
      decodeRow({ decoderWeight, decoderBias, latent, code, from, to }, reconstruction);

      const isBos = rows.role[row] === BOS;
      const isOutlier = !isBos && normOutlier[i] === 1;
      const { group } = documentRecords[document];
      const squaredNorm = addFveRow(isBos || isOutlier ? fveLeftOut : fveClean, group, h, reconstruction);
      if (!Number.isFinite(squaredNorm)) throw notFinite(store, row);
      if (isBos) {
        result.nBosRows += 1;
        continue;
      }
      if (isOutlier) result.nOutlierRows += 1;
      result.nRows += 1;
      rowsOfDocument += 1;
      result.nNonZero += to - from;
      const onTemplate = rows.role[row] === TEMPLATE;
      addRow(
        sums,
        decoderWeight,
        { base, finetuned },
        {
          group,
          onTemplate,
          activation: h,
          reconstruction,
          latent,
          code,
          from,
          to,
        },
      );
      for (let entry = from; entry < to; entry += 1) {
        const j = latent[entry];
        if (code[entry] > maxCode[j]) maxCode[j] = code[entry];
        documentCodes.add(j, row, code[entry] * activationWeight[j]);
      }
    }
    done += nRows;
    reportProgress?.({ stage: "measure", done, total, unit: "rows" });
  }
  closeDocument();
  return result;
}

interface RowCodes {
  decoderWeight: Float32Array;
  decoderBias: Float32Array;
  latent: Uint32Array;
  code: Float32Array;
  from: number;
  to: number;
}

/** ĥ = Σ f·d + bias of one row, in f64, into target [width]. */
function decodeRow(codes: RowCodes, target: Float64Array): void {
  const { decoderWeight, decoderBias, latent, code, from, to } = codes;
  const width = target.length;
  for (let c = 0; c < width; c += 1) target[c] = decoderBias[c];
  for (let entry = from; entry < to; entry += 1) {
    const f = code[entry];
    for (let c = 0, at = latent[entry] * width; c < width; c += 1, at += 1)
      target[c] += f * decoderWeight[at];
  }
}

function notFinite(store: Store, row: number): NumericsError {
  const document = store.documents[store.rows.document[row]];
  const position = store.rows.position[row];
  return new NumericsError(
    `${store.folder}: row ${row} (document ${document.id}, position ${position}): expected finite activations and codes`,
    {
      hint: "run `tunediff verify` on the store and on the dictionary; harvest or train again what is damaged",
    },
  );
}
