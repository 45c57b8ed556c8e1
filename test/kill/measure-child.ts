// A measurement in a process of its own, to be killed: measure-child.ts STORE DICTIONARY. Prints a line a report of progress.

import { loadDictionary } from "../../src/dictionary/dictionary-file.ts";
import { measure } from "../../src/measure/measure.ts";
import { openRowSource } from "../../src/store/row-source.ts";

const [storeFolder, folder] = process.argv.slice(2);
const source = await openRowSource(storeFolder);
await measure({
  ...{ store: source, folder, dictionary: await loadDictionary(folder) },
  tokenString: (id) => `t${id}`,
  commitIntervalMs: 0,
  reportProgress: ({ done }) => process.stdout.write(`${done}\n`),
});
await source.close();
