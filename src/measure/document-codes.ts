// The sparse codes of one document, turned from "latents of a row" into "rows of a latent".
//
// Documents arrive row by row; when one is complete every latent that fired in it is visited once, with its rows
// ascending. That is what per-document counts and examples need, at the cost of one pass over the non-zeros.

/** Rows and activations of one latent in the current document; views that are overwritten by the next visit. */
export interface FiringsInDocument {
  /** Store rows, ascending. */
  rows: Uint32Array;
  /** code × W of each. */
  activations: Float32Array;
}

export interface DocumentCodes {
  add(latent: number, row: number, activation: number): void;
  /** Visits every latent that fired since the last flush, in order of first firing, then starts empty. */
  flush(visit: (latent: number, firings: FiringsInDocument) => void): void;
}

export function createDocumentCodes(nLatents: number): DocumentCodes {
  const count = new Uint32Array(nLatents);
  const place = new Uint32Array(nLatents);
  const touched: number[] = [];
  let capacity = 1024;
  let size = 0;
  let latents = new Uint32Array(capacity);
  let rows = new Uint32Array(capacity);
  let activations = new Float32Array(capacity);
  let sortedRows = new Uint32Array(capacity);
  let sortedActivations = new Float32Array(capacity);

  const grow = (): void => {
    capacity *= 2;
    const larger = <T extends Uint32Array | Float32Array>(old: T, fresh: T): T => {
      fresh.set(old);
      return fresh;
    };
    latents = larger(latents, new Uint32Array(capacity));
    rows = larger(rows, new Uint32Array(capacity));
    activations = larger(activations, new Float32Array(capacity));
    sortedRows = new Uint32Array(capacity);
    sortedActivations = new Float32Array(capacity);
  };

  return {
    add(latent, row, activation) {
      if (size === capacity) grow();
      if (count[latent] === 0) touched.push(latent);
      count[latent] += 1;
      latents[size] = latent;
      rows[size] = row;
      activations[size] = activation;
      size += 1;
    },
    flush(visit) {
      let start = 0;
      for (const latent of touched) {
        place[latent] = start;
        start += count[latent];
      }
      for (let i = 0; i < size; i += 1) {
        const at = place[latents[i]]++;
        sortedRows[at] = rows[i];
        sortedActivations[at] = activations[i];
      }
      for (const latent of touched) {
        const end = place[latent];
        const from = end - count[latent];
        visit(latent, {
          rows: sortedRows.subarray(from, end),
          activations: sortedActivations.subarray(from, end),
        });
        count[latent] = 0;
      }
      touched.length = 0;
      size = 0;
    },
  };
}
