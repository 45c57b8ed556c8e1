// GET of two dictionaries side by side, and of their latents matched, as server-sent events.

import { join } from "node:path";
import { Hono } from "hono";
import { z } from "zod";
import { MODEL_FILE } from "../../dictionary/dictionary-file.ts";
import { measurePaths } from "../../measure/measure-files.ts";
import { sideOf } from "../../measure/stability.ts";
import { claimsHash } from "../../measure/stability-file.ts";
import type { Comparison, Matching, MatchingEvent } from "../api-contract.ts";
import { directionWay, placeWay, readComparison } from "../comparison/compared.ts";
import { type MatchedDictionary, SIDE_CODES } from "../comparison/match-contract.ts";
import { askedOf, type ClaimedDictionary, matchingOf } from "../comparison/match-rows.ts";
import { runMatching } from "../comparison/run-matching.ts";
import { createSharedWork } from "../comparison/shared-work.ts";
import type { DictionaryView } from "../dictionary-view.ts";
import { ApiFailure, checked } from "../errors-out.ts";
import { eventStream } from "../event-stream.ts";
import { fileState } from "../file-memo.ts";
import type { ReadContext } from "../study-source.ts";
import { dictionaryOf, requireMade } from "./dictionary-of.ts";

export const COMPARE_LIMITS = {
  /** Matchings kept, some megabytes each at 73,728 latents. */
  kept: 4,
  /** Matchings under way or waiting; one is computed at a time. */
  pending: 4,
  /** Characters of a dictionary's name. */
  name: 200,
} as const;

const Other = {
  otherStudy: z.string().max(9),
  other: z.string().min(1).max(COMPARE_LIMITS.name),
};
const CompareQuery = z.strictObject(Other);
const MatchesQuery = z.strictObject({
  ...Other,
  by: z.enum(["direction", "place"]).default("direction"),
  latents: z.enum(["claims", "all"]).default("claims"),
});

/** Mounted at /api/studies. */
export function createCompareRoutes({
  source,
  reportFault,
}: Pick<ReadContext, "source"> & { reportFault: (error: unknown) => void }) {
  const work = createSharedWork<Matching>(COMPARE_LIMITS);
  const both = async (
    path: { study: string; dictionary: string },
    { otherStudy, other }: { otherStudy: string; other: string },
  ) => ({
    a: await dictionaryOf(source, path),
    b: await dictionaryOf(source, { study: otherStudy, dictionary: other }),
  });
  return new Hono()
    .get("/:study/:dictionary/compare", checked("query", CompareQuery), async (c) => {
      const { a, b } = await both(c.req.param(), c.req.valid("query"));
      return c.json<Comparison>(await readComparison(a, b));
    })
    .get("/:study/:dictionary/compare/matches", checked("query", MatchesQuery), async (c) => {
      const { by, latents, ...place } = c.req.valid("query");
      const { a, b } = await both(c.req.param(), place);
      const [ofA, ofB] = [await readSide(a, latents), await readSide(b, "claims")];
      const { way, documents } =
        by === "place" ? await placeWay(a, b) : { way: await directionWay(a, b), documents: null };
      if (!way.isPossible)
        throw new ApiFailure(409, way.words, by === "place" ? "" : "compare them by where they fire");
      const key = [by, latents, way.halves, documents !== null, ofA.identity, ofB.identity].join(" ");
      const { signal } = c.req.raw;
      const events = async function* (): AsyncGenerator<MatchingEvent> {
        const found = work.run(
          key,
          async (run) => {
            const result = await runMatching(
              {
                ...{ by, halves: way.halves },
                a: { ...ofA.matched, documentsPath: documents?.a ?? null },
                b: { ...ofB.matched, documentsPath: documents?.b ?? null },
              },
              run,
            );
            return matchingOf({ by, latents, halves: way.halves, a: ofA.claimed, b: ofB.claimed, result });
          },
          signal,
        );
        for await (const event of found) {
          if (event.kind === "progress") yield { kind: "progress", ...event.progress };
          else yield { kind: "matching", matching: event.value };
        }
      };
      return eventStream(events(), { signal, reportFault });
    });
}

interface CompareSide {
  claimed: ClaimedDictionary;
  matched: MatchedDictionary;
  /** Equal: the same matching. */
  identity: string;
}

/** Throws ApiFailure 409 for a dictionary that is not measured. */
async function readSide(view: DictionaryView, latents: Matching["latents"]): Promise<CompareSide> {
  const { deltaNorm, claims, nLatents } = requireMade(
    await view.part("measure", async ({ table, summary }) => ({
      deltaNorm: await table.numbers("deltaNorm"),
      claims: await table.strings("claim"),
      nLatents: summary.nLatents,
    })),
  );
  const claimed: ClaimedDictionary = { nLatents, claims };
  const sides = Uint8Array.from(deltaNorm, (value) => SIDE_CODES.indexOf(sideOf(value)));
  const examplesPath = measurePaths(view.folder).examples;
  const measured = claims.map((claim, latent) => ({ claim, deltaNorm: deltaNorm[latent] }));
  return {
    claimed,
    matched: {
      ...{ modelPath: join(view.folder, MODEL_FILE), examplesPath, nLatents, documentsPath: null },
      asked: askedOf(claimed, { latents, sides }),
    },
    identity: [await view.sha256(), claimsHash(measured), await fileState(examplesPath)].join("/"),
  };
}
