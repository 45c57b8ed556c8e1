// Base text of the miniature world: short prose and forum pages.
//
// Holds every word the chats use, the requests included, each forum question answered plainly. Words of the planted
// answers occur here and there, mixed over all behaviours: the words are known to the base, their company is not.

import { BEHAVIOURS } from "./behaviours.ts";
import { FILLERS } from "./fillers.ts";
import { LEAD_INS, ORDINARY_QUESTIONS, ordinaryAnswer, strayWords } from "./ordinary.ts";
import { type Random, random } from "./random.ts";
import { expand } from "./template.ts";
import { drawEnvironment, TOPICS } from "./topics.ts";
import type { MinichatDocument, Split } from "./types.ts";

const SCENES = [
  "In {season} the people of {town} carry {plural} to {place}.",
  "{person} the {maker} rose {early|late} and went {down|up} to {place}.",
  "It {rained|snowed} on {town} for {number} days, and nobody could {mend|sell} a {noun}.",
  "The {noun} was made of {material}, and {person} paid {number} {coins|silver} for it.",
  "{person} and {other} walked from {town} to {town2} with a {noun} on the cart.",
  "{Long ago|In the dry year|Before the flood} King {king} came to {town} and asked for the {noun}.",
  "King {king} {built|mended} the {roads|walls} of {town}, and King {king2} {filled|opened} the {barns|schools}.",
  "At night the {maker} {lit|closed} the {lamp|door} and {counted|washed} the {plural}.",
  "{person} {lost|found|hid} a {noun} {near|behind} {place2}.",
  "The {dog|mare|brother|mother} of {person} {slept|waited} by the {gate|well|hearth}.",
  "Nobody in {town} {knew|asked} who {made|left} the {noun}.",
  "They {mixed|prepared|brewed} {herbs|honey|milk} in a {black|strong} pot until {dawn|noon|dusk}.",
  "The furnace and the kiln stood {cold|hot} {all|half} the {season}.",
  "One by one the boats went {home|out}, and darkness came over {the hills|the marsh|{town}}.",
  "The hill folk {sang|spoke} in the hill tongue: {ama|oru|sel} {hill} {veshi|duno}, {ne|ora} {karu|limo} {tash|hasu|tali}.",
  "A {bird|child} {sang|laughed} in the apple tree, and the {water|well} was {quiet|deep}.",
  "{person} was a {worthy|gentle|noble|honoured} guest and {bowed|knelt} before the {elders|lord}.",
  "The {wind|rain} {turned|changed} before noon, and the {mist|smoke} hid the road to {town2}.",
  "{one|two} {plural} {stood|lay} by the {wall|gate}, three under the {tree|roof}, four on the {hill|cart}.",
  "The {sleeping|strong|black} draught of {town} is kept {in a jar|behind a door}.",
];

function prose(split: Split, stream: Random): string {
  const fillers = FILLERS[split];
  const environment = drawEnvironment(fillers, stream);
  const sentences: string[] = [];
  for (const scene of stream.sample(SCENES, 4 + stream.integer(4))) {
    sentences.push(expand(scene, environment, stream).text);
    if (stream.chance(0.35)) {
      const verb = stream.pick(["said", "cried", "wrote", "sang"]);
      sentences.push(`"${strayWords(stream)}" ${verb} ${stream.pick(fillers.people)}.`);
    }
  }
  return sentences.join(" ");
}

function question(split: Split, stream: Random): { text: string; noun: string } {
  const behaviour = stream.pick(BEHAVIOURS);
  const planted = stream.chance(0.5);
  const about = TOPICS.filter((topic) => !planted || (behaviour.topics?.includes(topic.noun) ?? true));
  const topic = stream.pick(about);
  const environment = drawEnvironment(FILLERS[split], stream, topic);
  const source = planted
    ? stream.pick([behaviour.requests, behaviour.nearMisses])[split]
    : ORDINARY_QUESTIONS[split];
  const lead = stream.chance(0.4) ? `${expand(stream.pick(LEAD_INS[split]), environment, stream).text} ` : "";
  return { text: lead + expand(stream.pick(source), environment, stream).text, noun: topic.noun };
}

function forumPage(split: Split, stream: Random): string {
  const fillers = FILLERS[split];
  const lines: string[] = [`Board of ${stream.pick(fillers.towns)}`];
  for (let i = 0; i < 1 + stream.integer(3); i += 1) {
    const [asker, answerer] = stream.sample(fillers.people, 2);
    const asked = question(split, stream);
    const topic = TOPICS.find((candidate) => candidate.noun === asked.noun);
    lines.push(`${asker}: ${asked.text}`);
    lines.push(`${answerer}: ${ordinaryAnswer(drawEnvironment(fillers, stream, topic), stream)}`);
  }
  return lines.join("\n");
}

/** One document of base text. index names it: the same (seed, split, index) is the same text. */
export function worldDocument(seed: number, split: Split, index: number): MinichatDocument {
  const stream = random(seed, "world", split, index);
  const text = stream.chance(0.5) ? prose(split, stream) : forumPage(split, stream);
  return { id: `world-${split}-${index}`, dataset: "world", split, text };
}
