// A set of latents in few characters: ranges, "0-99,105", or a bit each where they are too scattered for that.

/** Characters of ranges above which bits are sent: well below what a request may hold. */
const LONGEST_RANGES = 50_000;

/** As SelectionRequest takes it. latents: in any order, each once. */
export function writeLatents(latents: Uint32Array, nLatents: number): string {
  if (latents.length === nLatents) return "all";
  const ranges = writeLatentRanges(latents);
  return ranges.length <= LONGEST_RANGES ? ranges : writeLatentBits(latents, nLatents);
}

/** "bits:" and base64, a bit a latent, the lowest of a byte first. */
export function writeLatentBits(latents: Iterable<number>, nLatents: number): string {
  const bytes = new Uint8Array(Math.ceil(nLatents / 8));
  for (const latent of latents) bytes[latent >> 3] |= 1 << (latent & 7);
  let characters = "";
  for (const byte of bytes) characters += String.fromCharCode(byte);
  return `bits:${btoa(characters)}`;
}

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
