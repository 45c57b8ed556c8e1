// The slow, readable twin of select-latents.ts: one latent at a time, plain values. For tests only.

import { type ColumnValues, isInside, type SelectionInput } from "./select-latents.ts";

export function selectLatentsReference(input: SelectionInput): number[] {
  const { nLatents, state, columns, found, starred, tagged } = input;
  const valueAt = (name: string, latent: number): number | string | undefined =>
    value(columns.get(name), latent);
  const passes = (latent: number): boolean =>
    state.ranges.every(({ column, low, high }) => {
      const number = valueAt(column, latent);
      if (typeof number !== "number") return true;
      return !Number.isNaN(number) && number >= (low ?? -Infinity) && number <= (high ?? Infinity);
    }) &&
    state.categories.every(({ column, words }) => {
      const word = valueAt(column, latent);
      return typeof word !== "string" || words.includes(word);
    }) &&
    (state.lasso === null ||
      isInside(
        state.lasso.points,
        Number(valueAt(state.lasso.x, latent)),
        Number(valueAt(state.lasso.y, latent)),
      )) &&
    (found === null || found.has(latent)) &&
    (!state.starred || starred.has(latent)) &&
    (state.tag === "" || tagged.has(latent));

  const shown = Array.from({ length: nLatents }, (_, latent) => latent).filter(passes);
  const { sort } = state;
  if (sort === null) return shown;
  if (sort.column === "latent") return sort.descending ? shown.reverse() : shown;
  const isMissing = (key: number | string | undefined): boolean =>
    key === undefined || key === "" || Number.isNaN(key);
  const present = shown.filter((latent) => !isMissing(valueAt(sort.column, latent)));
  const missing = shown.filter((latent) => isMissing(valueAt(sort.column, latent)));
  const compare = (a: number, b: number): number => {
    const [left, right] = [valueAt(sort.column, a)!, valueAt(sort.column, b)!];
    const upward = left < right ? -1 : left > right ? 1 : 0;
    return upward === 0 ? a - b : sort.descending ? -upward : upward;
  };
  return [...present.sort(compare), ...missing];
}

function value(column: ColumnValues | undefined, latent: number): number | string | undefined {
  if (column === undefined) return undefined;
  if (column.kind === "number") return column.values[latent];
  return column.kind === "category" ? column.words[column.codes[latent]] : column.texts[latent];
}
