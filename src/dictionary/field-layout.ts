// Between our weight rows [nLatents, width] and the field's tensors: one site's block at a time.
//
// A site's block is [dModel, nLatents] in encoder.weight (latentsLast) and [nLatents, dModel] in decoder.weight. The field
// stacks the blocks of sites of one width into one tensor; sites of different width keep a tensor each.

export interface SiteBlock {
  /** Columns of our rows: the sites' widths together. */
  width: number;
  /** First column of this site. */
  from: number;
  /** Its width. */
  dModel: number;
  nLatents: number;
  /** true: the encoder's axes; false: the decoder's. */
  latentsLast: boolean;
}

/** Index in the block of our element (latent, i), as base + i · stride. */
function place({ dModel, nLatents, latentsLast }: SiteBlock, latent: number): [number, number] {
  return latentsLast ? [latent, nLatents] : [latent * dModel, 1];
}

/** Columns of one site of rows [nLatents, width] f32 → target [nLatents · dModel] in the field's order. */
export function rowsToBlock(rows: Float32Array, target: Float32Array, block: SiteBlock): void {
  const { width, from, dModel, nLatents } = block;
  for (let latent = 0; latent < nLatents; latent += 1) {
    const [base, stride] = place(block, latent);
    const start = latent * width + from;
    for (let i = 0; i < dModel; i += 1) target[base + i * stride] = rows[start + i];
  }
}

/** The inverse: a site's block in the field's order → its columns of target [nLatents, width]. */
export function rowsFromBlock(source: Float32Array, target: Float32Array, block: SiteBlock): void {
  const { width, from, dModel, nLatents } = block;
  for (let latent = 0; latent < nLatents; latent += 1) {
    const [base, stride] = place(block, latent);
    const start = latent * width + from;
    for (let i = 0; i < dModel; i += 1) target[start + i] = source[base + i * stride];
  }
}
