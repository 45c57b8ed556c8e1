// Numbers from the address and from fields: bounded, and null for what is none.

/** A whole number within bounds, both inclusive. */
export function boundedInteger(text: string | null, [low, high]: readonly [number, number]): number | null {
  if (text === null || !/^\s*\d+\s*$/.test(text)) return null;
  const value = Number(text);
  return value >= low && value <= high ? value : null;
}

/** Any number within bounds; a comma or a true minus sign are understood, too. */
export function boundedNumber(text: string | null, [low, high]: readonly [number, number]): number | null {
  const plain = (text ?? "").trim().replace(",", ".").replace("\u2212", "-");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return null;
  const value = Number(plain);
  return value >= low && value <= high ? value : null;
}

/** "12~40~12" → [12, 40]. */
export function readLatents(text: string): number[] {
  const numbers = text.split(/[~,\s]+/).map((part) => boundedInteger(part, [0, Number.MAX_SAFE_INTEGER]));
  return [...new Set(numbers.filter((number) => number !== null))];
}

/** "0, 2, 5-7" → [0, 2, 5, 6, 7]; null for what is no list of seeds, is empty, or longer than `most`. */
export function parseSeeds(text: string, most: number): number[] | null {
  const seeds = new Set<number>();
  for (const part of text.split(/[,\s]+/).filter((word) => word !== "")) {
    const [, from, to] = /^(\d{1,10})(?:[-–](\d{1,10}))?$/.exec(part) ?? [];
    if (from === undefined) return null;
    const last = Number(to ?? from);
    if (last > LAST_SEED || last < Number(from) || last - Number(from) >= most) return null;
    for (let seed = Number(from); seed <= last; seed += 1) seeds.add(seed);
  }
  return seeds.size > 0 && seeds.size <= most ? [...seeds] : null;
}

/** Seeds are u32. */
const LAST_SEED = 2 ** 32 - 1;

/** 0.30000000000000004 → "0.3". */
export function plainNumber(value: number): string {
  return String(Number(value.toPrecision(12)));
}
