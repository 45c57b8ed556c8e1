// A chat, turn by turn, or a plain text, to be written or pasted; pasted JSON of a data file becomes turns.
//
// Ctrl+Enter in a text runs the lab (the form's own submit).

import {
  type ClipboardEvent,
  type KeyboardEvent,
  type ReactNode,
  useEffect,
  useId,
  useRef,
  useState,
} from "react";
import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { formatAmount, formatCount } from "../format.ts";
import { LAB_FIGURES, LAB_LIMITS } from "./lab-limits.ts";
import { CHAT_ROLES, type ChatRole, type ChatTurn, parsePasted, promptLength, toKind } from "./lab-prompt.ts";

export interface PromptEditorProps {
  legend: string;
  prompt: LabPrompt;
  /** more: those after the first, where several were pasted and it takesMore. */
  onChange: (prompt: LabPrompt, more?: LabPrompt[]) => void;
  /** Absent: of several pasted prompts the first one is taken, and that is said. */
  takesMore?: boolean;
  /** Beside the choice of kind. */
  children?: ReactNode;
}

export function PromptEditor({
  legend,
  prompt,
  onChange,
  takesMore,
  children,
}: PromptEditorProps): ReactNode {
  const [pasted, setPasted] = useState<{ words: string; before: LabPrompt } | null>(null);
  const id = useId();
  const focusNext = useRef<string | null>(null);
  useEffect(() => {
    if (focusNext.current === null) return;
    document.getElementById(focusNext.current)?.focus();
    focusNext.current = null;
  });
  const isText = "text" in prompt;
  const change = (next: LabPrompt): void => {
    setPasted(null);
    onChange(next);
  };
  const onPaste = (event: ClipboardEvent): void => {
    const found = parsePasted(event.clipboardData.getData("text/plain"));
    if (found === null) return;
    event.preventDefault();
    const [first, ...rest] = found;
    const others =
      rest.length === 0
        ? ""
        : ` ${formatAmount(rest.length, "further prompt")} ${takesMore ? "added" : "left out"}.`;
    const what = "text" in first ? "a text" : `a chat of ${formatAmount(first.messages.length, "turn")}`;
    setPasted({ words: `The pasted JSON is ${what}.${others}`, before: prompt });
    if (takesMore && rest.length > 0) onChange(first, rest);
    else onChange(first);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.form?.requestSubmit();
  };
  const text = { onPaste, onKeyDown, spellCheck: false };
  const length = promptLength(prompt);

  return (
    <fieldset className="prompt-editor">
      <legend>{legend}</legend>
      <div className="bar">
        <label className="field">
          <span>Kind</span>{" "}
          <select
            value={isText ? "text" : "chat"}
            onChange={(event) => change(toKind(prompt, event.target.value as "chat" | "text"))}
          >
            <option value="chat">chat</option>
            <option value="text">plain text</option>
          </select>
        </label>
        {children}
      </div>
      {isText ? (
        <textarea
          aria-label={`${legend}: text`}
          value={prompt.text}
          rows={4}
          onChange={(event) => change({ text: event.target.value })}
          {...text}
        />
      ) : (
        <Turns
          {...{ id, legend, text }}
          turns={prompt.messages}
          onChange={(messages, focus) => {
            focusNext.current = focus ?? null;
            change({ messages });
          }}
        />
      )}
      <p className="note" role="status">
        {pasted !== null && (
          <>
            {pasted.words}{" "}
            <button type="button" className="quiet" onClick={() => change(pasted.before)}>
              Undo
            </button>
          </>
        )}
        {length > LAB_LIMITS.prompt / 2 &&
          `${formatCount(length)} of at most ${formatCount(LAB_LIMITS.prompt)} characters`}
      </p>
    </fieldset>
  );
}

function Turns(options: {
  id: string;
  legend: string;
  turns: readonly ChatTurn[];
  /** focus: id of the element that has the keys afterwards. */
  onChange: (turns: ChatTurn[], focus?: string) => void;
  text: object;
}): ReactNode {
  const { id, legend, turns, onChange, text } = options;
  const set = (i: number, part: Partial<ChatTurn>): void =>
    onChange(turns.map((turn, k) => (k === i ? { ...turn, ...part } : turn)));
  const move = (from: number, to: number, button: string): void => {
    const next = turns.toSpliced(from, 1).toSpliced(to, 0, turns[from]);
    // At an end the button is out of use: the other one takes the keys.
    const name = to === 0 ? "down" : to === turns.length - 1 ? "up" : button;
    onChange(next, `${id}-${to}-${name}`);
  };
  const last = turns.at(-1);
  const nextRole: ChatRole = last?.role === "user" ? "assistant" : "user";
  return (
    <>
      <ol className="turns">
        {turns.map(({ role, content }, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a turn's place is what it is
          <li key={i} className={`turn ${role}`}>
            <select
              aria-label={`${legend}: role of turn ${i + 1}`}
              value={role}
              onChange={(event) => set(i, { role: event.target.value as ChatRole })}
            >
              {CHAT_ROLES.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
            <textarea
              id={`${id}-${i}-text`}
              aria-label={`${legend}: turn ${i + 1}`}
              value={content}
              rows={2}
              onChange={(event) => set(i, { content: event.target.value })}
              {...text}
            />
            <span className="turn-buttons">
              <button
                type="button"
                className="quiet"
                id={`${id}-${i}-up`}
                aria-label={`Move turn ${i + 1} up`}
                disabled={i === 0}
                onClick={() => move(i, i - 1, "up")}
              >
                ↑
              </button>
              <button
                type="button"
                className="quiet"
                id={`${id}-${i}-down`}
                aria-label={`Move turn ${i + 1} down`}
                disabled={i === turns.length - 1}
                onClick={() => move(i, i + 1, "down")}
              >
                ↓
              </button>
              <button
                type="button"
                className="quiet"
                aria-label={`Remove turn ${i + 1}`}
                disabled={turns.length === 1}
                onClick={() => onChange(turns.toSpliced(i, 1), `${id}-${Math.max(0, i - 1)}-text`)}
              >
                ×
              </button>
            </span>
          </li>
        ))}
      </ol>
      <button
        type="button"
        disabled={turns.length >= LAB_FIGURES.turns}
        onClick={() => onChange([...turns, { role: nextRole, content: "" }], `${id}-${turns.length}-text`)}
      >
        Add a turn
      </button>
    </>
  );
}
