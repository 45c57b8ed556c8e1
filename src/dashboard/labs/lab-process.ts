// Starting and ending the process that holds the models (lab-child.ts). Who asks it what is labs.ts's business.

import { fork } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ownModule } from "../../own-module.ts";
import type { LabMessage, LabOrder } from "./lab-protocol.ts";
import { LAB_SETTINGS } from "./lab-settings.ts";

export interface LabProcess {
  send(order: LabOrder): void;
  /** At once; its memory is free when this resolves. onEnd is not called for it. */
  end(): Promise<void>;
}

export interface OwnLabProcess extends LabProcess {
  /** Whether it runs. */
  isAlive(): boolean;
}

export interface LabListener {
  onMessage: (message: LabMessage) => void;
  /** It ended by itself, or could not be started: why, in a few words. */
  onEnd: (reason: string) => void;
}

export type StartLabProcess = (listener: LabListener) => LabProcess;

export function startLabProcess({ onMessage, onEnd }: LabListener): OwnLabProcess {
  const { url, needsLoader } = ownModule(new URL("./lab-child", import.meta.url));
  const execArgv = needsLoader
    ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href]
    : [];
  const child = fork(fileURLToPath(url), [], {
    execArgv,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    serialization: "advanced",
  });
  let isOver = false;
  /** Orders before it listens; undefined from then on. */
  let early: LabOrder[] | undefined = [];
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const over = (reason: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    child.kill("SIGKILL");
    onEnd(reason);
  };
  const timer = setTimeout(() => over("it did not start"), LAB_SETTINGS.startMs);
  const send = (order: LabOrder): void => {
    if (early !== undefined) {
      early.push(order);
      return;
    }
    child.send(order, (error) => {
      if (error) over(error.message);
    });
  };
  child.on("message", (message: LabMessage) => {
    if (message.event.kind !== "ready") {
      if (!isOver) onMessage(message);
      return;
    }
    clearTimeout(timer);
    const orders = early ?? [];
    early = undefined;
    for (const order of orders) send(order);
  });
  child.on("error", ({ message }) => over(message));
  child.on("exit", (code, signal) => over(signal ?? `exit ${code}`));
  return {
    send,
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async end() {
      isOver = true;
      clearTimeout(timer);
      child.kill("SIGKILL");
      await ended;
    },
  };
}
