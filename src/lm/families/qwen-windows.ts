// Which layers of a Qwen model see a window only: none unless `use_sliding_window`, then those from `max_window_layers` up.
//
// transformers, configuration_qwen2.py and configuration_qwen3.py. Not a family.

import { z } from "zod";
import { flag, integer, readFields } from "../config-fields.ts";
import { readLayerWindows } from "../decoder-fields.ts";

export const QWEN_DEFAULTS = {
  num_key_value_heads: 32,
  max_position_embeddings: 32_768,
  use_sliding_window: false,
  sliding_window: 4096,
  max_window_layers: 28,
};

const own = z.object({ use_sliding_window: flag(), max_window_layers: integer(0, 1000) });

/** raw: config.json over QWEN_DEFAULTS. Throws FormatError naming the key. */
export function readQwenWindows(raw: object, place: string, nLayers: number): (number | undefined)[] {
  const { use_sliding_window: isOn, max_window_layers: first } = readFields(own, raw, place);
  const stated = isOn ? raw : { ...raw, sliding_window: null };
  const hasWindow = Reflect.get(stated, "sliding_window") !== null;
  return readLayerWindows(stated, place, { nLayers, isSliding: (layer) => hasWindow && layer >= first });
}
