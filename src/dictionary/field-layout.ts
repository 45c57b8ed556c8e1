// Between our weight rows [nLatents, nSites · dModel] and the field's tensors, one block a site.
//
// encoder.weight is [nSites, dModel, nLatents] (latentsLast), decoder.weight [nSites, nLatents, dModel].

export interface FieldShape {
  nSites: number;
  dModel: number;
  nLatents: number;
  /** true: the encoder's axes; false: the decoder's. */
  latentsLast: boolean;
}

/** Index in the field's tensor of our element (latent, site, i), as base + i · stride. */
function place(
  { dModel, nLatents, latentsLast }: FieldShape,
  site: number,
  latent: number,
): [number, number] {
  return latentsLast
    ? [site * dModel * nLatents + latent, nLatents]
    : [(site * nLatents + latent) * dModel, 1];
}

/** rows [nLatents, nSites · dModel] f32 → a fresh array in the field's order. */
export function rowsToField(rows: Float32Array, shape: FieldShape): Float32Array {
  const { nSites, dModel, nLatents } = shape;
  const field = new Float32Array(rows.length);
  for (let site = 0; site < nSites; site += 1) {
    for (let latent = 0; latent < nLatents; latent += 1) {
      const [base, stride] = place(shape, site, latent);
      const start = (latent * nSites + site) * dModel;
      for (let i = 0; i < dModel; i += 1) field[base + i * stride] = rows[start + i];
    }
  }
  return field;
}

/** The inverse: a tensor in the field's order → fresh rows [nLatents, nSites · dModel]. */
export function rowsFromField(field: Float32Array, shape: FieldShape): Float32Array {
  const { nSites, dModel, nLatents } = shape;
  const rows = new Float32Array(field.length);
  for (let site = 0; site < nSites; site += 1) {
    for (let latent = 0; latent < nLatents; latent += 1) {
      const [base, stride] = place(shape, site, latent);
      const start = (latent * nSites + site) * dModel;
      for (let i = 0; i < dModel; i += 1) rows[start + i] = field[base + i * stride];
    }
  }
  return rows;
}
