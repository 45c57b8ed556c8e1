// Against the routes of the training and data screens: streams, pages and documents that are asked for wrongly.

import { API_LIMITS } from "../../src/dashboard/api-contract.ts";
import { type AbuseCase, changed, HOSTILE_NAME, MARKER } from "./world.ts";

const DICTIONARY = "/api/studies/0/main";
const refused = (name: string, path: string, status: number): AbuseCase => ({
  name,
  send: changed({ path: `${DICTIONARY}/${path}` }),
  status,
});
const live = (name: string, others: string, status = 400): AbuseCase =>
  refused(name, `training/live?with=${others}`, status);

export const TRAINING_DATA_CASES: AbuseCase[] = [
  live("following a path", "0/..%2f..%2fsecret"),
  live("following up and away", "0/.."),
  live("following markup", encodeURIComponent(`0/${HOSTILE_NAME}`)),
  live("following a study that is none", "7/main", 404),
  live("following a dictionary that is none", `0/${MARKER}`, 404),
  live("following with a NUL", "0/main%00"),
  live("following more than the bound", Array(API_LIMITS.dictionariesFollowed).fill("0/main").join(",")),
  live("following a list of 4,001 characters", "0,".repeat(2001).slice(0, 4001)),
  refused("an unknown key beside it", `training/live?${MARKER}=1`, 400),
  refused("the log of a path", "training/..%2fmetrics.jsonl", 400),
  refused("facts as a file", "training/facts.json", 404),
  refused("documents from below 0", "documents?from=-1", 400),
  refused("a million documents", "documents?count=1000000", 400),
  refused("no documents", "documents?count=0", 400),
  refused("documents from beyond all numbers", "documents?from=1e999", 400),
  refused("a split that is none", `documents?split=${MARKER}`, 400),
  refused("a dataset of 501 characters", `documents?dataset=${"a".repeat(501)}`, 400),
  refused("a dataset said twice over an unknown key", `documents?dataset=a&${MARKER}[]=b`, 400),
  refused("a document before the first", "documents/-1", 404),
  refused("a document by path", "documents/..%2f..%2frows%2fdocuments.jsonl", 400),
  refused("a document beyond all numbers", "documents/99999999999999999999", 404),
  refused("tokens from a word", `documents/0?from=${MARKER}`, 400),
  {
    name: "control: documents of a study without a store are missing, not a failure",
    send: changed({ path: `${DICTIONARY}/documents?dataset=${encodeURIComponent("../../secret.txt")}` }),
    status: 200,
    check: ({ body }) => JSON.parse(body).state === "missing",
  },
  {
    name: "control: the facts of a training that was not",
    send: changed({ path: `${DICTIONARY}/training/facts` }),
    status: 200,
    check: ({ body }) => JSON.parse(body).record.state === "missing",
  },
];
