#!/usr/bin/env node
// The command line's entry: hands over to the built program (src/cli).
import { main } from "../dist/src/cli/main.js";

await main(process.argv.slice(2));
