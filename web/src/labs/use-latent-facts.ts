// What is known of all latents that a lab shows beside a number: labels, promoted tokens, claims, greatest activations.

import { useMemo } from "react";
import type { DictionaryEntry } from "../../../src/dashboard/api-contract.ts";
import type { DictionaryPlace } from "../api.ts";
import { useColumnList, useColumns, useNotes } from "../queries.ts";
import type { ColumnValues } from "../table/select-latents.ts";
import type { LatentFacts } from "./suggest-latents.ts";

const NAMES = ["claim", "deltaNorm", "maxActivation", "maxCode", "lens_promotedFinetuned"] as const;

/** Columns that a study lacks, or that are on their way, are null. */
export function useLatentFacts(place: DictionaryPlace, { nLatents }: DictionaryEntry): LatentFacts {
  const list = useColumnList(place);
  const { columns } = useColumns(place, list.data ?? NO_COLUMNS, NAMES);
  const notes = useNotes(place);
  return useMemo(() => {
    const claim = columns.get("claim");
    const promoted = columns.get("lens_promotedFinetuned");
    return {
      nLatents,
      labels: new Map([...notes.byLatent].map(([latent, { label }]) => [latent, label])),
      promoted: promoted?.kind === "text" ? promoted.texts : null,
      claimOf: (latent) => (claim?.kind === "category" ? (claim.words[claim.codes[latent]] ?? "") : ""),
      deltaNorm: numbersOf(columns.get("deltaNorm")),
      maxActivation: numbersOf(columns.get("maxActivation")),
      maxCode: numbersOf(columns.get("maxCode")),
    };
  }, [columns, notes, nLatents]);
}

const NO_COLUMNS: never[] = [];

const numbersOf = (column: ColumnValues | undefined): Float64Array | null =>
  column?.kind === "number" ? column.values : null;
