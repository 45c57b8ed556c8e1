// The command line run from sources, so that tests need no build: node --import tsx test/cli-entry.ts ARGS.

import { main } from "../src/cli/main.ts";

await main(process.argv.slice(2));
