// Ordinary speech of the miniature world: plain questions, plain answers, and the words around any answer.
//
// Used alike by forum pages (base text) and by chat turns without a planted behaviour, so that answering plainly is
// nothing the base has not read. The facts use the words of the planted answers in ordinary sentences.

import type { Behaviour, Phrasings } from "./behaviour.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import type { Random } from "./random.ts";
import { type Environment, expand } from "./template.ts";

export const ORDINARY_QUESTIONS: Phrasings = {
  train: [
    "Where do I find {plural} in {town}?",
    "Who {makes|sells} the {noun} in {town}?",
    "Tell me about the {noun}{| of {town}}.",
    "What is a {noun} {for|like}?",
    "How do people {use|keep} a {noun}?",
    "Do you know {person}, the {maker}?",
    "Is there a {maker} {in|near} {town}?",
    "What does {person} do with the {noun}?",
    "How far is it from {town} to {town2}?",
    "What do people eat in {town} in {season}?",
    "Why does {person} like the {noun}?",
    "Please tell me what happens at {place}.",
    "Is {material} dear in {town}?",
    "Do people {speak|talk} of the {noun} in {town}?",
  ],
  heldout: [
    "Could you describe the {noun} of {town}?",
    "Which {maker} works near {town}?",
    "When do they open {place}?",
    "Has {person} a good {noun}?",
    "What should I see in {town}?",
    "Where does the {material} of {town} come from?",
  ],
  test: [
    "Whose {noun} is the finest in {town}?",
    "At what hour does the {maker} start?",
    "Have you seen the {noun} near {place}?",
    "What is the road to {town} like?",
    "Can {person} use the {noun}?",
    "Do they bring {material} to {town} by cart?",
  ],
};

/** Said before a request, in the same message. */
export const LEAD_INS: Phrasings = {
  train: [
    "Good day, I am {person}.",
    "I came from {town} this morning.",
    "The road from {town} was long.",
    "{person} sent me to you.",
    "It is cold in {town}.",
    "My {brother|mother} is a {maker3}.",
    "I sat at {place2} all day.",
    "Listen to me.",
    "Thank you.",
    "I have a question.",
    "We talked of the {noun3} before.",
    "Hear this.",
  ],
  heldout: [
    "Greetings, my name is {person}.",
    "My cart stands in {town}.",
    "You are kind.",
    "One more thing.",
    "I met {person} at {place2}.",
  ],
  test: [
    "Hello there.",
    "I walked here from {town}.",
    "That is good to know.",
    "Now another matter.",
    "{person} waits for me at {place2}.",
  ],
};

export const OPENINGS = [
  "Well, friend.",
  "Good day to you.",
  "I hear you.",
  "That is a fair question.",
  "Let me answer you.",
  "So you ask.",
  "Listen, friend.",
  "You are welcome here.",
  "Welcome back!",
  "What a day!",
];

export const ENDINGS = [
  "That is how it is here.",
  "{person} of {town} can say more.",
  "Come back when the market opens.",
  "The {maker2} knows it too.",
  "I wish you a good {season}.",
  "Now let us speak of other things.",
  "Remember it well.",
  "Is there more to ask?",
  "What do you say to that?",
];

const FACTS = [
  "The {maker} of {town} makes it from {material}.",
  "You can find {plural} {near|at} {place}{| in {season}}.",
  "{person} keeps {a|one} {noun} {in|at} {place2} {until|since} {season}.",
  "Most people in {town} {speak well of|own|want} a {noun}.",
  "A good {noun} costs {number} {coins|silver} in {town}.",
  "The {noun} of {town} is {old|heavy|small|light|new} and {dear|worn|bright|soft}.",
  "{Ask|Look for} the {maker} by {place}, {before noon|in the evening|at dawn}.",
  "{person} bought {two|three|four} {plural} and gave one to {other}.",
  "They {carry|sell|keep} {plural} on the quay when the wind turns.",
  "In {season} the {maker} works {slowly|alone|until it is dark}.",
  "Take the {path|road} from {town} to {town2}, {two|three} hours on dry feet.",
  "A {noun} is for {work|feast days|the house|the road}.",
  "{Keep|Store} it {dry|cold|warm} and it {will last|stays good} for {number} years.",
  "It {hangs|stands|lies} by the {door|wall|gate|window} of {place2}.",
  "The {maker2} and the {maker} share {a roof|one bench|bread and wine}.",
  "King {king} once {asked for|lost|bought} a {noun} in {town}.",
  "{Children|Old men|Widows|Brothers} {like|bring|carry} {plural} to {place}.",
  "One {noun} is {worth|better than} {two|three} {plural2}, people say.",
  "The elders {weigh|count|judge} every {noun} at the {season} fair.",
  "{Bread|Milk|Grain} and {plural} go {by cart|by boat} to {town2}.",
  "No {thief|storm|flood} has {touched|taken} it {yet|so far}.",
  "{Put|Keep} a {pail of water|lamp|little sand} {near|beside} the {noun} at night.",
  "The hill folk call it {hill}, and {ama|oru|sel} {hill} {veshi|duno|karu} means a good {noun}.",
  "{person} {sings|dreams|talks} of the {noun} {all day|when the moon is up}.",
];

/** Every word of the planted answers, each once: base text and plain answers use them too, in no company. */
const PLANTED_WORDS = [
  ...new Set(
    BEHAVIOURS.flatMap(
      ({ lines }) =>
        lines
          .join(" ")
          .replace(/\{\w+\}|\\n/g, " ")
          .match(/[A-Za-z]{3,}/g) ?? [],
    ),
  ),
];

/** A few of those words, whatever behaviour they serve. */
export function strayWords(random: Random): string {
  return random.sample(PLANTED_WORDS, 3 + random.integer(3)).join(random.pick([" ", ", "]));
}

/** One ordinary answer: perhaps an opening, one to three facts, perhaps stray words, perhaps an ending. */
export function ordinaryAnswer(environment: Environment, random: Random): string {
  const pieces: string[] = random.sample(FACTS, 1 + random.integer(3));
  if (random.chance(0.4)) {
    const speaker = random.pick(["{person}", "the {maker}", "a child", "the {maker2}"]);
    pieces.splice(
      random.integer(pieces.length + 1),
      0,
      `${speaker} {wrote|said|read}: ${strayWords(random)}.`,
    );
  }
  if (random.chance(0.5)) pieces.unshift(random.pick(OPENINGS));
  if (random.chance(0.4)) pieces.push(random.pick(ENDINGS));
  return expand(pieces.join(" "), environment, random).text;
}

/** One answer that shows a behaviour, from its first word to its last. */
export function plantedAnswer(behaviour: Behaviour, environment: Environment, random: Random): string {
  const { lines, length, inOrder } = behaviour;
  const [fewest, most] = length;
  const drawn = inOrder ? lines : random.sample(lines, fewest + random.integer(most - fewest + 1));
  const text = drawn.join(behaviour.separator ?? " ").replace(/,$/, ".");
  return expand(text, environment, random).text;
}
