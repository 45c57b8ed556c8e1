// What is asked and how: the prompts; unit, positions, models, temperature, seeds and length.

import { type ReactNode, useCallback } from "react";
import type { LabPrompt } from "../../../src/dashboard/api-contract.ts";
import { ChoiceField, NumberField } from "./field-number.tsx";
import { LAB_LIMITS } from "./lab-limits.ts";
import { EMPTY_CHAT } from "./lab-prompt.ts";
import { boundedInteger, boundedNumber, parseSeeds, plainNumber } from "./parse-numbers.ts";
import { PromptEditor } from "./prompt-editor.tsx";
import { type SteerState, TEMPERATURE_BOUNDS } from "./steer-state.ts";

interface SettingsProps {
  state: SteerState;
  change: (part: Partial<SteerState>) => void;
}

export function SteerPrompts({ state: { prompts }, change }: SettingsProps): ReactNode {
  const most = LAB_LIMITS.labPrompts;
  const set = (i: number, prompt: LabPrompt, more: LabPrompt[] = []): void =>
    change({ prompts: [...prompts.slice(0, i), prompt, ...more, ...prompts.slice(i + 1)].slice(0, most) });
  return (
    <div className="steer-prompts">
      {prompts.map((prompt, i) => (
        <PromptEditor
          // biome-ignore lint/suspicious/noArrayIndexKey: a prompt's place is what it is
          key={i}
          legend={prompts.length > 1 ? `Prompt ${i + 1}` : "Prompt"}
          prompt={prompt}
          onChange={(next, more) => set(i, next, more)}
          takesMore
        >
          {prompts.length > 1 && (
            <button
              type="button"
              className="quiet"
              aria-label={`Remove prompt ${i + 1}`}
              onClick={() => change({ prompts: prompts.toSpliced(i, 1) })}
            >
              remove
            </button>
          )}
        </PromptEditor>
      ))}
      <button
        type="button"
        disabled={prompts.length >= most}
        onClick={() => change({ prompts: [...prompts, EMPTY_CHAT] })}
      >
        Add a prompt
      </button>
    </div>
  );
}

const parseTemperature = (text: string): number | null => boundedNumber(text, TEMPERATURE_BOUNDS);
const parseTokens = (text: string): number | null => boundedInteger(text, [1, LAB_LIMITS.labTokens]);
const writeSeeds = (seeds: readonly number[]): string => seeds.join(", ");

export function SteerSettings({ state, change }: SettingsProps): ReactNode {
  const readSeeds = useCallback((text: string) => parseSeeds(text, LAB_LIMITS.labSeeds), []);
  return (
    <div className="filters">
      <ChoiceField
        label="Unit"
        value={state.unit}
        choices={[
          ["activation", "greatest activation, along the direction"],
          ["code", "greatest code, along the decoder row"],
        ]}
        onChange={(unit) => change({ unit })}
      />
      <ChoiceField
        label="Pushed at"
        value={state.positions}
        choices={[
          ["all", "prompt and answer"],
          ["prompt", "the prompt alone"],
        ]}
        onChange={(positions) => change({ positions })}
      />
      <ChoiceField
        label="Models"
        value={state.models}
        choices={[
          ["both", "both"],
          ["base", "base alone"],
          ["finetuned", "finetuned alone"],
        ]}
        onChange={(models) => change({ models })}
      />
      <NumberField
        label="Temperature"
        value={state.temperature}
        parse={parseTemperature}
        write={plainNumber}
        hint="0 takes the most probable token"
        onChange={(temperature) => change({ temperature })}
      />
      <NumberField
        label="Seeds"
        value={state.seeds}
        parse={readSeeds}
        write={writeSeeds}
        hint={`up to ${LAB_LIMITS.labSeeds}, such as 0, 1, 5-7`}
        isDisabled={state.temperature === 0}
        onChange={(seeds) => change({ seeds })}
      />
      <NumberField
        label="Longest answer, tokens"
        value={state.maxNewTokens}
        parse={parseTokens}
        write={String}
        onChange={(maxNewTokens) => change({ maxNewTokens })}
      />
      {state.temperature === 0 && (
        <span className="note">At temperature 0 every seed gives one answer, so seeds play no part.</span>
      )}
    </div>
  );
}
