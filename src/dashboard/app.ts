// The dashboard's routes under one address, and the type from which the browser's client infers them.
//
// No socket and no gate here: serve.ts lets a request through security.ts first, so a test calls app.request() and needs neither.
// A router is one file in routes/, `createXRoutes(context)`, its routes chained so that AppType knows them, and one line below.

import { Hono } from "hono";
import { z } from "zod";
import { packageVersion } from "../package-root.ts";
import type { ApiError, Part, Session } from "./api-contract.ts";
import { ApiFailure, answerFor, checked } from "./errors-out.ts";
import type { Labs } from "./labs/labs.ts";
import type { LaunchToken } from "./launch-token.ts";
import { createCompareRoutes } from "./routes/compare.ts";
import { createDocumentsRoutes } from "./routes/documents.ts";
import { createExportRoutes } from "./routes/export.ts";
import { createLabsRoutes } from "./routes/labs.ts";
import { createLatentsRoutes } from "./routes/latents.ts";
import { createNotesRoutes } from "./routes/notes.ts";
import { createSearchRoutes } from "./routes/search.ts";
import { createStudiesRoutes } from "./routes/studies.ts";
import { createTrainingRoutes } from "./routes/training.ts";
import type { StaticFiles } from "./static-files.ts";
import type { ReadContext, StudySource } from "./study-source.ts";

/** What routers work with. */
export interface DashboardContext extends ReadContext {
  labs: Session["labs"];
  /** Absent: none may be loaded. */
  labModels: Labs | undefined;
  /** Gets every error that is a defect of the program. */
  reportFault: (error: unknown) => void;
}

export interface DashboardOptions {
  source: StudySource;
  notesOf: DashboardContext["notesOf"];
  security: Pick<LaunchToken, "exchange">;
  /** Whether the live labs may load models; absent: they may not. */
  labs?: Part<{ threads: number }>;
  /** Who holds their models; the caller closes it. */
  labModels?: Labs | undefined;
  /** The built browser side; absent: data alone. */
  files?: StaticFiles;
  reportFault?: (error: unknown) => void;
}

const NO_LABS: Session["labs"] = {
  state: "missing",
  words: "the labs were switched off when the server was started",
  command: "tunediff serve STUDY",
};

const NOT_FOUND: ApiError = { error: "there is nothing at this address", hint: "use the links of the page" };

const NOT_BUILT = "The browser side has not been built: run `npm run build:web` in the package's folder.\n";

const TokenSchema = z.strictObject({ token: z.string().min(1).max(200) });

export function createDashboardApp(options: DashboardOptions) {
  const { source, notesOf, security, labs = NO_LABS, files = new Map(), reportFault = () => {} } = options;
  const { labModels } = options;
  const context: DashboardContext = { source, notesOf, labs, labModels, reportFault };
  const app = new Hono()
    .route("/", createSessionRoutes(context, security))
    .route("/api/studies", createStudiesRoutes(context))
    .route("/api/studies", createLatentsRoutes(context))
    .route("/api/studies", createSearchRoutes(context))
    .route("/api/studies", createTrainingRoutes(context))
    .route("/api/studies", createCompareRoutes(context))
    .route("/api/studies", createDocumentsRoutes(context))
    .route("/api/studies", createNotesRoutes(context))
    .route("/api/studies", createLabsRoutes(context))
    .route("/api/studies", createExportRoutes(context));
  app.get("*", (c) => {
    const file = files.get(c.req.path);
    if (file !== undefined) return c.body(file.bytes, 200, { "content-type": file.contentType });
    return c.req.path === "/" ? c.text(NOT_BUILT, 503) : c.json(NOT_FOUND, 404);
  });
  app.notFound((c) => c.json(NOT_FOUND, 404));
  app.onError((error, c) => {
    const { status, body, isFault } = answerFor(error);
    if (isFault) reportFault(error);
    return c.json(body, status);
  });
  return app;
}

export type AppType = ReturnType<typeof createDashboardApp>;

function createSessionRoutes({ source, labs }: DashboardContext, security: Pick<LaunchToken, "exchange">) {
  const session = async (): Promise<Session> => ({
    version: packageVersion(),
    studies: await source.studies(),
    labs,
  });
  return new Hono()
    .get("/api/session", async (c) => c.json(await session()))
    .post("/api/session", checked("json", TokenSchema), async (c) => {
      const result = security.exchange(c.req.valid("json").token);
      if (result.outcome === "wait") {
        throw new ApiFailure(429, "too many wrong tokens", "wait a minute, then open the printed address");
      }
      if (result.outcome === "wrong") {
        throw new ApiFailure(
          401,
          "this is not the token of this launch",
          "open the address that was printed last",
        );
      }
      c.header("set-cookie", result.cookie);
      return c.json(await session());
    });
}
