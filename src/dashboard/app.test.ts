// The app without a server: the session, the page's files, and what is not there.

import { expect, test } from "vitest";
import { packageVersion } from "../package-root.ts";
import { createDashboardApp } from "./app.ts";
import { createLaunchToken } from "./launch-token.ts";
import { openStudySource } from "./study-source.ts";

const launch = createLaunchToken({ port: 1 });
const files = new Map([
  ["/", { bytes: new Uint8Array(Buffer.from("page")), contentType: "text/html; charset=utf-8" }],
]);
const source = openStudySource([]);
const notesOf = () => {
  throw new Error("no study, no notes");
};
const appWith = (options = {}) =>
  createDashboardApp({ source, notesOf, security: launch, files, ...options });

test("the session says version, studies and labs; the exchange gives it with a cookie", async () => {
  const session = await (await appWith().request("/api/session")).json();
  expect(session).toMatchObject({ version: packageVersion(), studies: [], labs: { state: "missing" } });
  const labs = { state: "made" as const, value: { threads: 2 } };
  expect(await (await appWith({ labs }).request("/api/session")).json()).toMatchObject({ labs });
  const exchange = (token: string) =>
    appWith().request("/api/session", {
      ...{ method: "POST", body: JSON.stringify({ token }) },
      headers: { "content-type": "application/json" },
    });
  const right = await exchange(launch.token);
  expect([right.status, launch.isSignedIn(right.headers.get("set-cookie")?.split(";")[0] ?? "")]).toEqual([
    200,
    true,
  ]);
  const wrong = await exchange("wrong");
  expect([wrong.status, wrong.headers.get("set-cookie")]).toEqual([401, null]);
});

test("the page is the built file; without a build it says how to make one, and the data is there", async () => {
  expect(await (await appWith().request("/?screen=latents")).text()).toBe("page");
  const bare = appWith({ files: undefined });
  const response = await bare.request("/");
  expect([response.status, await response.text()]).toEqual([
    503,
    expect.stringContaining("npm run build:web"),
  ]);
  expect((await bare.request("/api/session")).status).toBe(200);
});

test("what is not there is an ApiError that does not repeat the address", async () => {
  for (const path of ["/nothing", "/api/nothing", "/api", "/api/studies/0/nothing"]) {
    const response = await appWith().request(path, { headers: { accept: "text/html" } });
    const text = await response.text();
    expect([response.status, text.includes("nothing at this"), text.includes("/api")]).toEqual([
      404,
      true,
      false,
    ]);
  }
});

test("a defect is reported whole and told without its words", async () => {
  const faults: unknown[] = [];
  const defect = new Error("secret");
  const broken = { ...source, studies: () => Promise.reject(defect) };
  const app = appWith({ source: broken, reportFault: (error: unknown) => faults.push(error) });
  const response = await app.request("/api/session");
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("secret");
  expect(faults).toEqual([defect]);
});
