// `tunediff serve` as a person runs it: the address, Ctrl-C with a stream open, and what it refuses.

import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startCli } from "../../test/run-cli.ts";
import { ConfigError } from "../errors.ts";
import { openBrowser } from "./open-browser.ts";
import { addServeCommand, serveText } from "./serve.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cli-serve-"));
  await writeFile(join(folder, "study.yaml"), "schemaVersion: 1\nbase: a\nfinetuned: b\ndata: c.jsonl\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ADDRESS = /http:\/\/127\.0\.0\.1:(\d+)\/#token=([\w-]{43})/;

test("it prints the address, lets its token in, and Ctrl-C ends it with 0 while a connection is open", async () => {
  let signedIn: Promise<number> | undefined;
  const result = await startCli(["serve", folder, "--json"], {
    onStderr: (text, child) => {
      const [, port, token] = ADDRESS.exec(text) ?? [];
      if (token === undefined || signedIn !== undefined) return;
      const origin = `http://127.0.0.1:${port}`;
      signedIn = fetch(`${origin}/api/session`, {
        ...{ method: "POST", body: JSON.stringify({ token }) },
        headers: {
          origin,
          "sec-fetch-site": "same-origin",
          "content-type": "application/json",
          "x-tunediff": "1",
        },
      })
        .then((response) => response.status)
        .finally(() => child.kill("SIGINT"));
    },
  });
  expect(await signedIn).toBe(200);
  expect([result.code, result.signal]).toEqual([0, null]);
  const printed = JSON.parse(result.stdout);
  expect(printed).toMatchObject({ schemaVersion: 1, url: ADDRESS.exec(result.stderr)?.[0] });
  // Nothing of what was asked is logged: the token stands in the address alone.
  expect(result.stderr.split(printed.url.split("=")[1])).toHaveLength(2);
});

test("a folder that is no study, and ports that are none, are refused before anything listens", async () => {
  const run = (...args: string[]) => {
    const program = new Command().exitOverride();
    addServeCommand(program);
    return program.parseAsync(["serve", ...args], { from: "user" });
  };
  await expect(run("/nowhere")).rejects.toThrow(/expected a study folder/);
  for (const port of ["-1", "65536", "1.5", "a"]) {
    await expect(run(folder, "--port", port), port).rejects.toThrow(ConfigError);
  }
});

test("the opening lines warn of the network and of a page that was not built", () => {
  const opened = { url: "http://127.0.0.1:1/#token=a", isOpenToNetwork: false, hasPage: true };
  expect(serveText(opened, { studies: ["study"] })).not.toContain("warning");
  const text = serveText(
    { ...opened, isOpenToNetwork: true, hasPage: false },
    { studies: ["a", "b"], host: "0.0.0.0" },
  );
  expect(text).toContain("2 studies");
  expect(text).toContain("--host 0.0.0.0 opens it to other machines");
  expect(text).toContain("npm run build:web");
});

test("the browser's command line holds no token: it is in a file that only its owner reads, and that goes", async () => {
  const url = "http://127.0.0.1:1/#token=secret";
  // Ends with 0 when its argument is a file: address without the token, whose page holds it.
  const program =
    "const u = process.argv[1]; process.exit(!u.includes('secret') && require('fs').readFileSync(new URL(u), 'utf8').includes('secret') ? 0 : 1)";
  const { opened, file, remove } = await openBrowser(url, {
    command: process.execPath,
    args: ["-e", program],
  });
  expect(await opened).toBe(true);
  expect((await stat(file)).mode & 0o077).toBe(0);
  await remove();
  await expect(stat(file)).rejects.toThrow(/ENOENT/);
  const none = await openBrowser(url, { command: join(folder, "no-such-command"), args: [] });
  expect(await none.opened).toBe(false);
  await none.remove();
});
