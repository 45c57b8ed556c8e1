// The browser side knows the server by its types alone.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = import.meta.dirname;
const files = (readdirSync(root, { recursive: true }) as string[]).filter(
  (file) => /\.tsx?$/.test(file) && !file.endsWith(".test.ts") && !file.endsWith(".d.ts"),
);

test("nothing but types of src/dashboard/api-contract.ts is imported from src/", () => {
  const faults = files.flatMap((file) =>
    [
      ...readFileSync(join(root, file), "utf8").matchAll(
        /import\s+(type\s)?[^;]*?from\s+"([^"]*\/src\/[^"]*)"/g,
      ),
    ]
      .filter(([, type, path]) => type === undefined || !path.endsWith("/src/dashboard/api-contract.ts"))
      .map(([line]) => `${file}: ${line}`),
  );
  expect(files.length).toBeGreaterThan(20);
  expect(faults).toEqual([]);
});

test("no file writes markup, evaluates text or sets a style attribute", () => {
  const faults = files.filter((file) =>
    /dangerouslySetInnerHTML|innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"/.test(
      readFileSync(join(root, file), "utf8"),
    ),
  );
  expect(faults).toEqual([]);
});
