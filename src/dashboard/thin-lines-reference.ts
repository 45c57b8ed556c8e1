// thin-lines.ts as one would explain it: the whole log at once, every bucket by its definition. Slow; a test holds the two together.

import type { TrainingLine } from "./api-contract.ts";
import { QUANTITIES } from "./thin-lines.ts";

export function thinReference(lines: readonly TrainingLine[], buckets: number): TrainingLine[] {
  const widths = Array.from({ length: 40 }, (_, k) => 2 ** k);
  const bucketOf = (line: TrainingLine, width: number): number => Math.floor(line.step / width);
  const width = widths.find(
    (steps) => bucketOf(lines[lines.length - 1], steps) - bucketOf(lines[0], steps) < buckets,
  ) as number;
  return lines.filter((line) => {
    const own = lines.filter((other) => bucketOf(other, width) === bucketOf(line, width));
    if (line === own[0] || line === own.at(-1)) return true;
    return QUANTITIES.some((quantity) => {
      const numbers = own.flatMap((other) => quantity(other) ?? []);
      const value = quantity(line);
      if (typeof value !== "number") return own.find((other) => typeof quantity(other) !== "number") === line;
      return [Math.min(...numbers), Math.max(...numbers)].some(
        (extreme) => own.find((other) => quantity(other) === extreme) === line,
      );
    });
  });
}
