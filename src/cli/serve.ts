// tunediff serve STUDY…: the dashboard over one or more studies, until Ctrl-C.

import { cpus } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Dashboard } from "../dashboard/start.ts";
import { ConfigError } from "../errors.ts";
import { parseNumberOption } from "./compare.ts";
import { openBrowser } from "./open-browser.ts";
import { interruptSignal } from "./session.ts";
import { describeError, pc } from "./terminal.ts";

interface ServeFlags {
  port: string;
  host?: string;
  open?: boolean;
  labs?: boolean;
  json?: boolean;
}

const HIGHEST_PORT = 65_535;

export function addServeCommand(program: Command): void {
  program
    .command("serve")
    .description(
      "open the dashboard over one or more studies; it shows what they have, and writes notes alone",
    )
    .argument("<study...>", "study folders; half-finished and running ones, too")
    .option("--port <n>", "port to listen at (0: a free one)", "0")
    .option("--host <address>", "address to listen at (default: 127.0.0.1, this machine alone)")
    .option("--open", "open the browser")
    .option("--labs", "let the page load both models for the prompt lab and the steering lab (the default)")
    .option("--no-labs", "never load the models: no prompt lab, no steering lab")
    .option("--json", "print address and port as one JSON object on stdout")
    .addHelpText(
      "after",
      `
The address that is printed lets a browser in; whoever has it can read the studies and write notes, as long as the server runs.
From another machine: ssh -L 8080:127.0.0.1:8080 MACHINE, with serve --port 8080 on it.
`,
    )
    .action(async (studies: string[], flags: ServeFlags) => {
      const interrupt = interruptSignal();
      try {
        await serveUntil(interrupt.signal, { studies, flags });
      } finally {
        interrupt.release();
      }
    });
}

async function serveUntil(
  signal: AbortSignal,
  { studies, flags }: { studies: string[]; flags: ServeFlags },
): Promise<void> {
  const port = parsePort(flags.port);
  // The other commands need none of the server's code.
  const { startDashboard } = await import("../dashboard/start.ts");
  const dashboard = await startDashboard({
    folders: studies.map((study) => resolve(study)),
    ...{ port, host: flags.host },
    labs: flags.labs !== false ? { state: "made", value: { threads: cpus().length } } : undefined,
    reportFault: (error) => process.stderr.write(`${describeError(error).text}\n`),
  });
  let removeFile = async (): Promise<void> => {};
  try {
    process.stderr.write(`${serveText(dashboard, { studies, host: flags.host })}\n`);
    if (flags.json === true) {
      process.stdout.write(
        `${JSON.stringify({ schemaVersion: 1, url: dashboard.url, port: dashboard.port })}\n`,
      );
    }
    if (flags.open === true) {
      const { opened, remove } = await openBrowser(dashboard.url);
      removeFile = remove;
      void opened.then((isOpen) => {
        if (!isOpen) process.stderr.write("no browser could be opened; open the address above\n");
      });
    }
    await aborted(signal);
  } finally {
    await removeFile();
    await dashboard.close();
  }
}

function parsePort(text: string): number {
  const port = parseNumberOption("--port", text) ?? 0;
  if (Number.isInteger(port) && port >= 0 && port <= HIGHEST_PORT) return port;
  throw new ConfigError(`--port: expected a whole number from 0 to ${HIGHEST_PORT}, got ${text}`, {
    hint: "leave it out: a free port is found",
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The opening lines for people. Pure. */
export function serveText(
  { url, isOpenToNetwork, hasPage }: Pick<Dashboard, "url" | "isOpenToNetwork" | "hasPage">,
  { studies, host }: { studies: readonly string[]; host?: string },
): string {
  const what = studies.length === 1 ? studies[0] : `${studies.length} studies`;
  const lines = [`${pc.bold("tunediff")} shows ${what} at`, "", `  ${pc.cyan(url)}`, ""];
  if (isOpenToNetwork) {
    lines.push(
      `${pc.yellow("warning:")} --host ${host} opens it to other machines (there with this one's name in the address), unencrypted: whoever reads the traffic can read the studies`,
    );
  }
  if (!hasPage) {
    lines.push(
      `${pc.yellow("warning:")} the page has not been built, only its data is served: npm run build:web`,
    );
  }
  lines.push("Ctrl-C ends it");
  return lines.join("\n");
}
