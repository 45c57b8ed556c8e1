// A selection of latents as Parquet, a row group a stretch of rows: exact numbers and text, NaN for no value.

import type { ParquetColumn } from "../../formats/parquet.ts";
import { streamParquet } from "../../formats/parquet-stream.ts";
import { type Selection, stretches, textOf } from "./selection.ts";

/** The file's bytes in order. metadata: key-value metadata of the file. */
export function selectionParquet(
  selection: Selection,
  metadata: Record<string, string> = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { columns } = selection;
  const groups = async function* (): AsyncGenerator<ParquetColumn[]> {
    for await (const latents of stretches(selection)) {
      yield [
        { name: "latent", type: "INT32", data: Int32Array.from(latents) },
        ...columns.map(({ name, data }): ParquetColumn => {
          if (data.kind === "number") {
            const { values } = data;
            return { name, type: "DOUBLE", data: Float64Array.from(latents, (latent) => values[latent]) };
          }
          return { name, type: "STRING", data: Array.from(latents, (latent) => textOf(data, latent)) };
        }),
      ];
    }
  };
  return streamParquet({
    columns: [
      { name: "latent", type: "INT32" },
      ...columns.map(({ name, data }) => ({
        name,
        type: data.kind === "number" ? ("DOUBLE" as const) : ("STRING" as const),
      })),
    ],
    metadata,
    groups: groups(),
  });
}
