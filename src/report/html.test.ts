import { expect, test } from "vitest";
import { escapeHtml, html, joinHtml, rawHtml, showInvisible, showToken } from "./html.ts";

test("values are escaped for text and for quoted attributes, literal parts are not", () => {
  const hostile = `</script><img src='x' onerror="alert(1)">&`;
  expect(html`<b title="${hostile}">${hostile}</b>`.markup).toBe(
    '<b title="&lt;/script&gt;&lt;img src=&#39;x&#39; onerror=&quot;alert(1)&quot;&gt;&amp;">&lt;/script&gt;&lt;img src=&#39;x&#39; onerror=&quot;alert(1)&quot;&gt;&amp;</b>',
  );
});

test("Html nests without a second escaping, lists join, empty values vanish and zero stays", () => {
  expect(html`<ul>${["<", html`<li>`, ["a", 0]]}${false}${null}${undefined}</ul>`.markup).toBe(
    "<ul>&lt;<li>a0</ul>",
  );
  expect(joinHtml(["a", "b"], " < ").markup).toBe("a &lt; b");
  expect(html`${rawHtml("<i>")}`.markup).toBe("<i>");
});

test("an object that only looks like Html is not taken for markup", () => {
  const forged = JSON.parse('{"markup":"<script>"}');
  expect(() => html`${forged}`.markup).toThrow();
});

test("characters that cannot be seen are written out", () => {
  expect(showInvisible("a\nb\tc")).toBe("a⏎b⇥c");
  expect(showInvisible("\u0000\u001b\u007f\u0085")).toBe("␀␛␡⟨U+0085⟩");
  expect(showInvisible("abc\u202edef\u202c")).toBe("abc⟨U+202E⟩def⟨U+202C⟩");
  expect(showInvisible("\u200b\u200d\ufeff\u2066\u00ad")).toBe("⟨U+200B⟩⟨U+200D⟩⟨U+FEFF⟩⟨U+2066⟩⟨U+00AD⟩");
  expect(showInvisible("\u{e0041}")).toBe("⟨U+E0041⟩");
  expect(showInvisible("x\ud800y\udc00")).toBe("x\ufffdy\ufffd");
});

test("ordinary text in any script, emoji included, is left as it is", () => {
  const text = "Grüße, 世界 🦊 ❤️ مرحبا नमस्ते";
  expect(escapeHtml(text)).toBe(text);
});

test("a token alone shows its outer spaces, odd spaces, a leading combining mark and emptiness", () => {
  expect(showToken("  the ")).toBe("␣␣the␣");
  expect(showToken("of the")).toBe("of the");
  expect(showToken("\u00a0x")).toBe("⟨U+00A0⟩x");
  expect(showToken("\u0301")).toBe("◌\u0301");
  expect(showToken("")).toBe("∅");
  expect(showToken("\n")).toBe("⏎");
});
