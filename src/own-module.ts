// Where a thread or a process of our own begins: in the built JavaScript, or, in tests and benchmarks, in TypeScript.
//
// Node 20 cannot load TypeScript itself. A run of the tests compiles the sources once (test/global-setup.ts) and says where they
// lie, because the loader costs every thread four times its own start; without that, as in benchmarks, it is used.

const isSource = import.meta.url.endsWith(".ts");
const root = new URL("..", import.meta.url).href;

export interface OwnModule {
  url: URL;
  /** It is TypeScript: tsx has to be there first. */
  needsLoader: boolean;
}

/** module: a URL without the ending .ts or .js, as `new URL("./worker", import.meta.url)` gives it. */
export function ownModule(module: URL): OwnModule {
  if (!isSource) return { url: new URL(`${module.href}.js`), needsLoader: false };
  const compiled = process.env.TUNEDIFF_COMPILED;
  if (compiled === undefined || !module.href.startsWith(root))
    return { url: new URL(`${module.href}.ts`), needsLoader: true };
  return { url: new URL(`${module.href.slice(root.length)}.js`, compiled), needsLoader: false };
}
