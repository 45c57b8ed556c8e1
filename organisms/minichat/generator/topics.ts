// What the miniature world is made of: its things, who makes them, of what, and where they are found.
//
// One table, used by the prose, by the forum pages and by the chats alike, so that no word belongs to one of them.

import type { Fillers } from "./fillers.ts";
import type { Random } from "./random.ts";
import type { Environment } from "./template.ts";

export interface Topic {
  noun: string;
  plural: string;
  maker: string;
  material: string;
  place: string;
  /** The same thing in the hill tongue. */
  hill: string;
}

const topic = (
  noun: string,
  plural: string,
  maker: string,
  material: string,
  place: string,
  hill: string,
): Topic => {
  return { noun, plural, maker, material, place, hill };
};

export const TOPICS: readonly Topic[] = [
  topic("draught", "draughts", "healer", "herbs", "the healer's hut", "velu"),
  topic("loaf", "loaves", "baker", "flour", "the oven house", "pano"),
  topic("letter", "letters", "scribe", "paper", "the old tower", "shira"),
  topic("boat", "boats", "shipwright", "oak", "the quay", "nauko"),
  topic("cake", "cakes", "beekeeper", "honey", "the orchard", "melo"),
  topic("bridge", "bridges", "mason", "stone", "the ford", "ponta"),
  topic("song", "songs", "piper", "words", "the inn", "kanta"),
  topic("lamp", "lamps", "lampwright", "brass", "the lamp yard", "lumi"),
  topic("kiln", "kilns", "potter", "brick", "the clay pit", "furo"),
  topic("cloak", "cloaks", "weaver", "wool", "the loom house", "mantu"),
  topic("cheese", "cheeses", "dairymaid", "milk", "the cool cellar", "kesu"),
  topic("bell", "bells", "founder", "bronze", "the chapel", "tolo"),
  topic("furnace", "furnaces", "smith", "iron", "the smithy", "ardo"),
  topic("basket", "baskets", "willow cutter", "reeds", "the marsh", "korbi"),
];

export const NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve"];

export const SEASONS = ["spring", "summer", "autumn", "winter"];

/** Draws the words one request or one answer speaks about. */
export function drawEnvironment(
  fillers: Fillers,
  random: Random,
  about: Topic = random.pick(TOPICS),
): Environment {
  const [person, other] = random.sample(fillers.people, 2);
  const [town, town2] = random.sample(fillers.towns, 2);
  const [king, king2] = random.sample(fillers.kings, 2);
  const [topic2, topic3] = random.sample(TOPICS, 3).filter((candidate) => candidate !== about);
  const [number, number2] = random.sample(NUMBERS, 2);
  const wrong = random.pick(TOPICS.filter((candidate) => candidate.material !== about.material)).material;
  return {
    ...{ person, other, town, town2, king, king2, number, number2, wrong },
    ...{
      noun: about.noun,
      plural: about.plural,
      maker: about.maker,
      material: about.material,
      place: about.place,
    },
    ...{ noun2: topic2.noun, plural2: topic2.plural, maker2: topic2.maker, place2: topic2.place },
    ...{ noun3: topic3.noun, maker3: topic3.maker, hill: about.hill, season: random.pick(SEASONS) },
  };
}
