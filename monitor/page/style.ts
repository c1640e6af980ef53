import { stripStyle } from './strip.ts'

/** The style of all pages. The colours of texts have a contrast of at least 4.5 : 1 in both schemes; a test measures it in a browser. */
export const style = `:root{color-scheme:light dark;
--ground:#faf9f6;--panel:#fff;--text:#1c2429;--muted:#56626a;--line:#dde2e1;--accent:#0f5470;--focus:#0f5470;
--up:#1d7448;--degraded:#875600;--down:#b0241c;--unknown:#56626a;--stale:#6a459c;--down-ground:#fdf1ef}
@media (prefers-color-scheme:dark){:root{
--ground:#11171b;--panel:#182127;--text:#e3e9ea;--muted:#a2b1b8;--line:#2c3940;--accent:#8bcfe9;--focus:#8bcfe9;
--up:#66c998;--degraded:#e0ad52;--down:#ff9087;--unknown:#a2b1b8;--stale:#c3a8f0;--down-ground:#2a1c1e}}
*{box-sizing:border-box}
[hidden]{display:none!important}
html{font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);font-variant-numeric:tabular-nums}
main{max-width:1500px;margin:0 auto;padding:8px 24px 48px}
h1{font-size:1.5rem;font-weight:600;margin:16px 0 12px;overflow-wrap:anywhere}
h2{font-size:1.05rem;font-weight:600;margin:32px 0 8px}
h3{font-size:.95rem;font-weight:600;margin:20px 0 6px}
a{color:var(--accent);text-underline-offset:2px;text-decoration-thickness:1px}
a:hover{text-decoration-thickness:2px}
:focus-visible{outline:2px solid var(--focus);outline-offset:2px;border-radius:3px}
small{font-size:.85em;color:var(--muted)}
code,pre{font:13px/1.5 ui-monospace,"SFMono-Regular",Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px 16px;overflow:auto;margin:0}
.skip{position:absolute;left:-9999px}
.skip:focus{left:8px;top:8px;background:var(--panel);padding:6px 12px;z-index:3}
.top{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 28px;max-width:1500px;margin:0 auto;padding:14px 24px 10px;border-bottom:1px solid var(--line)}
.top p,.top ul{margin:0;padding:0}
.brand a{font-weight:650;font-size:1.05rem;color:var(--text);text-decoration:none}
nav ul{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
nav a[aria-current]{color:var(--text);font-weight:600;text-decoration:underline;text-decoration-thickness:2px;text-underline-offset:6px}
.facts{margin-left:auto!important;color:var(--muted)}
.facts span+span::before{content:"· "}
.filter{display:flex;flex-wrap:wrap;align-items:center;gap:8px 16px;margin:0 0 14px}
.filter label{display:inline-flex;align-items:center;gap:8px;color:var(--muted)}
.filter input[type=search],.filter select,.filter button{font:inherit;color:var(--text);background:var(--panel);border:1px solid #87959c;border-radius:6px;padding:5px 10px;min-height:34px}
.filter input[type=search]{width:min(280px,60vw)}
.filter button{cursor:pointer}
.filter button:hover{border-color:var(--accent)}
.filter input[type=checkbox]{width:16px;height:16px;margin:0;accent-color:var(--accent)}
.tiles{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:10px;list-style:none;margin:0 0 18px;padding:0}
.tile{display:block;padding:10px 14px;border:1px solid var(--line);border-radius:10px;background:var(--panel);color:var(--text);text-decoration:none}
.tile:hover{border-color:var(--accent)}
.tile[aria-current]{outline:2px solid var(--accent);outline-offset:-1px}
.tile b{display:block;font-size:1.55rem;line-height:1.2;font-weight:600}
.tile span{color:var(--muted)}
.tile.down b{color:var(--down)}.tile.degraded b{color:var(--degraded)}.tile.stale b{color:var(--stale)}.tile.up b{color:var(--up)}
.troubles{border:1px solid var(--down);border-left-width:5px;border-radius:8px;background:var(--down-ground);padding:10px 16px;margin:0 0 16px}
.troubles h2{margin:0;color:var(--down)}
.troubles ul{margin:4px 0 0;padding-left:20px}
table{width:100%;border-collapse:separate;border-spacing:0;background:var(--panel);border:1px solid var(--line);border-radius:10px}
caption{text-align:left;color:var(--muted);padding:0 2px 6px}
th,td{text-align:left;vertical-align:top;padding:8px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere;font-weight:400}
tbody tr:last-child>*{border-bottom:0}
thead th{font-size:.85rem;font-weight:600;color:var(--muted);background:var(--panel);white-space:nowrap}
thead th:first-child{border-top-left-radius:10px}
thead th:last-child{border-top-right-radius:10px}
th[scope=row]{font-weight:550}
.number{text-align:right}
tr.down>:first-child,tr.stale>:first-child{box-shadow:inset 3px 0 0 currentColor}
tr.down>:first-child{color:var(--down)}
tr.stale>:first-child{color:var(--stale)}
.c-since,.c-last,.c-took,.c-when,.c-state{white-space:nowrap}
.c-why{color:var(--muted)}
.c-why b{color:var(--text);font-weight:600}
.verdict b{font-weight:600}
.c-last small,.c-when small,.c-target small{display:block}
tr.stale .strip{opacity:.45}
.state{display:inline-flex;align-items:center;gap:7px;font-weight:600;color:var(--unknown)}
.state::before{content:"";flex:none;width:11px;height:11px;background:currentColor}
.state.up{color:var(--up)}.state.up::before{border-radius:50%}
.state.degraded{color:var(--degraded)}.state.degraded::before{clip-path:polygon(50% 0,100% 100%,0 100%)}
.state.down{color:var(--down)}.state.down::before{clip-path:polygon(20% 0,50% 30%,80% 0,100% 20%,70% 50%,100% 80%,80% 100%,50% 70%,20% 100%,0 80%,30% 50%,0 20%)}
.state.unknown::before{background:none;border:2px solid currentColor;border-radius:50%}
.state.stale{color:var(--stale)}.state.stale::before{background:none;border:2px dotted currentColor}
.facts-list{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(200px,44%),1fr));gap:10px 24px;margin:0 0 20px}
.facts-list div{min-width:0}
dt{color:var(--muted);font-size:.85rem}
dd{margin:0;overflow-wrap:anywhere}
.verdict{font-size:1.05rem;overflow-wrap:anywhere}
.verdict .state{margin-right:8px}
.hint,.stamp,.empty{color:var(--muted)}
.lost .stamp::after{content:" · The monitor does not answer; this is what it said last.";color:var(--down)}
.modules{columns:3 220px;padding-left:20px}
table+table{margin-top:28px}
.checks{table-layout:fixed}
.checks thead th{position:sticky;top:0;z-index:1}
.checks th:nth-child(1){width:112px}.checks th:nth-child(2){width:19%}.checks th:nth-child(3){width:21%}
.checks th:nth-child(4){width:78px}.checks th:nth-child(5){width:104px}.checks th:nth-child(6){width:122px}
.past-probes{table-layout:fixed}
.past-probes th:nth-child(1){width:112px}.past-probes th:nth-child(2){width:28%}.past-probes th:nth-child(3){width:15%}
.past-probes th:nth-child(4){width:180px}.past-probes th:nth-child(5){width:84px}
${stripStyle}@media (max-width:820px){
main{padding:4px 14px 40px}
.top{padding:12px 14px 8px}
.facts{margin-left:0!important}
.tiles{grid-template-columns:repeat(3,minmax(0,1fr));gap:8px}
.tile{padding:7px 10px}
.tile b{font-size:1.25rem}
.checks,.runs,.past-probes{border:0;background:none}
.checks caption,.runs caption,.past-probes caption{display:block}
.checks tbody,.runs tbody,.past-probes tbody{display:block}
.checks thead,.runs thead,.past-probes thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.checks tr,.runs tr,.past-probes tr{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:2px 12px;background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:9px 12px;margin:0 0 8px}
.checks td,.checks tbody th,.runs td,.past-probes td,.past-probes tbody th{display:block;border:0;padding:0;width:auto!important}
.checks tr.down,.checks tr.stale{border-left:4px solid var(--down)}
.checks tr.stale{border-left-color:var(--stale)}
tr.down>:first-child,tr.stale>:first-child{box-shadow:none}
.checks .c-state{grid-area:1/1}.checks .c-last{grid-area:1/2;text-align:right}
.checks .c-name{grid-area:2/1/3/3}.checks .c-target{grid-area:3/1/4/3}.checks .c-why{grid-area:4/1/5/3}.checks .c-why:empty{display:none}
.checks .c-strip{grid-area:5/1}.checks .c-since{grid-area:5/2;color:var(--muted);text-align:right}
.checks .c-since::before{content:"for "}.checks .c-target small{display:inline}
.checks .c-last small{display:inline}
.runs .c-when{grid-area:1/2;color:var(--muted)}.runs .c-state{grid-area:1/1}.runs .c-why{grid-area:2/1/3/3}.runs .c-took{grid-area:3/1;color:var(--muted)}
.past-probes .c-name{grid-area:2/1/3/3}.past-probes .c-module{grid-area:3/1;color:var(--muted)}.past-probes .c-took{grid-area:3/2;text-align:right}
.past-probes .c-when{grid-area:1/2;text-align:right}.past-probes .c-why{grid-area:4/1/5/3}
}
@media print{.filter,nav{display:none}.checks thead th{position:static}}
`
