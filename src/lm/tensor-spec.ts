// The name and shape of a tensor that a checkpoint must hold.

/** In the checkpoint's own layout: linear weights are [out, in]. */
export interface TensorSpec {
  name: string;
  shape: readonly number[];
}
