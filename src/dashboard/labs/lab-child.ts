// The process that holds the labs' models: started by lab-process.ts, never imported, ended at any moment.
//
// A process of its own because onnxruntime computes on the thread that calls it, because models too large for the machine end the process that
// loads them, and because only a process that ends gives all memory back. It ends with the server.

import { createLabJobs } from "./lab-jobs.ts";
import type { LabMessage, LabOrder } from "./lab-protocol.ts";

const send = (message: LabMessage): void => {
  process.send?.(message);
};
const take = createLabJobs(send);

process.on("message", (order: LabOrder) => {
  void take(order);
});
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
send({ id: 0, event: { kind: "ready" } });
