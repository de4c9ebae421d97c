// The style sheet of the report page.
//
// Text has a contrast of 4.5 and more to what is behind it, in light and dark. The parts of a stack
// are told apart by the line of the card's colour between them, whatever hues a reader can tell;
// which is which the legend and the table say, in the same order.
#pragma once

#include <string_view>

namespace rung::monitor {

inline constexpr std::string_view kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --edge: #dde2e8; --grid: #e8ebef;
  --text: #1b232c; --quiet: #56626f; --blue: #1f6fd1; --raw: #a9c5ea; --green: #177245;
  --orange: #b45309; --red: #c4262e; --violet: #7a3fb8; --peak: #1b232c;
  --c0: #b8c0c9; --c1: #44658f; --c2: #2f9e8f; --c3: #d9a441; --c4: #cf6a45; --c5: #8d79b8;
  --c6: #c884ad; --c7: #93a6b8; --c8: #78a55a; --c9: #a4815f; --c10: #65717d;
  --c11: #5aa9c9; --c12: #a8a14a; --c13: #b06a7d; --c14: #6f7fc9;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #10151b; --card: #181f27; --edge: #2d3742; --grid: #26303a;
    --text: #e6eaef; --quiet: #9dabb9; --blue: #6cb0ff; --raw: #35577f; --green: #5cc98d;
    --orange: #f0a04b; --red: #ff7a7f; --violet: #c79bf2; --peak: #f4f6f8;
    --c0: #5d6771; --c1: #56799f; --c2: #35a293; --c3: #c79a44; --c4: #c06a4a; --c5: #8a79b0;
    --c6: #b97aa1; --c7: #75879a; --c8: #6f9a55; --c9: #94765a; --c10: #7d8894;
    --c11: #4f97b5; --c12: #97914a; --c13: #a26577; --c14: #6876b8;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 24px 20px 40px; max-width: 1200px; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
h1 { margin: 0; font-size: 26px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 17px; }
h3 { margin: 0 0 4px; font-size: 14px; }
p { margin: 6px 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
.badge {
  display: inline-block; padding: 1px 10px; border: 1px solid; border-radius: 99px; font-size: 13px;
  font-weight: 600; vertical-align: 4px; white-space: nowrap;
}
.badge.done { color: var(--green); } .badge.open { color: var(--blue); }
.badge.stopped { color: var(--orange); } .badge.failed { color: var(--red); }
.badge.none { color: var(--green); } .badge.threat { color: var(--orange); }
.badge.suffered { color: var(--red); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 20px 0; }
.tiles div, .card {
  background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
}
.tiles div { padding: 10px 14px; }
.tiles dt { color: var(--quiet); font-size: 13px; }
.tiles dd { margin: 0; font-size: 19px; font-weight: 600; white-space: nowrap; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; white-space: normal; font-size: 13px; font-weight: 400; color: var(--quiet); }
.card p { font-size: 14px; }
.card { padding: 16px 18px; margin: 0 0 16px; min-width: 0; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 0 16px; }
.columns > div { min-width: 0; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 4px 0 0; padding: 0; min-height: 20px;
  list-style: none; color: var(--quiet); font-size: 13px; }
.legend li { display: flex; align-items: center; gap: 7px; }
.key { display: inline-block; flex: none; width: 20px; height: 0; border-top: 2px solid; }
.key.dash { border-top-style: dashed; }
.key.dot { width: 9px; height: 9px; border: 0; border-radius: 9px; background: currentColor; }
.key.event { width: 0; height: 14px; border-top: 0; border-left: 2px solid; margin: 0 6px; }
.key.area { width: 12px; height: 12px; border: 0; border-radius: 3px; margin-right: 8px;
  vertical-align: -1px; }
.legend .key.area { margin-right: 0; }
.plot-room { padding: 14px 18px 28px 66px; }
.plot-room.with-events { padding-top: 42px; }
svg { display: block; overflow: visible; }
svg text { font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg text.y { text-anchor: end; } svg text.x { text-anchor: middle; }
.grid { stroke: var(--grid); }
.curves path { vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; }
.line { fill: none; stroke: currentColor; stroke-width: 1.75; }
.part { stroke: var(--card); stroke-width: 1; }
.smooth { color: var(--blue); } .raw { color: var(--raw); } .line.raw { stroke-width: 1; }
.peak { color: var(--peak); } .line.peak { stroke-width: 1; }
.planned { color: var(--blue); } .limit { color: var(--red); }
.line.planned, .line.limit { stroke-dasharray: 7 5; stroke-linecap: butt; }
.eval { color: var(--green); } .line.eval { stroke-width: 1.5; }
.line.dots { stroke-width: 6; }
circle { fill: currentColor; stroke: var(--card); stroke-width: 1; }
.restart { color: var(--quiet); } .again { color: var(--orange); } .rung { color: var(--violet); }
.fault { color: var(--red); }
line.event, line.fault { stroke: currentColor; stroke-width: 1.5; }
line.event.restart { stroke-dasharray: 2 3; }
svg text.event { fill: currentColor; font-weight: 600; }
.word { display: none; }
.strip { fill: transparent; }
.strip:hover { fill: var(--text); fill-opacity: 0.08; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); }
th { color: var(--quiet); font-weight: 500; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: anywhere; min-width: 90px; }
.scroll { overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; }
pre { margin: 10px 0 0; overflow-x: auto; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono",
  monospace; }
footer { color: var(--quiet); font-size: 13px; }
@media (min-width: 900px) { .wide .word { display: inline; } }
@media (max-width: 600px) {
  body { padding: 16px 10px 24px; }
  .card { padding: 12px; }
  .plot-room { padding-left: 58px; padding-right: 12px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 8px; }
  /* No room for columns: an event is a paragraph. */
  .events th { display: none; }
  .events tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--grid); }
  .events td { display: inline; border: 0; padding: 0; }
  .events td.text { display: block; }
  .events td.text:empty { display: none; }
  .events .step::before { content: "after step "; }
  .events .from::before { content: "from: "; }
  .events .with::before { content: "with: "; }
}
@media print {
  :root { color-scheme: light; --page: #ffffff; }
  body { padding: 0; font-size: 12px; }
  .card, .tiles div, figure { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

// The classes c0, c1 ... of components, one by one.
inline constexpr int kComponentColours = 15;

}  // namespace rung::monitor
