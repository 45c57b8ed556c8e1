// A field that finds a latent by its number, its label or the tokens it promotes, and adds it: a combobox with a list of suggestions.
//
// Keys as in the ARIA pattern: arrows move in the list, Enter takes, Escape closes. Enter on a bare number needs no list.

import { type KeyboardEvent, type ReactNode, useId, useMemo, useState } from "react";
import { formatCount } from "../format.ts";
import { SideMark, sideOf } from "../parts/token.tsx";
import { showInvisible } from "../visible-text.ts";
import { LAB_FIGURES } from "./lab-limits.ts";
import { isClaim, type LatentFacts, suggestLatents } from "./suggest-latents.ts";

export function LatentSearch(options: {
  label: string;
  facts: LatentFacts;
  /** Chosen already. */
  without: ReadonlySet<number>;
  isFull: boolean;
  onPick: (latent: number) => void;
}): ReactNode {
  const { label, facts, without, isFull, onPick } = options;
  const [text, setText] = useState("");
  const [isOpen, setIsOpen] = useState(false);
  const [at, setAt] = useState(0);
  const id = useId();
  const found = useMemo(
    () => (isOpen ? suggestLatents(text, facts, { most: LAB_FIGURES.suggestions, without }) : []),
    [isOpen, text, facts, without],
  );
  const isShown = isOpen && found.length > 0;
  const current = Math.min(at, found.length - 1);
  const pick = (latent: number | undefined): void => {
    if (latent === undefined) return;
    setText("");
    setAt(0);
    setIsOpen(false);
    onPick(latent);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter") {
      // Never the form's own submit, which would run the lab.
      event.preventDefault();
      pick(found[current]?.latent);
    } else if (event.key === "Escape") setIsOpen(false);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setIsOpen(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (isShown) setAt((current + step + found.length) % found.length);
    }
  };
  return (
    <div className="latent-search">
      <label className="field" htmlFor={id}>
        <span>{label}</span>
      </label>{" "}
      <input
        id={id}
        role="combobox"
        aria-expanded={isShown}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={isShown ? `${id}-${current}` : undefined}
        autoComplete="off"
        placeholder="number, label or token"
        value={text}
        disabled={isFull}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
          setIsOpen(true);
        }}
        onFocus={() => setIsOpen(true)}
        onBlur={() => setIsOpen(false)}
        onKeyDown={onKeyDown}
      />
      <div className="options" id={`${id}-list`} role="listbox" aria-label="Suggestions" hidden={!isShown}>
        {found.map(({ latent, reason }, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the field has the keys
          <div
            key={latent}
            id={`${id}-${i}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === current}
            // Before the field loses the focus, which would close the list.
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => pick(latent)}
          >
            <b>{latent}</b> <LatentName facts={facts} latent={latent} />
            {reason === "label" && <span className="hidden"> (label)</span>}
          </div>
        ))}
      </div>
      {isOpen && text.trim() !== "" && found.length === 0 && (
        <p className="note" role="status">
          No latent of this number, label or token among {formatCount(facts.nLatents)}.
        </p>
      )}
    </div>
  );
}

/** What a latent is called: a person's label, else the tokens it promotes; with its claim's mark. */
export function LatentName({ facts, latent }: { facts: LatentFacts; latent: number }): ReactNode {
  const claim = facts.claimOf(latent);
  const side = sideOf(claim);
  const label = facts.labels.get(latent) ?? "";
  const promoted = facts.promoted?.[latent] ?? "";
  return (
    <span className="latent-name">
      {side !== null && isClaim(claim) && (
        <>
          <SideMark side={side} />
          <span className="hidden">{claim} </span>{" "}
        </>
      )}
      {label !== "" ? (
        <bdi>{showInvisible(label)}</bdi>
      ) : promoted !== "" ? (
        <bdi className="note">{showInvisible(promoted)}</bdi>
      ) : (
        <span className="note">no label</span>
      )}
    </span>
  );
}
