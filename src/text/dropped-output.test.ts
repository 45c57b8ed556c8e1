// The fault is there (so the check is still needed), and the check sees it where it is and nowhere else.

import { Template } from "@huggingface/jinja";
import { expect, test } from "vitest";
import { findDroppedOutput, type TemplateNode } from "./dropped-output.ts";

const parse = (source: string): TemplateNode => new Template(source).parsed as unknown as TemplateNode;

test("the library drops what an iteration wrote before break; when it no longer does, this check can go", () => {
  const source = "{% for m in list %}{{ m }}{% if m == 'b' %}{% break %}{% endif %}{% endfor %}";
  expect(new Template(source).render({ list: ["a", "b", "c"] })).toBe("a"); // Jinja2: "ab"
  const next = "{% for m in list %}{{ m }}{% if m == 'b' %}{% continue %}{% endif %}!{% endfor %}";
  expect(new Template(next).render({ list: ["a", "b", "c"] })).toBe("a!c!"); // Jinja2: "a!bc!"
});

test.each([
  ["{% for m in l %}{{ m }}{% break %}{% endfor %}", "break"],
  ["{% for m in l %}{{ m }}{% if m %}{% continue %}{% endif %}{% endfor %}", "continue"],
  ["{% for m in l %}{% if m %}x{% endif %}{% if not m %}{% break %}{% endif %}{% endfor %}", "break"],
  ["{% for m in l %}{% for n in m %}{{ n }}{% endfor %}{% break %}{% endfor %}", "break"],
  ["{% for m in l %}{% for n in m %}{{ n }}{% continue %}{% endfor %}{% endfor %}", "continue"],
  ["{% for m in l %}{% if m %}a{% else %}b{% endif %}{% break %}{% endfor %}", "break"],
])("%s loses output at its %s", (source, control) => {
  expect(findDroppedOutput(parse(source))).toBe(control);
});

test.each([
  "{% for m in l %}{{ m }}{% endfor %}",
  "{% for m in l %}{% if not m %}{% break %}{% endif %}{{ m }}{% endfor %}",
  "{% for m in l %}{% if m %}{{ m }}{% else %}{% continue %}{% endif %}{% endfor %}",
  "{% for m in l %}{% set x = m %}{% if x %}{% continue %}{% endif %}{{ x }}{% endfor %}",
  "before {% for m in l %}{% if m %}{% break %}{% endif %}{% endfor %} after",
  "{{ a }}{% for m in l %}{% for n in m %}{% break %}{% endfor %}{{ m }}{% endfor %}",
])("%s loses nothing", (source) => {
  expect(findDroppedOutput(parse(source))).toBeUndefined();
});
