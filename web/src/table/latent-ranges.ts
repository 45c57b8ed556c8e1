// A set of latents in few characters: "0-99,105".

/** latents: in any order, each once. */
export function writeLatentRanges(latents: Iterable<number>): string {
  const sorted = Uint32Array.from(latents).sort();
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (end + 1 < sorted.length && sorted[end + 1] === sorted[end] + 1) end += 1;
    parts.push(end === i ? String(sorted[i]) : `${sorted[i]}-${sorted[end]}`);
    i = end + 1;
  }
  return parts.join(",");
}
