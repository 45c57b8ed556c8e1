// What the causal screen shows, as the query part of the address holds it. What stands there and means nothing is passed over.

import { joinParts, splitParts } from "../location.ts";

export const METRICS = ["kl", "gapClosed", "nll", "nllArgmax", "klBase", "klAgainstNone"] as const;
export type Metric = (typeof METRICS)[number];
export const FORMS = ["additive", "replacing", "both"] as const;
export const LIMIT_KINDS = ["bootstrap", "published"] as const;
export const EDIT_CHOICES = ["figure", "all"] as const;
export const ROLES = ["candidate", "control", "all"] as const;

export interface CausalState {
  metric: Metric;
  form: (typeof FORMS)[number];
  limits: (typeof LIMIT_KINDS)[number];
  edits: (typeof EDIT_CHOICES)[number];
  /** Of single latents. */
  role: (typeof ROLES)[number];
  sort: { column: string; descending: boolean };
  /** x0, y0, x1, y1, … of gap closed and damage; empty: all. */
  lasso: number[];
  /** The latent whose moved tokens are shown; null: none. */
  latent: number | null;
  /** "": all together. */
  behaviour: string;
}

const FIRST_SORT = { column: "gapClosed", descending: true } as const;
/** Corners of a lasso and what they may be at most. */
const MOST_CORNERS = 200;

export function parseCausalState(query: URLSearchParams): CausalState {
  const one = <T extends string>(name: string, choices: readonly T[]): T =>
    choices.find((choice) => choice === query.get(name)) ?? choices[0];
  const latent = query.get("effect") ?? "";
  const sort = query.get("sort") ?? "";
  const lasso = splitParts(query.get("lasso") ?? "").map((part) => (part === "" ? Number.NaN : Number(part)));
  const isPolygon = lasso.length >= 6 && lasso.length % 2 === 0 && lasso.length <= MOST_CORNERS;
  return {
    metric: one("metric", METRICS),
    form: one("form", FORMS),
    limits: one("limits", LIMIT_KINDS),
    edits: one("edits", EDIT_CHOICES),
    role: one("role", ROLES),
    sort: sort === "" ? FIRST_SORT : { column: sort.replace(/^-/, ""), descending: sort.startsWith("-") },
    lasso: isPolygon && lasso.every(Number.isFinite) ? lasso : [],
    latent: /^\d{1,9}$/.test(latent) ? Number(latent) : null,
    behaviour: query.get("behaviour") ?? "",
  };
}

/** The address with some of it changed; what is as at first is left out. */
export function withCausalState(query: URLSearchParams, change: Partial<CausalState>): URLSearchParams {
  const state = { ...parseCausalState(query), ...change };
  const next = new URLSearchParams(query);
  const set = (name: string, value: string, first: string): void => {
    if (value === first) next.delete(name);
    else next.set(name, value);
  };
  set("metric", state.metric, METRICS[0]);
  set("form", state.form, FORMS[0]);
  set("limits", state.limits, LIMIT_KINDS[0]);
  set("edits", state.edits, EDIT_CHOICES[0]);
  set("role", state.role, ROLES[0]);
  set("sort", sortText(state.sort), sortText(FIRST_SORT));
  set("lasso", joinParts(state.lasso), "");
  set("effect", state.latent === null ? "" : String(state.latent), "");
  set("behaviour", state.behaviour, "");
  return next;
}

function sortText({ column, descending }: CausalState["sort"]): string {
  return `${descending ? "-" : ""}${column}`;
}
