// Latents of two dictionaries of one space matched by their decoder rows: each along its own side's half, mutual nearest, as stability does.
//
// Asked latents are few (claims) or all. A partner's own nearest is sought among all latents, so that a latent that was not asked can be the better
// partner. Cosines given are f64, of the stored rows. Firing is not looked at here: measure/stability.ts does, match-places.ts in its way.

import { createGemm } from "../../compute/gemm.ts";
import { throwIfInterrupted } from "../../errors.ts";
import type { ModelSide } from "../../store/store-contract.ts";
import type { DecoderFile, DecoderHalf } from "./decoder-rows.ts";
import {
  type Asked,
  emptyMatches,
  type Matches,
  type MatchResult,
  type MatchRun,
  SIDE_CODES,
} from "./match-contract.ts";
import { nearestDirections } from "./nearest-directions.ts";

/** Pairs whose rows are read together. */
const PAIRS_AT_A_TIME = 64;

export interface DirectionsOptions extends MatchRun {
  a: { decoder: DecoderFile; asked: Asked };
  b: { decoder: DecoderFile; asked: Asked };
  halves: readonly ModelSide[];
  threads?: number;
  tile?: { rows: number; columns: number };
}

/** Throws MismatchError for a half of different width, FormatError from the files, InterruptedError. */
export async function matchDirections(options: DirectionsOptions): Promise<MatchResult> {
  const { a, b, threads = 1 } = options;
  const gemm = await createGemm({ threads });
  try {
    const one = async (from: typeof a, among: typeof b): Promise<Matches> => {
      const matches = emptyMatches(from.asked.latents);
      for (const side of options.halves) await matchHalf({ ...options, gemm, from, among, side, matches });
      await addCosines(matches, { ...options, from: from.decoder, among: among.decoder });
      for (let i = 0; i < matches.latents.length; i += 1) {
        const side = SIDE_CODES[from.asked.sides[i]];
        matches.score[i] = side === "base" ? matches.cosineBase[i] : matches.cosineFinetuned[i];
      }
      return matches;
    };
    return { a: await one(a, b), b: await one(b, a) };
  } finally {
    await gemm.dispose();
  }
}

async function matchHalf({
  from,
  among,
  side,
  matches,
  ...run
}: Pick<DirectionsOptions, "signal" | "report" | "tile"> & {
  gemm: Awaited<ReturnType<typeof createGemm>>;
  from: DirectionsOptions["a"];
  among: DirectionsOptions["b"];
  side: ModelSide;
  matches: Matches;
}): Promise<void> {
  const [mine, theirs] = [from.decoder.half(side), among.decoder.half(side)];
  if (mine === undefined || theirs === undefined) return;
  const places = Array.from(from.asked.sides.keys()).filter((i) => SIDE_CODES[from.asked.sides[i]] === side);
  const latents = Uint32Array.from(places, (i) => from.asked.latents[i]);
  const pass = (asking: DecoderHalf, asked: Uint32Array, all: DecoderHalf, words: string) => {
    let done = 0;
    const total = asked.length * all.nLatents;
    return nearestDirections({
      ...{ ...run, from: asking, latents: asked, among: all },
      onTile: (more) => {
        done += more;
        run.report?.(words, done, total);
      },
    });
  };
  const partners = await pass(mine, latents, theirs, `the nearest ${side} decoder rows`);
  const found = Uint32Array.from(new Set(partners.filter((partner) => partner >= 0))).sort();
  const back = await pass(theirs, found, mine, `whether they are nearest in turn, ${side} rows`);
  const nearestOf = new Map(Array.from(found, (partner, i) => [partner, back[i]]));
  places.forEach((place, i) => {
    matches.partner[place] = partners[i];
    matches.compared[place] = partners[i] >= 0 ? 1 : 0;
    matches.mutual[place] = partners[i] >= 0 && nearestOf.get(partners[i]) === latents[i] ? 1 : 0;
  });
}

/** Of every pair: along the base rows, the finetuned rows, and both side by side. */
async function addCosines(
  matches: Matches,
  {
    from,
    among,
    halves,
    signal,
    report,
  }: MatchRun & { from: DecoderFile; among: DecoderFile; halves: readonly ModelSide[] },
): Promise<void> {
  const { latents, partner } = matches;
  const empty = (): Float64Array => new Float64Array(latents.length).fill(Number.NaN);
  const cosines: Record<ModelSide, Float64Array> = { base: empty(), finetuned: empty() };
  const joint = empty();
  const both = halves.flatMap((side) => {
    const [mine, theirs] = [from.half(side), among.half(side)];
    return mine === undefined || theirs === undefined ? [] : [{ side, mine, theirs }];
  });
  for (let start = 0; start < latents.length; start += PAIRS_AT_A_TIME) {
    throwIfInterrupted(signal);
    const size = Math.min(PAIRS_AT_A_TIME, latents.length - start);
    await Promise.all(
      Array.from({ length: size }, async (_, k) => {
        const i = start + k;
        if (partner[i] < 0) return;
        const sums = { inner: 0, mine: 0, theirs: 0 };
        for (const { side, mine, theirs } of both) {
          const [x, y] = [new Float32Array(mine.width), new Float32Array(theirs.width)];
          await Promise.all([mine.readRow(latents[i], x), theirs.readRow(partner[i], y)]);
          const of = innerProducts(x, y);
          cosines[side][i] = cosineOf(of);
          for (const name of ["inner", "mine", "theirs"] as const) sums[name] += of[name];
        }
        if (both.length === SIDE_CODES.length) joint[i] = cosineOf(sums);
      }),
    );
    report?.("cosines of the pairs", start + size, latents.length);
  }
  Object.assign(matches, {
    cosineBase: cosines.base,
    cosineFinetuned: cosines.finetuned,
    cosineJoint: joint,
  });
}

function innerProducts(x: Float32Array, y: Float32Array): { inner: number; mine: number; theirs: number } {
  const sums = { inner: 0, mine: 0, theirs: 0 };
  for (let c = 0; c < x.length; c += 1) {
    sums.inner += x[c] * y[c];
    sums.mine += x[c] * x[c];
    sums.theirs += y[c] * y[c];
  }
  return sums;
}

/** In [−1, 1]; NaN where a row has no direction. */
function cosineOf({ inner, mine, theirs }: { inner: number; mine: number; theirs: number }): number {
  if (!(mine > 0 && theirs > 0)) return Number.NaN;
  return Math.max(-1, Math.min(1, inner / Math.sqrt(mine * theirs)));
}
