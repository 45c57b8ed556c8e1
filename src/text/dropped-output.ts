// A fault of the Jinja interpreter, found in a template before it is run.
//
// @huggingface/jinja 0.5.11 throws away what an iteration has written when it ends in {% break %} or {% continue %}; Jinja2
// keeps it. Such a template would render other text than its model was trained on, so it is not run at all. A pass over
// the parsed template; nothing is executed.

/** As the library parses it: only what this pass looks at. */
export interface TemplateNode {
  type: string;
  body?: TemplateNode[];
  alternate?: TemplateNode[];
  defaultBlock?: TemplateNode[];
}

const SILENT = new Set(["Set", "Macro", "Comment", "Break", "Continue"]);

/** "break" or "continue" where one may follow output of the same iteration; undefined: nowhere. */
export function findDroppedOutput({ body = [] }: TemplateNode): "break" | "continue" | undefined {
  let found: "break" | "continue" | undefined;
  /** hasWritten: may this iteration have written something before? Returns the same for after the nodes. */
  const walk = (nodes: TemplateNode[], hasWritten: boolean): boolean => {
    let written = hasWritten;
    for (const node of nodes) {
      if (node.type === "If") {
        const branches = [walk(node.body ?? [], written), walk(node.alternate ?? [], written)];
        written = branches.includes(true);
      } else if (node.type === "For") {
        const inner = walk(node.body ?? [], false);
        const otherwise = walk(node.defaultBlock ?? [], written);
        written ||= inner || otherwise;
      } else if (node.type === "Break" || node.type === "Continue") {
        if (written) found ??= node.type === "Break" ? "break" : "continue";
      } else {
        if (node.body !== undefined) walk(node.body, false);
        if (!SILENT.has(node.type)) written = true;
      }
    }
    return written;
  };
  walk(body, false);
  return found;
}
