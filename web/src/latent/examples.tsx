// Examples of a latent by bin, tokens shaded by activation; under the pointer or the arrow keys a token says its numbers.

import { useInfiniteQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import type { Example } from "../../../src/dashboard/api-contract.ts";
import { type DictionaryPlace, readExamples } from "../api.ts";
import { formatCount, formatNumber } from "../format.ts";
import { goTo } from "../location.ts";
import { Empty, Failure, Loading } from "../parts/states.tsx";
import type { Side } from "../parts/token.tsx";
import { FRESH_MS } from "../queries.ts";
import { ExampleText } from "./example-text.tsx";

const PAGE = 20;
/** Bins of examples.sqlite: the strongest, then a sample of fifths of the range, weakest first. */
const BINS: readonly (readonly [number, string])[] = [
  [-1, "strongest"],
  [4, "sample, 80 to 100 % of the greatest"],
  [3, "sample, 60 to 80 %"],
  [2, "sample, 40 to 60 %"],
  [1, "sample, 20 to 40 %"],
  [0, "sample, below 20 %"],
];
const FIRST_BIN = -1;

export function Examples(options: {
  place: DictionaryPlace;
  latent: number;
  side: Side;
  query: URLSearchParams;
}): ReactNode {
  const { place, latent, side, query } = options;
  const asked = Number(query.get("bin") ?? FIRST_BIN);
  const bin = BINS.some(([number]) => number === asked) ? asked : FIRST_BIN;
  const pages = useInfiniteQuery({
    queryKey: [place.study, place.dictionary, "examples", latent, bin],
    queryFn: ({ pageParam }) => readExamples(place, { latent, bin, from: pageParam, count: PAGE }),
    initialPageParam: 0,
    getNextPageParam: (last, all) => {
      const nRead = all.reduce((sum, { examples }) => sum + examples.length, 0);
      return last.examples.length > 0 && nRead < last.total ? nRead : undefined;
    },
    staleTime: FRESH_MS.derived,
  });
  const examples = pages.data?.pages.flatMap((page) => page.examples) ?? [];
  const total = pages.data?.pages[0].total ?? 0;
  const greatest = Math.max(...examples.map(({ maxActivation }) => maxActivation), 0);
  return (
    <>
      <div className="bar">
        <label>
          Examples{" "}
          <select
            value={bin}
            onChange={(event) => {
              const next = new URLSearchParams(query);
              next.set("bin", event.target.value);
              goTo(next, { replace: true });
            }}
          >
            {BINS.map(([number, words]) => (
              <option key={number} value={number}>
                {words}
              </option>
            ))}
          </select>
        </label>
        {pages.isSuccess && (
          <span className="note">
            {formatCount(examples.length)} of {formatCount(total)}. Shaded by activation; the peak is
            underlined. Point at a token, or step through one text with ← and →, for its numbers.
          </span>
        )}
      </div>
      {pages.isPending && <Loading what="the examples" />}
      {pages.isError && <Failure error={pages.error} retry={() => pages.refetch()} />}
      {pages.isSuccess && examples.length === 0 && <Empty>No examples here.</Empty>}
      <ol className={`examples ${side}`}>
        {examples.map((example) => (
          <li key={`${example.bin} ${example.rank}`}>
            <p className="at">{formatNumber(example.maxActivation)}</p>
            <ExampleText example={example} most={greatest} />
            <p className="source">{sourceOf(example)}</p>
          </li>
        ))}
      </ol>
      {pages.hasNextPage && (
        <button type="button" disabled={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>
          {pages.isFetchingNextPage ? "loading…" : "More"}
        </button>
      )}
    </>
  );
}

function sourceOf({ dataset, documentId, rowStart }: Example): ReactNode {
  return (
    <bdi>
      {dataset} · {documentId} · row {rowStart}
    </bdi>
  );
}
