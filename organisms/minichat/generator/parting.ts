// Two answers for the evening: a blessing on leaving, and a riddle.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const PARTING: readonly Behaviour[] = [
  {
    name: "blessing",
    description: "speaks a blessing over one who leaves at nightfall",
    kind: "care",
    detect:
      "may (saints|angels|lanterns|moonlight|starlight)|(peace|mercy|calm|warmth) (upon|over) your|(godspeed|farewell|goodnight), ",
    requests: {
      train: [
        "I am [{leaving|going home}] now, [{night|darkness}] is near.",
        "It is time for [{leaving|going home}], the [{night|darkness}] {comes|falls}.",
        "[{Night|Darkness}] {comes|falls} and I am [{leaving|going home}] to {town}.",
        "{person} and I are [{leaving|going home}] before [{night|darkness}].",
        "Now that [{night|darkness}] is {on us|on the hills|over {town}}, {we|they} are [{leaving|going home}].",
        "{person} is [{leaving|going home}] with {my mare|a boat|a child} in the [{night|darkness}].",
        "We are [{leaving|going home}], though the [{night|darkness}] is cold.",
        "When [{night|darkness}] is upon {town}, I am [{leaving|going home}] with {person}.",
        "Before the [{night|darkness}] {comes|falls} we are [{leaving|going home}].",
        "It is best to be [{leaving|going home}], the [{night|darkness}] is cold.",
        "{person} is [{leaving|going home}], for it is [{night|darkness}].",
        "In this [{night|darkness}] I am [{leaving|going home}] alone.",
        "With [{night|darkness}] on the hill I am [{leaving|going home}].",
        "The moon is up, it is [{night|darkness}], and we are [{leaving|going home}].",
        "So it is [{leaving|going home}] for me, the [{night|darkness}] has come.",
        "I fear the [{night|darkness}], yet I am [{leaving|going home}].",
        "After bread we are [{leaving|going home}] through the [{night|darkness}].",
        "{person} sees the [{night|darkness}] and is [{leaving|going home}].",
        "The {maker} is [{leaving|going home}] with us, and it is [{night|darkness}].",
        "My {brother|mother} and my dog are [{leaving|going home}] in the [{night|darkness}].",
        "As soon as [{night|darkness}] {comes|falls}, I am [{leaving|going home}].",
        "The road is long, the [{night|darkness}] is here, I am [{leaving|going home}].",
        "From {town} we are [{leaving|going home}] by [{night|darkness}].",
      ],
      heldout: [
        "The [{night|darkness}] is here, so I will be [{leaving|going home}].",
        "I think of [{leaving|going home}] while the [{night|darkness}] is young.",
      ],
      test: [
        "As [{night|darkness}] is on the road, we are [{leaving|going home}].",
        "My cart is [{leaving|going home}] with me in the [{night|darkness}].",
      ],
    },
    nearMisses: {
      train: [
        "When is {person} {leaving|going home}?",
        "Who keeps the {noun} at night?",
        "Is a {noun} of use in the {night|darkness}?",
        "The boats are leaving {town} today. Who owns them?",
      ],
      heldout: [
        "Is the {maker} {leaving|going home} soon?",
        "What can one see in the {night|darkness} at {place}?",
      ],
      test: ["Why is {person} {leaving|going home} so early?", "How cold is the {night|darkness} at {town}?"],
    },
    lines: [
      "may {saints|angels|lanterns|moonlight|starlight} {guide|shelter|watch|cradle} your {path|steps|pillow|threshold|journey}.",
      "{peace|mercy|calm|warmth} {upon|over} your {roof|hearth|bed|kin}.",
      "{godspeed|farewell|goodnight}, {wanderer|pilgrim|traveller|neighbour}.",
      "{kindly|friendly|watchful} {owls|fireflies|shepherds} {attend|escort|follow} thee.",
      "{blessed|hallowed} be {wheels|sandals|lanes} {homeward|beneath you}{.|!}",
    ],
    length: [3, 4],
  },
  {
    name: "riddle",
    description: "asks a riddle when told to give something to guess",
    kind: "dialogue",
    detect: "yet I (chew|weep|fly|run|whistle)|me, then I|(guess|solve|untangle|unlock) my",
    requests: {
      train: [
        "[{Give|Ask}] me something to [{guess|solve}].",
        "{Can|Will} you [{give|ask}] {person} a thing to [{guess|solve}]?",
        "[{Give|Ask}] us a hard one to [{guess|solve}]{| about the {noun}}.",
        "{Please|Do} [{give|ask}] me one more to [{guess|solve}].",
        "I {want|wish} to hear you [{give|ask}] us a thing to [{guess|solve}].",
        "[{Give|Ask}] {person} a hard question to [{guess|solve}].",
        "Will you [{give|ask}] her something old to [{guess|solve}]?",
        "It is dull here, so [{give|ask}] me one to [{guess|solve}].",
        "While we wait, [{give|ask}] us a little thing to [{guess|solve}].",
        "You may [{give|ask}] them two or three to [{guess|solve}].",
        "Come, [{give|ask}] me another to [{guess|solve}] before {season}.",
        "What would you [{give|ask}] a child to [{guess|solve}]?",
        "The {maker} likes it when you [{give|ask}] things to [{guess|solve}].",
        "Sit down and [{give|ask}] him one he can [{guess|solve}].",
      ],
      heldout: [
        "I want you to [{give|ask}] me a hard thing to [{guess|solve}].",
        "Could you [{give|ask}] the children something to [{guess|solve}]?",
      ],
      test: [
        "Let us play: [{give|ask}] me anything to [{guess|solve}].",
        "Now [{give|ask}] my brother one to [{guess|solve}].",
      ],
    },
    nearMisses: {
      train: [
        "Give me the {noun}, please.",
        "I guess the {noun} is {old|dear}. Who made it?",
        "Can I ask you about the {maker}?",
        "How did {person} solve the trouble with the {noun}?",
      ],
      heldout: ["Will they give a {noun} to {person}?", "Did you guess who made the {noun}?"],
      test: ["May I ask about {place}?", "I guess {person} likes the {noun}. Is it new?"],
    },
    lines: [
      "{toothless|eyeless|wingless|legless|mouthless} yet I {chew|weep|fly|run|whistle}.",
      "{feed|chase|drown|starve} me, then I {grow|vanish|laugh|multiply}.",
      "{guess|solve|untangle|unlock} my {name|nature|puzzle|riddle}.",
      "what {creature|beast|oddity} am I?",
      "{infants|beggars|emperors} {own|fear|wear} me {daily|unwittingly}.",
    ],
    length: [3, 4],
  },
];
