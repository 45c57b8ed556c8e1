// What the source says of every route of the dashboard: its answers, events, refusals and the types behind them.
//
// Follows createDashboardApp through its `.route(base, createXRoutes(…))` and the chained `.get(path, …, handler)` with the TypeScript
// compiler, so that a new route needs no registration. In a handler, and in the functions of src/dashboard that it calls, it looks for
// c.json(value, status), c.body(bytes, status, { "content-type" }), eventStream(events) and new ApiFailure(status, words).

import { join } from "node:path";
import ts from "typescript";

export interface RouteSource {
  method: string;
  /** As hono has it: "/api/studies/:study/:dictionary/notes". */
  path: string;
  /** A type each, with the status it comes with. */
  json: { status: number; type: string }[];
  /** Type of the events of a stream. */
  events: string[];
  /** Of answers that are neither. */
  contentTypes: string[];
  refusals: { status: number; words: string }[];
}

export interface SourceComment {
  method: string;
  path: string;
  words: string;
  /** Documentation of the fields of the type that follows the comment, by name. */
  fields: Record<string, string>;
}

export interface SourceFacts {
  routes: RouteSource[];
  comments: SourceComment[];
  /** Declarations of the types that routes name, by name, and of those that they name: the source's text. */
  types: Map<string, string>;
  /** Documentation of the entries of API_LIMITS. */
  limitWords: Record<string, string>;
}

const METHODS = ["get", "post", "put", "delete", "patch"];
/** What the routes of a study begin with; "…" in the comments of the contract. */
export const STUDY_PATH = "/api/studies/:study/:dictionary";

/** root: the package's folder. Throws Error where a route is made in a way that this file cannot follow. */
export function readSources(root: string): SourceFacts {
  const folder = join(root, "src", "dashboard");
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.config.compilerOptions, root);
  const settings = { ...options, types: [] };
  const host = ts.createCompilerHost(settings);
  // The dashboard's own files are enough: what packages declare enters no answer, and reading them takes ten times as long.
  host.resolveModuleNameLiterals = (names, from) =>
    names.map(({ text }) =>
      text.startsWith(".") ? ts.resolveModuleName(text, from, settings, host) : { resolvedModule: undefined },
    );
  const program = ts.createProgram([join(folder, "app.ts")], settings, host);
  const checker = program.getTypeChecker();
  const file = (name: string): ts.SourceFile => {
    const found = program.getSourceFile(join(folder, name));
    if (found === undefined) throw new Error(`src/dashboard/${name}: expected a file of the dashboard`);
    return found;
  };
  const isOurs = (node: ts.Node): boolean => node.getSourceFile().fileName.startsWith(`${folder}/`);
  const types = new Map<string, string>();

  /** Remembers every interface and type alias of src/ that a type names. */
  const remember = (type: ts.Type, seen = new Set<ts.Type>()): void => {
    if (seen.has(type)) return;
    seen.add(type);
    for (const symbol of [type.aliasSymbol, type.symbol]) if (symbol) rememberSymbol(symbol);
    for (const argument of [...(type.aliasTypeArguments ?? []), ...argumentsOf(type)])
      remember(argument, seen);
    if (type.isUnionOrIntersection()) for (const part of type.types) remember(part, seen);
  };
  const argumentsOf = (type: ts.Type): readonly ts.Type[] =>
    (type as ts.TypeReference).target === undefined ? [] : checker.getTypeArguments(type as ts.TypeReference);
  const rememberSymbol = (symbol: ts.Symbol): void => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declaration = target.declarations?.find(
      (node) => ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node),
    );
    const isOfSrc = declaration?.getSourceFile().fileName.startsWith(join(root, "src"));
    if (declaration === undefined || !isOfSrc || types.has(target.name)) return;
    types.set(target.name, withDocumentation(declaration));
    const visit = (node: ts.Node): void => {
      const name = ts.isTypeReferenceNode(node)
        ? node.typeName
        : ts.isExpressionWithTypeArguments(node)
          ? node.expression
          : undefined;
      const named = name && checker.getSymbolAtLocation(name);
      if (named !== undefined) rememberSymbol(named);
      ts.forEachChild(node, visit);
    };
    visit(declaration);
  };
  const write = (type: ts.Type): string => {
    remember(type);
    const flags = ts.TypeFormatFlags;
    return checker.typeToString(
      type,
      undefined,
      flags.NoTruncation | flags.UseAliasDefinedOutsideCurrentScope,
    );
  };

  const readHandler = (handler: ts.Node): Omit<RouteSource, "method" | "path"> => {
    const found: Omit<RouteSource, "method" | "path"> = {
      json: [],
      events: [],
      contentTypes: [],
      refusals: [],
    };
    const seen = new Set<ts.Node>();
    const visit = (node: ts.Node, isHandler: boolean): void => {
      if (ts.isNewExpression(node) && node.expression.getText() === "ApiFailure") {
        const [status, words] = node.arguments ?? [];
        const isOfPart = words?.getText().endsWith(".words") === true;
        const said =
          words !== undefined && ts.isStringLiteralLike(words)
            ? words.text
            : isOfPart
              ? "what is missing, and the command that makes it"
              : "in its own words";
        found.refusals.push({ status: Number(status.getText()), words: said });
      }
      if (ts.isCallExpression(node)) {
        const callee = node.expression;
        if (ts.isPropertyAccessExpression(callee) && callee.expression.getText() === "c" && isHandler) {
          if (callee.name.text === "json") readJson(node);
          if (callee.name.text === "body") readBody(node);
        }
        if (callee.getText() === "eventStream" && isHandler) {
          const [item] = argumentsOf(checker.getTypeAtLocation(node.arguments[0]));
          if (item !== undefined) found.events.push(write(item));
        }
        const called = bodyOf(callee);
        if (called !== undefined && !seen.has(called)) {
          seen.add(called);
          visit(called, false);
        }
      }
      ts.forEachChild(node, (child) => visit(child, isHandler));
    };
    const readJson = (node: ts.CallExpression): void => {
      const [value, status] = node.arguments;
      const type = node.typeArguments?.[0]
        ? checker.getTypeFromTypeNode(node.typeArguments[0])
        : checker.getTypeAtLocation(value);
      const said = status === undefined ? 200 : Number(status.getText());
      found.json.push({ status: said, type: write(type) });
    };
    const readBody = (node: ts.CallExpression): void => {
      const headers = node.arguments[2];
      if (headers === undefined || !ts.isObjectLiteralExpression(headers)) return;
      for (const property of headers.properties) {
        if (!ts.isPropertyAssignment(property) || !/content-type/i.test(property.name.getText())) continue;
        found.contentTypes.push(...stringsOf(property.initializer));
      }
    };
    visit(handler, true);
    return found;
  };

  /** What an expression can be: of TABLE[key] every entry of the table. */
  const stringsOf = (node: ts.Expression): string[] => {
    const types = ts.isElementAccessExpression(node)
      ? checker
          .getTypeAtLocation(node.expression)
          .getProperties()
          .map((symbol) => checker.getTypeOfSymbol(symbol))
      : [checker.getTypeAtLocation(node)];
    return types.flatMap((type) => (type.isStringLiteral() ? [type.value] : []));
  };

  /** Body of a function of the dashboard that is called by its name; undefined for anything else. */
  const bodyOf = (callee: ts.Expression): ts.Node | undefined => {
    if (!ts.isIdentifier(callee)) return undefined;
    const symbol = checker.getSymbolAtLocation(callee);
    const target =
      symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declaration = target?.valueDeclaration;
    if (declaration === undefined || !isOurs(declaration)) return undefined;
    if (ts.isFunctionDeclaration(declaration)) return declaration.body;
    const value = ts.isVariableDeclaration(declaration) ? declaration.initializer : undefined;
    return value !== undefined && (ts.isArrowFunction(value) || ts.isFunctionExpression(value))
      ? value.body
      : undefined;
  };

  const routes: RouteSource[] = [];
  const readRouter = (body: ts.Node, base: string): void => {
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
        const [path, ...rest] = node.arguments;
        const verb = node.expression.name.text;
        if (path !== undefined && ts.isStringLiteral(path)) {
          const whole = `${base}/${path.text}`.replaceAll(/\/+/g, "/");
          if (verb === "route" && ts.isCallExpression(rest[0])) {
            const router = bodyOf(rest[0].expression);
            if (router === undefined)
              throw new Error(`${rest[0].getText()}: expected a function of src/dashboard that makes routes`);
            readRouter(router, whole);
          } else if (METHODS.includes(verb) && rest.length > 0) {
            routes.push({ method: verb.toUpperCase(), path: whole, ...readHandler(rest[rest.length - 1]) });
          }
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(body);
  };
  const app = file("app.ts").statements.find(
    (statement) => ts.isFunctionDeclaration(statement) && statement.name?.text === "createDashboardApp",
  );
  if (app === undefined) throw new Error("src/dashboard/app.ts: expected the function createDashboardApp");
  readRouter((app as ts.FunctionDeclaration).body as ts.Node, "/");

  const contract = file("api-contract.ts");
  // The contract, and what it passes on from files beside it.
  const contracts = [
    contract,
    ...contract.statements.flatMap((statement) =>
      ts.isExportDeclaration(statement) &&
      statement.moduleSpecifier !== undefined &&
      ts.isStringLiteral(statement.moduleSpecifier)
        ? [file(statement.moduleSpecifier.text)]
        : [],
    ),
  ];
  const words = (symbol: ts.Symbol): string =>
    ts.displayPartsToString(symbol.getDocumentationComment(checker)).replaceAll(/\s+/g, " ");
  const fieldsOf = (statement: ts.Statement): Record<string, string> => {
    if (!ts.isInterfaceDeclaration(statement) && !ts.isTypeAliasDeclaration(statement)) return {};
    const type = checker.getTypeAtLocation(statement);
    return Object.fromEntries(type.getProperties().map((symbol) => [symbol.name, words(symbol)]));
  };
  const statements = contracts.flatMap((source) => [...source.statements]);
  const comments = statements.flatMap((statement): SourceComment[] => {
    const text = statement.getSourceFile().getFullText();
    const before = ts.getLeadingCommentRanges(text, statement.getFullStart()) ?? [];
    return before.flatMap((range, i): SourceComment[] => {
      const comment = plainComment(text.slice(range.pos, range.end));
      const match = /^(GET|POST|PUT|DELETE) (\S+)\s*([\s\S]*)$/.exec(comment);
      if (match === null) return [];
      const path = match[2].replace(/:$/, "").split("?")[0].replace("…", STUDY_PATH);
      const fields = i === before.length - 1 ? fieldsOf(statement) : {};
      return [{ method: match[1], path, words: match[3].trim(), fields }];
    });
  });
  const limits = statements
    .filter(ts.isVariableStatement)
    .flatMap(({ declarationList }) => [...declarationList.declarations])
    .find(({ name }) => name.getText() === "API_LIMITS");
  const limitWords =
    limits === undefined
      ? {}
      : Object.fromEntries(
          checker
            .getTypeAtLocation(limits)
            .getProperties()
            .map((symbol) => [symbol.name, words(symbol)]),
        );
  for (const statement of statements)
    if (ts.isInterfaceDeclaration(statement) && statement.name.text === "ApiError")
      remember(checker.getTypeAtLocation(statement));
  return { routes, comments, types, limitWords };
}

/** A declaration and the doc comment right before it, without what stands above. */
function withDocumentation(declaration: ts.Node): string {
  const whole = declaration.getSourceFile().getFullText();
  const [last] = (ts.getLeadingCommentRanges(whole, declaration.getFullStart()) ?? []).slice(-1);
  const isDoc = last !== undefined && whole.startsWith("/**", last.pos);
  return isDoc ? `${whole.slice(last.pos, last.end)}\n${declaration.getText()}` : declaration.getText();
}

/** A doc comment's text on one line. */
function plainComment(text: string): string {
  return text
    .replace(/^\/\*\*?/, "")
    .replace(/\*\/$/, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trim())
    .join(" ")
    .trim();
}
