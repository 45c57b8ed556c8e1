// Jobs of `npm run bench -- dashboard` that need a process of their own: making the study, the server, the storm. Imports are dynamic, so that
// a process's memory is that of its own job.

const [job, ...args] = process.argv.slice(2);
if (job === "generate") {
  const { writeBenchStudy } = await import("./dashboard-study.ts");
  await writeBenchStudy(args[0], Number(args[1]));
} else if (job === "serve") {
  const { startDashboard } = await import("../src/dashboard/start.ts");
  const dashboard = await startDashboard({
    folders: [args[0]],
    pageFolder: args[1],
    reportFault: (error) => console.error(error),
  });
  console.log(dashboard.url);
  process.stdin.resume().once("end", () => void dashboard.close());
} else if (job === "storm") {
  const { storm } = await import("./dashboard-storm.ts");
  const stop = new AbortController();
  process.stdin.resume().once("end", () => stop.abort());
  await storm({
    port: Number(args[0]),
    cookie: args[1],
    signal: stop.signal,
    onBegun: () => console.log("begun"),
  });
} else throw new Error(`expected generate, serve or storm, got ${job}`);
