// From matches to what a person asks: which claims of a are found in b and claimed there, which are lost, and which are new.
//
// A claim is kept when its match in the other dictionary is claimed for the same side. Being mutual, that is the same whichever of the two is asked;
// so lost and new change places when the dictionaries do.

import type { Claim } from "../../measure/measure-contract.ts";
import { claimOfSide } from "../../measure/stability.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { ClaimsFound, Matching, MatchingBy, MatchingChange, MatchingRows } from "../api-contract.ts";
import {
  type Asked,
  MATCH_THRESHOLDS,
  type Matches,
  type MatchResult,
  SIDE_CODES,
} from "./match-contract.ts";

export interface ClaimedDictionary {
  nLatents: number;
  /** [nLatents]. */
  claims: readonly string[];
}

const NONE: Claim = "none";

/** limits of a match, by what is matched. */
export function limitsOf(by: MatchingBy): Matching["limits"] {
  return by === "direction"
    ? { score: MATCH_THRESHOLDS.cosineAtLeast, shared: 0 }
    : { score: MATCH_THRESHOLDS.jaccardAtLeast, shared: MATCH_THRESHOLDS.sharedAtLeast };
}

/** Latents that are claimed, or all; the side of each, from claims where there is one. sides: [nLatents], codes of SIDE_CODES. */
export function askedOf(
  { nLatents, claims }: ClaimedDictionary,
  { latents, sides }: { latents: "claims" | "all"; sides: Uint8Array },
): Asked {
  const list: number[] = [];
  for (let latent = 0; latent < nLatents; latent += 1)
    if (latents === "all" || claims[latent] !== NONE) list.push(latent);
  return { latents: Uint32Array.from(list), sides: Uint8Array.from(list, (latent) => sides[latent]) };
}

export function matchingOf(options: {
  by: MatchingBy;
  latents: Matching["latents"];
  halves: readonly ModelSide[];
  a: ClaimedDictionary;
  b: ClaimedDictionary;
  result: MatchResult;
}): Matching {
  const { by, latents, halves, a, b, result } = options;
  const limits = limitsOf(by);
  const isFound = (matches: Matches, i: number): boolean =>
    matches.mutual[i] === 1 &&
    matches.score[i] >= limits.score &&
    (by === "direction" || matches.shared[i] >= limits.shared);
  const rows = emptyRows();
  const atPair = new Map<string, number>();
  const [forward, back] = [result.a, result.b];
  for (let i = 0; i < forward.latents.length; i += 1) {
    const [latent, partner] = [forward.latents[i], forward.partner[i]];
    const claim = a.claims[latent];
    const claimThere = partner < 0 ? "" : b.claims[partner];
    const found = isFound(forward, i);
    atPair.set(`${latent} ${partner}`, rows.a.length);
    const change = changeOf({
      claim,
      claimThere,
      found,
      compared: forward.compared[i] === 1,
      otherwise: "lost",
    });
    addRow(rows, {
      matches: forward,
      i,
      found,
      change,
      a: latent,
      b: partner,
      claimA: claim,
      claimB: claimThere,
    });
  }
  for (let i = 0; i < back.latents.length; i += 1) {
    const [latent, partner] = [back.latents[i], back.partner[i]];
    const claim = b.claims[latent];
    if (claim === NONE) continue;
    const claimThere = partner < 0 ? "" : a.claims[partner];
    const found = isFound(back, i);
    const change = changeOf({ claim, claimThere, found, compared: back.compared[i] === 1, otherwise: "new" });
    const listed = atPair.get(`${partner} ${latent}`);
    if (listed !== undefined && (rows.change[listed] === change || rows.change[listed] === "")) {
      // The pair stands there already: kept, or a latent of a that is not claimed.
      rows.change[listed] = change;
      continue;
    }
    addRow(rows, {
      matches: back,
      i,
      found,
      change,
      a: partner,
      b: latent,
      claimA: claimThere,
      claimB: claim,
    });
  }
  return {
    ...{ by, latents, halves: [...halves], nLatents: { a: a.nLatents, b: b.nLatents }, limits, rows },
    summary: {
      a: foundOf(forward, { own: a.claims, other: b.claims, isFound }),
      b: foundOf(back, { own: b.claims, other: a.claims, isFound }),
    },
  };
}

function changeOf(options: {
  claim: string;
  claimThere: string;
  found: boolean;
  compared: boolean;
  otherwise: "lost" | "new";
}): MatchingChange {
  const { claim, claimThere, found, compared, otherwise } = options;
  if (claim === NONE) return "";
  if (!compared) return "not compared";
  return found && claimThere === claim ? "kept" : otherwise;
}

function foundOf(
  matches: Matches,
  options: {
    own: readonly string[];
    other: readonly string[];
    isFound: (matches: Matches, i: number) => boolean;
  },
): Record<"finetuned" | "base", ClaimsFound> {
  const { own, other, isFound } = options;
  const ofSide = (side: ModelSide): ClaimsFound => {
    const counts: ClaimsFound = { claims: 0, compared: 0, found: 0, kept: 0 };
    matches.latents.forEach((latent, i) => {
      if (own[latent] !== claimOfSide(side)) return;
      const found = isFound(matches, i);
      counts.claims += 1;
      counts.compared += matches.compared[i];
      if (found) counts.found += 1;
      if (found && other[matches.partner[i]] === own[latent]) counts.kept += 1;
    });
    return counts;
  };
  return { finetuned: ofSide(SIDE_CODES[1]), base: ofSide(SIDE_CODES[0]) };
}

function emptyRows(): MatchingRows {
  return {
    ...{ a: [], b: [], change: [], claimA: [], claimB: [], found: [], score: [] },
    ...{ cosineBase: [], cosineFinetuned: [], cosineJoint: [], shared: [] },
  };
}

function addRow(
  rows: MatchingRows,
  row: {
    matches: Matches;
    i: number;
    found: boolean;
    change: MatchingChange;
    a: number;
    b: number;
    claimA: string;
    claimB: string;
  },
): void {
  const { matches, i } = row;
  rows.a.push(row.a);
  rows.b.push(row.b);
  rows.change.push(row.change);
  rows.claimA.push(row.claimA);
  rows.claimB.push(row.claimB);
  rows.found.push(row.found ? 1 : 0);
  rows.score.push(shownScore(matches.score[i]));
  rows.cosineBase.push(shownScore(matches.cosineBase[i]));
  rows.cosineFinetuned.push(shownScore(matches.cosineFinetuned[i]));
  rows.cosineJoint.push(shownScore(matches.cosineJoint[i]));
  rows.shared.push(matches.shared[i] ?? null);
}

/** Six decimals: more than f32 rows carry, and a third of the bytes. */
function shownScore(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : Number(value.toFixed(6));
}
