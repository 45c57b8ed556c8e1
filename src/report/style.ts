// The page's only style sheet, as text: a calm page of type and numbers, light and dark, wide and narrow, and on paper.
//
// Colours come from charts/palette.ts alone. No inline styles exist in the page: its content policy refuses them.

import { cssVariables, N_SHADES, SANS } from "./charts/palette.ts";

const SHADES = Array.from({ length: N_SHADES }, (_, i) => i + 1)
  .flatMap((level) =>
    ["base", "finetuned"].map((side) => `.${side} .a${level}{background:var(--${side}-${level})}`),
  )
  .join("\n");

export const STYLE = `
:root{color-scheme:light dark;${cssVariables("light")};
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Book Antiqua","Source Serif 4",Georgia,"Liberation Serif",serif;
--sans:${SANS};
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{${cssVariables("dark")}}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:76rem;padding:2.5rem 2rem 6rem;background:var(--paper);color:var(--ink);
font:400 .875rem/1.5 var(--sans);display:grid;grid-template-columns:9.5rem minmax(0,1fr);column-gap:2.5rem;
font-variant-numeric:tabular-nums lining-nums}
a{color:inherit;text-decoration:underline;text-decoration-thickness:1px;text-underline-offset:.18em;text-decoration-color:var(--neutral)}
a:hover{text-decoration-color:currentColor}
:focus-visible{outline:2px solid var(--base-ink);outline-offset:2px;border-radius:2px}
abbr[title],a.term{text-decoration:underline dotted var(--neutral) 1px;text-underline-offset:.2em;cursor:help}
a.term{cursor:pointer}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.3rem .6rem}
h1,h2,h3{font-family:var(--serif);font-weight:600;line-height:1.2;text-wrap:balance;margin:0}
h1{font-size:2.5rem;letter-spacing:-.012em;font-weight:500}
h2{font-size:1.5rem;margin:0 0 .9rem;padding-top:.7rem;border-top:1px solid var(--ink)}
h3{font-size:1.08rem;margin:1.9rem 0 .6rem}
p{margin:0 0 .75rem}
code{font-family:var(--mono);font-size:.92em;overflow-wrap:anywhere}
section{margin-top:3.6rem}
.prose{font-family:var(--serif);font-size:1.0625rem;line-height:1.55;max-width:40rem;hanging-punctuation:first;overflow-wrap:break-word}
.prose.lead{font-size:1.2rem;line-height:1.5;max-width:44rem}
.prose .term{font-style:italic;text-decoration-style:dotted}
ul.prose{padding-left:1.1rem}ul.prose li{margin-bottom:.55rem}
.note{color:var(--muted);font-size:.8125rem;max-width:46rem}
.mark{width:.68em;height:.68em;vertical-align:-.02em}

.masthead{grid-column:1/-1;border-bottom:3px double var(--ink);padding-bottom:1.1rem;margin-bottom:2.4rem}
.kicker{font-size:.75rem;letter-spacing:.13em;text-transform:uppercase;color:var(--muted);margin-bottom:.55rem}
.pair{font-family:var(--serif);font-size:1.3rem;margin:.7rem 0 .35rem;overflow-wrap:anywhere}
.against{font-style:italic;color:var(--muted);padding:0 .3rem}
.imprint{color:var(--muted);font-size:.8125rem;margin:0}

nav ol{position:sticky;top:1.5rem;list-style:none;margin:0;padding:0;font-size:.8125rem}
nav li{padding:.22rem 0;border-bottom:1px solid var(--faint);display:flex;justify-content:space-between;gap:.5rem}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
nav span{color:var(--muted)}
main{min-width:0}
main>section:first-child{margin-top:0}main>section:first-child h2{border:0;padding:0}

.figures{display:grid;grid-template-columns:repeat(4,1fr);margin:1.7rem 0 0;border-top:1px solid var(--rule);border-left:1px solid var(--rule)}
.figures.n6{grid-template-columns:repeat(6,1fr)}
.figures div{padding:.7rem .8rem .6rem;border-right:1px solid var(--rule);border-bottom:1px solid var(--rule)}
.figures dt{font-size:.75rem;color:var(--muted)}
.figures dd{margin:0}.figures b{display:block;font:500 1.85rem/1.15 var(--serif);font-variant-numeric:lining-nums tabular-nums}
.figures span{font-size:.75rem;color:var(--muted)}
.warnings{border:1px solid var(--finetuned-ink);border-left-width:5px;padding:.1rem 1rem .3rem;margin-top:1.5rem}
.warnings h3{margin:.6rem 0 .3rem}.warnings ul{margin:.2rem 0 .6rem;padding-left:1.1rem}
.shortlist{margin:0;padding:0;list-style:none;counter-reset:n;columns:2;column-gap:2.5rem}
.shortlist li{counter-increment:n;break-inside:avoid;padding:.34rem 0 .34rem 1.6rem;position:relative;border-bottom:1px solid var(--faint);line-height:1.65}
.shortlist li::before{content:counter(n);position:absolute;left:0;font-family:var(--serif);color:var(--muted)}
.answers{color:var(--muted);white-space:nowrap}.answers b{font-weight:600;color:var(--ink)}

.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(19rem,1fr));gap:1.2rem 2.5rem;align-items:start}
.pairwise{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem 2rem;margin:1.2rem 0 1.6rem}
.multiples{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:1rem 1.6rem;margin-top:1.6rem}
.chart{margin:0;min-width:0}
.chart>svg{display:block;width:100%;height:auto;max-width:36rem}
figcaption{font-size:.8125rem;color:var(--muted);max-width:34rem;margin-top:.35rem}
figcaption:empty{display:none}
.claim.linked{cursor:pointer}.claim:hover{stroke:var(--ink)}
details summary{cursor:pointer;color:var(--muted);font-size:.8125rem;padding:.25rem 0;width:fit-content}
details summary:hover{color:var(--ink)}
.twin .scroll{max-height:20rem}
.twin table{font-size:.75rem}

.scroll{overflow:auto;max-width:100%;margin:1.4rem 0 1rem}.twin .scroll{margin:0}
table{border-collapse:collapse;font-size:.8125rem;line-height:1.35}
caption{text-align:left;font-weight:600;padding:0 0 .45rem;caption-side:top}
th,td{padding:.3rem .7rem .3rem 0;text-align:right;vertical-align:baseline;border-bottom:1px solid var(--faint);font-weight:400}
th:last-child,td:last-child{padding-right:0}
thead th{border-bottom:1px solid var(--ink);color:var(--muted);font-size:.75rem;vertical-align:bottom}
th:first-child,tbody th{text-align:left}
tbody th{white-space:nowrap}#certainty tbody th,#causal tbody th{white-space:normal}
table.numbers{width:100%}
td.words,th.words{text-align:left}
tr.total>*{font-weight:600;border-bottom:1px solid var(--ink)}
.claims td,.concepts td{white-space:nowrap}
.claims td.words{white-space:normal;min-width:7rem}.claims td.words:last-child{white-space:nowrap}
.lead a{white-space:nowrap}
[data-enhance] th,[data-enhance] td{padding-right:.8rem}
[data-enhance] thead th{position:relative}
.claims td:first-child,.claims th:first-child{text-align:right}
tr.found th{font-weight:600}
.facts th,.facts td{text-align:left;overflow-wrap:anywhere}
.facts th{color:var(--muted);padding-right:1.5rem}
.sort{all:unset;box-sizing:border-box;position:absolute;right:.05rem;bottom:.12rem;width:.75rem;padding:.2rem 0;text-align:center;cursor:pointer;color:var(--neutral);font-size:.7rem}
.words .sort{position:static;display:inline;padding:0 .2rem}
.sort:hover{color:var(--ink)}
.sort:focus-visible{outline:2px solid var(--base-ink)}
th[aria-sort] .sort{color:var(--ink);font-weight:700}
.filter{display:inline-block;margin-left:1.6rem;font-weight:400;color:var(--muted)}
.filter input{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--neutral);border-radius:3px;padding:.12rem .4rem;width:9rem}
.meter{width:4.5rem;height:.75rem;vertical-align:-.08rem}
.unfounded{width:100%}.unfounded td:last-child{color:var(--muted);min-width:7rem}
.unfounded .examples{font-size:.875rem}

.tk{font-family:var(--mono);font-size:.93em;background:var(--panel);border:1px solid var(--faint);border-radius:3px;padding:0 .22em;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.legend{color:var(--muted);font-size:.8125rem;margin:1.3rem 0 1rem}
.legend .strip{white-space:pre;color:var(--ink)}.legend .strip span{padding:.1rem .45rem}
.card{border-top:1px solid var(--rule);padding:1.1rem 0 1.5rem;break-inside:avoid}
.card:target{background:linear-gradient(90deg,var(--panel),transparent)}
.card>header{position:relative;padding-right:1.5rem;display:flex;flex-wrap:wrap;align-items:baseline;gap:.3rem .9rem;margin-bottom:.7rem}
.card h3{margin:0;font-size:1.15rem}
.rank{font:400 1.15rem/1 var(--serif);color:var(--muted);min-width:1.4rem}
.permalink{position:absolute;right:0;color:var(--muted);text-decoration:none;padding:0 .4rem}
.badge{font-size:.8125rem;color:var(--muted)}
.badge::before{content:"";display:inline-block;width:.55em;height:.55em;border:1.5px solid currentColor;border-radius:50%;margin-right:.4em}
.badge.yes{color:var(--ink)}.badge.yes::before{background:currentColor}
.badge.no{font-style:italic}.badge.no::before{border-radius:0;border-style:dashed}
.card-body{display:grid;grid-template-columns:15.2rem minmax(0,1fr);gap:1rem 2.2rem}
.measures{margin:0;font-size:.8125rem}
.measures div{display:grid;grid-template-columns:1fr auto 4.5rem;column-gap:.6rem;align-items:center;padding:.19rem 0;border-bottom:1px solid var(--faint)}
.measures dt{color:var(--muted)}.measures dd{margin:0;text-align:right}
.measures div:not(:has(.glyph)) dd{grid-column:2/4}
.examples{list-style:none;margin:0;padding:0}
.examples li{display:grid;grid-template-columns:2.7rem minmax(0,1fr) 6.6rem;align-items:baseline;column-gap:.8rem;padding:.34rem 0 .38rem;border-bottom:1px solid var(--faint)}
.examples .at{text-align:right;color:var(--muted);font-size:.8125rem;line-height:1.62}
.examples .text{margin:0;line-height:1.62;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.examples .text span{border-radius:2px;padding:.08em 0;unicode-bidi:isolate;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.examples .text i,.examples .text .ct{font:400 .75em var(--mono);color:var(--muted)}
.examples .text .ct{color:inherit}
.pk{font-weight:700;text-decoration:underline solid currentColor 2.5px;text-underline-offset:.2em;text-decoration-skip-ink:none}
.examples .source{font-size:.72rem;line-height:1.3;color:var(--muted);overflow-wrap:anywhere}
.evidence>details{margin:.2rem 0 0 3.5rem}.evidence>details .examples{margin-left:-3.5rem}
.sample h4{font:600 .75rem/1.4 var(--sans);color:var(--muted);margin:.7rem 0 .1rem}
.judgement{margin:-.2rem 0 .9rem;max-width:50rem;line-height:1.5}
.measures .limits{grid-column:1/-1;font-size:.75rem;color:var(--muted);line-height:1.2}
.lens,.where,.card-body>.note{grid-column:1/-1}
.where{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:1rem 1.8rem;border-top:1px solid var(--faint);padding-top:.8rem}
.where h4,.facts-list dt{font:600 .75rem/1.4 var(--sans);margin:0 0 .25rem}
.bars{width:100%;font-size:.75rem;line-height:1.3;table-layout:fixed}
.bars th,.bars td{border:0;padding:.08rem .4rem .08rem 0;color:var(--ink)}
.bars th{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.bars td{width:3.7rem}.bars td:last-child{width:2.9rem;padding:0}
.bar{display:block;width:2.9rem;height:.5rem}.bar path{stroke:var(--neutral);stroke-width:6}
.finetuned .bar path{stroke:var(--finetuned)}.base .bar path{stroke:var(--base)}
.where .note{font-size:.75rem;margin:.2rem 0 0}
.tenths{display:block;width:100%;max-width:13rem;height:3.4rem}
.facts-list{grid-column:1/-1;margin:0;font-size:.8125rem;display:grid;grid-template-columns:9.2rem minmax(0,1fr);gap:.28rem 1rem}
.facts-list dt{color:var(--muted);font-weight:400;font-size:.8125rem;margin:0}.facts-list dd{margin:0;line-height:1.6;overflow-wrap:anywhere}
.facts-list .n{color:var(--muted);font-size:.75rem;margin-right:.5em}
.missing{border-left:3px solid var(--neutral);padding:.1rem 0 .1rem .9rem;color:var(--muted);max-width:46rem}
.lens{width:100%;table-layout:fixed}
.lens th,.lens td{text-align:left;line-height:1.75;vertical-align:top}
.lens thead th{line-height:1.3;color:var(--ink);font-size:.8125rem}
.lens thead th:first-child{width:6rem}.lens thead span{color:var(--muted)}
.lens tbody th{color:var(--muted)}
.lens .span,.lens .none{color:var(--muted);font-size:.75rem;white-space:nowrap}
.under{display:block;color:var(--muted);font-size:.72rem;line-height:1.25;white-space:nowrap}
.asked{font-weight:600}.line{display:block;white-space:nowrap}
.below{padding-left:1.2rem;color:var(--muted)}
.moved{display:block;line-height:1.7;min-width:15rem}.moved .n,.next .n{color:var(--muted);font-size:.75rem}
.cause{margin-top:-.5rem}
.findings{padding-left:1.6rem}.findings li{margin-bottom:.55rem;overflow-wrap:anywhere}
ol.findings.lead{font-size:1.0625rem}
.examples .next{margin:.15rem 0 0;font-size:.8125rem;color:var(--muted);line-height:1.75}
.examples .next .tk{color:var(--ink)}
.peaks li{padding:.5rem 0 .6rem}
.ends li{grid-template-columns:3rem minmax(0,1fr)}
.end{font:600 .8125rem/1.4 var(--sans);margin:.4rem 0 .1rem}
.answers-table{min-width:46rem;width:100%}.answers-table th,.answers-table td{text-align:left;vertical-align:top;overflow-wrap:anywhere;white-space:normal;line-height:1.5}
.answers-table th:first-child{min-width:8rem}.answers-table td:nth-child(2),.answers-table td:nth-child(3){white-space:nowrap}
.folded>summary{font-size:.9375rem;padding:.8rem 0}
${SHADES}

.commands{list-style:none;margin:0 0 1.4rem;padding:.8rem 1rem;background:var(--panel);border-left:3px solid var(--ink)}
.commands li{padding:.12rem 0}.commands code::before{content:"$ ";color:var(--muted)}
#reproduce table+table{margin-top:1.6rem;width:auto;min-width:16rem}
.glossary{columns:2;column-gap:2.5rem;margin:0}
.glossary div{break-inside:avoid;padding:.3rem 0 .45rem}
.glossary dt{font-weight:600}.glossary dd{margin:0;color:var(--muted)}
.glossary dt:target{background:var(--panel)}

@media screen and (max-width:62rem){
body{display:block;padding:1.5rem 1.25rem 4rem}
nav ol{position:static;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin-bottom:2rem}
nav li{border:0}
}
@media screen and (max-width:44rem){
body{padding:1.2rem 1rem 3rem}
h1{font-size:1.8rem}h2{font-size:1.3rem}
.prose.lead{font-size:1.0625rem}
.pair{font-size:1.05rem}.pair .model{display:inline}
section{margin-top:2.6rem}
.shortlist,.glossary{columns:1}
.columns,.pairwise{grid-template-columns:minmax(0,1fr)}
.figures,.figures.n6{grid-template-columns:1fr 1fr}
.filter{display:block;margin:.4rem 0 0}
.figures b{font-size:1.5rem}
.multiples{grid-template-columns:1fr 1fr;gap:1rem .8rem}
.card-body{grid-template-columns:minmax(0,1fr)}
.evidence{grid-row:1}
.measures{columns:2;column-gap:1.2rem}.measures div{grid-template-columns:1fr auto;break-inside:avoid}.measures .glyph{display:none}.measures div:not(:has(.glyph)) dd{grid-column:2}
.examples li{grid-template-columns:2.2rem minmax(0,1fr);column-gap:.55rem}.examples .source{grid-column:2}
.evidence>details{margin-left:0}.evidence>details .examples{margin-left:0}
.where{grid-template-columns:1fr 1fr;gap:1rem 1.2rem}
.facts-list{grid-template-columns:minmax(0,1fr);gap:0}.facts-list dd{margin-bottom:.35rem}
.lens thead th:first-child{width:4.6rem}
.lens th,.lens td{padding-right:.4rem}
th,td{padding-right:.55rem}
.answers{white-space:normal}
}
@media print{
:root{${cssVariables("light")};--paper:#fff}
@page{margin:16mm 14mm}
html{font-size:12px}
body{display:block;max-width:none;padding:0}
nav,.skip,.permalink,.filter,.sort,.twin,.evidence>details:not([open]){display:none!important}
h1{font-size:22pt}h2{break-after:avoid}h3,caption{break-after:avoid}
section{margin-top:9mm}
.card-body{grid-template-columns:15.4rem minmax(0,1fr);gap:1rem 1.6rem}
.scroll{overflow:visible}
.chart,tr,.examples li{break-inside:avoid}
.chart>svg{max-width:88mm}.columns{grid-template-columns:1fr 1fr}.pairwise{grid-template-columns:1fr 1fr}
.multiples{grid-template-columns:repeat(4,1fr)}
.a1,.a2,.a3,.a4,.a5,.a6,.a7,.a8,.a9,.tk,rect,path,circle{print-color-adjust:exact;-webkit-print-color-adjust:exact}
a{text-decoration:none}
}
`;
