// Which folder may import which: the whole architecture in one table, held by imports.test.ts.
//
// Files directly under src/ (errors, progress, package-root) are open to all. A folder may always import itself.
// docs/architecture.md shows the same table to people.

export const IMPORT_TABLE: Record<string, readonly string[]> = {
  numerics: [],
  formats: ["numerics"],
  // the dictionary wing: never sees a language model
  store: ["numerics", "formats"],
  compute: ["numerics", "formats"],
  dictionary: ["numerics", "formats", "store", "compute"],
  training: ["numerics", "formats", "store", "compute", "dictionary"],
  measure: ["numerics", "formats", "store", "compute", "dictionary"],
  truth: ["numerics", "formats", "store", "compute", "dictionary", "measure"],
  // the model wing
  text: ["numerics", "formats", "store"],
  lm: ["numerics", "formats", "compute"],
  harvest: ["numerics", "formats", "store", "text", "lm"],
  lens: ["numerics", "formats", "store", "compute", "dictionary", "lm"],
  causal: [
    "numerics",
    "formats",
    "store",
    "compute",
    "dictionary",
    "measure",
    "text",
    "lm",
    "harvest",
    "lens",
  ],
  glance: ["numerics", "formats", "store", "compute", "text", "lm", "harvest", "lens"],
  // where people are
  report: [
    "numerics",
    "formats",
    "store",
    "dictionary",
    "training",
    "measure",
    "truth",
    "lens",
    "causal",
    "glance",
  ],
  study: [
    "numerics",
    "formats",
    "store",
    "compute",
    "dictionary",
    "training",
    "measure",
    "truth",
    "text",
    "lm",
    "harvest",
    "lens",
    "causal",
    "glance",
    "report",
  ],
  dashboard: [
    "numerics",
    "formats",
    "store",
    "compute",
    "dictionary",
    "training",
    "measure",
    "truth",
    "text",
    "lm",
    "harvest",
    "lens",
    "causal",
    "glance",
    "report",
    "study",
  ],
  cli: [
    "numerics",
    "formats",
    "store",
    "dictionary",
    "training",
    "measure",
    "truth",
    "text",
    "lm",
    "harvest",
    "lens",
    "causal",
    "glance",
    "report",
    "study",
    "dashboard",
    "organisms",
  ],
};

/** The only folders that may load onnxruntime: the arithmetic and the models. */
export const ONNXRUNTIME_FOLDERS: readonly string[] = ["compute", "lm"];

/** The only folder that may print, read the command line or end the process. */
export const PRINTING_FOLDER = "cli";
