// The server's answers, typed: one function a path of src/dashboard/api-contract.ts, whose types are all that this workspace imports.
//
// A refusal becomes a RequestError with the server's own words and hint. Writing carries the header that the server asks for, which a
// foreign page cannot send. Streams of events: event-stream.ts.

import type {
  API_LIMITS,
  ApiError,
  CausalMoved,
  CausalPage,
  ColumnInfo,
  DataPage,
  DocumentPage,
  DocumentTokens,
  ExamplePage,
  GlancePage,
  LabState,
  LatentPage,
  Note,
  NoteChange,
  NotesList,
  Overview,
  Part,
  PromptEvent,
  PromptRequest,
  SavedView,
  SearchBatch,
  SelectionRequest,
  Session,
  SteerEvent,
  SteerRequest,
  TrainingEvent,
  TrainingFacts,
} from "../../src/dashboard/api-contract.ts";
import { readEvents } from "./event-stream.ts";
import { RequestError } from "./request-error.ts";
import type { ColumnValues } from "./table/select-latents.ts";
import type { TextSearch } from "./table/table-state.ts";

/** The limits that the fields of this side keep; the type holds them equal to the server's. */
export const LIMITS: Pick<
  typeof API_LIMITS,
  "label" | "noteText" | "tag" | "tags" | "viewName" | "viewQuery" | "searchText"
> = { label: 200, noteText: 20_000, tag: 60, tags: 40, viewName: 120, viewQuery: 8000, searchText: 400 };

export const WRITE_HEADERS = { "content-type": "application/json", "x-tunediff": "1" } as const;

export interface DictionaryPlace {
  study: number;
  dictionary: string;
}

export const readSession = (): Promise<Session> => json("/api/session");
export const readOverview = (place: DictionaryPlace): Promise<Overview> => json(`${path(place)}/overview`);
export const readColumns = (place: DictionaryPlace): Promise<ColumnInfo[]> => json(`${path(place)}/columns`);
export const readLatent = (place: DictionaryPlace, latent: number): Promise<LatentPage> =>
  json(`${path(place)}/latents/${latent}`);

export const readCausal = (place: DictionaryPlace): Promise<CausalPage> => json(`${path(place)}/causal`);
export const readCausalMoved = (place: DictionaryPlace, latent: number): Promise<CausalMoved[]> =>
  json(`${path(place)}/causal/${latent}`);
export const readGlance = (place: DictionaryPlace): Promise<GlancePage> => json(`${path(place)}/glance`);

/** bin: null for all of them, strongest first. */
export function readExamples(
  place: DictionaryPlace,
  options: { latent: number; bin: number | null; from: number; count: number },
): Promise<ExamplePage> {
  const query = new URLSearchParams({ from: String(options.from), count: String(options.count) });
  if (options.bin !== null) query.set("bin", String(options.bin));
  return json(`${path(place)}/latents/${options.latent}/examples?${query}`);
}

/** One column of all latents: f64 or u16 [nLatents] as the server wrote them, or texts. */
export async function readColumn(place: DictionaryPlace, info: ColumnInfo): Promise<ColumnValues> {
  const response = await request(`${path(place)}/column?${new URLSearchParams({ name: info.name })}`);
  if (info.kind === "text") return { kind: "text", texts: (await response.json()) as string[] };
  const bytes = await response.arrayBuffer();
  if (info.kind === "number") return { kind: "number", values: new Float64Array(bytes) };
  return { kind: "category", codes: new Uint16Array(bytes), words: info.words ?? [] };
}

/** Batches of hits as they come; ends with the search. Abort `signal` to stop the server's work, too. */
export function searchTexts(
  place: DictionaryPlace,
  search: TextSearch,
  signal: AbortSignal,
): AsyncGenerator<SearchBatch> {
  const query = new URLSearchParams({ q: search.text, mode: search.mode, in: search.where, each: "1" });
  return readEvents<SearchBatch>(() => request(`${path(place)}/search?${query}`, { signal }));
}

export const readTrainingFacts = (place: DictionaryPlace): Promise<TrainingFacts> =>
  json(`${path(place)}/training/facts`);

/** Training logs of several dictionaries in one stream, all they hold first; ends when the server or `signal` ends it. */
export function followTrainings(
  [first, ...others]: readonly DictionaryPlace[],
  signal: AbortSignal,
): AsyncGenerator<TrainingEvent> {
  const names = others.map(({ study, dictionary }) => `${study}/${dictionary}`).join(",");
  const query = names === "" ? "" : `?${new URLSearchParams({ with: names })}`;
  return readEvents<TrainingEvent>(() => request(`${path(first)}/training/live${query}`, { signal }));
}

export const readData = (place: DictionaryPlace): Promise<DataPage> => json(`${path(place)}/data`);

/** dataset, split: "" for all. */
export function readDocuments(
  place: DictionaryPlace,
  options: { from: number; count: number; dataset: string; split: string },
): Promise<Part<DocumentPage>> {
  const query = new URLSearchParams({ from: String(options.from), count: String(options.count) });
  for (const name of ["dataset", "split"] as const) if (options[name] !== "") query.set(name, options[name]);
  return json(`${path(place)}/documents?${query}`);
}

export const readDocument = (
  place: DictionaryPlace,
  options: { number: number; from: number },
): Promise<Part<DocumentTokens>> => json(`${path(place)}/documents/${options.number}?from=${options.from}`);

export const readNotes = (place: DictionaryPlace): Promise<NotesList> => json(`${path(place)}/notes`);
export const writeNote = (place: DictionaryPlace, latent: number, change: NoteChange): Promise<Note> =>
  json(`${path(place)}/notes/${latent}`, { method: "PUT", body: JSON.stringify(change) });

export const readViews = (place: DictionaryPlace): Promise<SavedView[]> => json(`${path(place)}/views`);
export const writeView = (place: DictionaryPlace, { name, query }: SavedView): Promise<unknown> =>
  json(`${path(place)}/views`, { method: "PUT", body: JSON.stringify({ name, query }) });
export const removeView = (place: DictionaryPlace, name: string): Promise<unknown> =>
  json(`${path(place)}/views?${new URLSearchParams({ name })}`, { method: "DELETE" });

/** A file of some latents' columns. */
export async function exportSelection(place: DictionaryPlace, selection: SelectionRequest): Promise<Blob> {
  const body = JSON.stringify(selection);
  return (await request(`${path(place)}/export/selection`, { method: "POST", body })).blob();
}

/** Loads nothing. */
export const readLabState = (place: DictionaryPlace): Promise<LabState> => json(`${path(place)}/labs`);

/** What fires in a text and what both models expect. Abort `signal` to stop the server's work, too. */
export function askPrompt(
  place: DictionaryPlace,
  question: PromptRequest,
  signal: AbortSignal,
): AsyncGenerator<PromptEvent> {
  return askLab(`${path(place)}/labs/prompt`, question, signal);
}

/** Four answers side by side, token by token. Abort `signal` to stop the server's work, too. */
export function askSteer(
  place: DictionaryPlace,
  question: SteerRequest,
  signal: AbortSignal,
): AsyncGenerator<SteerEvent> {
  return askLab(`${path(place)}/labs/steer`, question, signal);
}

function askLab<T>(address: string, question: object, signal: AbortSignal): AsyncGenerator<T> {
  return readEvents<T>(() => request(address, { method: "POST", body: JSON.stringify(question), signal }));
}

/** The study's report.html. */
export async function fetchReport(place: DictionaryPlace): Promise<Blob> {
  return (await request(`${path(place)}/export/report`)).blob();
}

async function json<T>(address: string, options: RequestInit = {}): Promise<T> {
  const response = await request(address, options);
  return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
}

/** Throws RequestError for every answer that is not a success, and for none at all. */
export async function request(address: string, options: RequestInit = {}): Promise<Response> {
  const headers = options.method === undefined ? undefined : WRITE_HEADERS;
  let response: Response;
  try {
    response = await fetch(address, { ...options, headers });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new RequestError(0, {
      error: "The server does not answer.",
      hint: "Is `tunediff serve` still running? Its terminal shows the address to open.",
    });
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as Partial<ApiError> | null; // not JSON: the status says it
  const words: ApiError = {
    error: String(body?.error ?? "") || `The server answered with status ${response.status}.`,
    hint: String(body?.hint ?? ""),
  };
  throw new RequestError(response.status, words, body);
}

function path({ study, dictionary }: DictionaryPlace): string {
  return `/api/studies/${study}/${encodeURIComponent(dictionary)}`;
}
