// A disk that is really full: a tmpfs of a few megabytes in a mount namespace of its own (Linux, unshare).

import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../src/package-root.ts";
import { writeSmallCorpus } from "./small-corpus.ts";

const canMount =
  spawnSync("unshare", ["-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"]).status === 0;
if (!canMount) process.stderr.write("skipped: full disk (needs Linux with unshare and user namespaces)\n");

test.skipIf(!canMount)(
  "a full disk ends with one clear line, exit code 3 and nothing half-written",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "tunediff-full-"));
    try {
      const data = join(folder, "corpus.jsonl");
      await writeSmallCorpus(data);
      const pair = join(packageRoot(), "organisms", "minichat");
      const entry = join(packageRoot(), "test", "cli-entry.ts");
      const script = `
      mkdir "${folder}/disk" && mount -t tmpfs -o size=4m tmpfs "${folder}/disk" || exit 99
      "${process.execPath}" --import tsx "${entry}" compare "${pair}/base" "${pair}/finetuned" --data "${data}" --out "${folder}/disk/study" --latents 64 --steps 5
      echo "exit $?"
      find "${folder}/disk"
    `;
      const run = spawnSync("unshare", ["-rm", "sh", "-c", script], {
        cwd: packageRoot(),
        env: { ...process.env, NO_COLOR: "1" },
        encoding: "utf8",
      });
      expect(run.stdout).toContain("exit 3");
      const errorLines = run.stderr.split("\n").filter((line) => line.includes("Error"));
      expect(errorLines).toHaveLength(1);
      expect(errorLines[0]).toMatch(/^StorageError: .*(space|ENOSPC)/i);
      expect(run.stderr).toMatch(/hint: .*free/);
      expect(run.stdout).not.toMatch(/\.tmp-/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
