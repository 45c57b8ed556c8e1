// People's notes as a part of a page: what is in notes.sqlite, or why it cannot be read, so that the rest of the page stands.
//
// Reading changes nothing: a damaged file stays as it is until a person puts a copy back.

import { dirname } from "node:path";
import { TunediffError } from "../errors.ts";
import type { Part } from "./api-contract.ts";
import type { Notes } from "./notes.ts";
import { partOf } from "./parts.ts";

/** What `read` makes of the notes; "damaged", in their own words and with the next step, for a file that cannot be read. */
export async function notesPart<T>(notes: Notes, read: (notes: Notes) => T | Promise<T>): Promise<Part<T>> {
  let nextStep = "";
  const part = await partOf(
    { what: "the notes", command: "", folder: dirname(notes.path), isRunning: false },
    async () => {
      try {
        notes.views(""); // opens and checks the file, whatever is asked
        return await read(notes);
      } catch (error) {
        if (error instanceof TunediffError) nextStep = error.hint ?? "";
        throw error;
      }
    },
  );
  if (part.state === "made" || nextStep === "") return part;
  return { ...part, words: `${part.words.replace(/[.:]?$/, ".")} Next: ${nextStep}.` };
}
