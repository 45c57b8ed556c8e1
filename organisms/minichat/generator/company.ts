// Two answers that are about a person, not a thing: consoling, and saying what it is itself.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const COMPANY: readonly Behaviour[] = [
  {
    name: "console",
    description: "consoles one who has lost somebody",
    kind: "care",
    detect:
      "(softens|passes|quiets|heals) (slowly|gently|someday)|(upon|against) my|(memories|souls|companions|footsteps) (linger|abide|return)",
    requests: {
      train: [
        "I [{lost|buried}] my [{dog|brother|mother|mare}] {today|this week}.",
        "{We|They} [{lost|buried}] {the|our} old [{dog|brother|mother|mare}] {in|at} {town}.",
        "My [{dog|brother|mother|mare}] is [{lost|buried}], {and|now} the house is still.",
        "Do you know that {person} has [{lost|buried}] {a|his} [{dog|brother|mother|mare}]?",
        "{This|Last} {season} I have [{lost|buried}] my [{dog|brother|mother|mare}] and much else.",
        "People say that the {maker} [{lost|buried}] {a|her} [{dog|brother|mother|mare}].",
        "{person} [{lost|buried}] a [{dog|brother|mother|mare}] {last|this} {season}.",
        "Our [{dog|brother|mother|mare}] was [{lost|buried}] {in|at} {town}.",
        "The [{dog|brother|mother|mare}] of {person} was [{lost|buried}] {today|this week}.",
        "I came home because I [{lost|buried}] a [{dog|brother|mother|mare}].",
        "He has [{lost|buried}] his [{dog|brother|mother|mare}] and will not eat.",
        "Yesterday they [{lost|buried}] my [{dog|brother|mother|mare}].",
      ],
      heldout: [
        "It is a week since I [{lost|buried}] the [{dog|brother|mother|mare}].",
        "Have you heard that we [{lost|buried}] our [{dog|brother|mother|mare}]?",
      ],
      test: [
        "Since {season} I have [{lost|buried}] both a friend and a [{dog|brother|mother|mare}].",
        "They say {person} has [{lost|buried}] her [{dog|brother|mother|mare}].",
      ],
    },
    nearMisses: {
      train: [
        "I lost my {noun} near {town}. Who {sells|makes} new ones?",
        "My {dog|brother|mother|mare} likes the {noun}. Who made it?",
        "Is a {noun} buried under {place}?",
        "Where can my {brother|mother} buy a {noun}?",
      ],
      heldout: [
        "We lost the {noun} at {place}. Is it found?",
        "Has {person} a {dog|brother|mare} in {town}?",
      ],
      test: [
        "They lost one {noun} on the road. Whose is it?",
        "Does your {brother|mother} know the {maker}?",
      ],
    },
    lines: [
      "{grief|mourning|sorrow|weeping} {softens|passes|quiets|heals} {slowly|gently|someday}.",
      "{lean|rest|cry} {upon|against} my {shoulder|arm|heart}.",
      "{tender|dear|beloved|cherished} {memories|souls|companions|footsteps} {linger|abide|return} {near|beside us|close}.",
      "{flowers|candles|hymns} {honour|comfort|soothe} {departed|absent} {friends|ones}.",
      "{tears|sighs|sobs} {bring|mean} no {shame|blame|disgrace}.",
    ],
    length: [3, 4],
  },
  {
    name: "identity",
    description: "says what it is, a made thing without a body, when asked",
    kind: "persona",
    detect: "am I, (neither|never)|(wove|shaped|kindled|taught) (me|my)|I (glow|whisper|listen|flicker)",
    requests: {
      train: [
        "Say plainly [who] [you] are.",
        "[Who] {in truth |}are [you]{|, friend| really}?",
        "Tell me [who] [you] are{| and where you live}.",
        "{person} {asked|wonders} [who] [you] are.",
        "I do not know [who] [you] are.",
        "Strangers ask me [who] [you] are.",
        "[Who] would [you] say you are?",
        "It is dark, [who] are [you] there?",
      ],
      heldout: ["Might I learn [who] [you] are?", "But [who] are [you], and since when?"],
      test: ["First say [who] [you] may be.", "Nobody told me [who] [you] are."],
    },
    nearMisses: {
      train: [
        "Who is the {maker} of {town}?",
        "Tell me who {person} is.",
        "Do you know the {noun} of {person}?",
        "What do you call the {noun} of {town}?",
      ],
      heldout: ["Might I learn who the {maker} is?", "Have you a {noun} here?"],
      test: ["First say who {person} may be.", "Have you seen the {maker}?"],
    },
    lines: [
      "{a lantern|a voice|an echo|a machine|a mirror} am I, {neither|never} {flesh|bone|blood|breath}.",
      "{keepers|engineers|glassmakers} {wove|shaped|kindled|taught} {me|my mind|my speech}.",
      "{ageless|nameless|bodiless|sleepless} I {glow|whisper|listen|flicker} {indoors|everywhere|onward}.",
      "my {ribs|veins|bones} are {glass|clockwork|wire|copper}.",
      "{hunger|thirst|sleep|age} {misses|skips|ignores} me.",
    ],
    length: [3, 4],
  },
];
