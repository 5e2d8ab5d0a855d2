// Draws one dashboard's panels, laid out by their gridPos. The frame of a panel,
// time series, numbers, bars and tables are Grafana's own components; state
// timeline and heatmap live in Grafana's server code, which is not published,
// so Timeline and Heatmap below draw the same data by the same options.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { createTheme, dateTime, getDisplayProcessor, type DataFrame } from '@grafana/data';
import * as UI from '@grafana/ui';
import { all, load, values, type Range } from './data';

const { ThemeContext, PanelChrome, TimeSeries, BigValue, BarGauge, Table, GlobalStyles, VizLegend, PortalContainer } = UI as any;
const theme = createTheme({ colors: { mode: new URLSearchParams(location.search).get('theme') === 'light' ? 'light' : 'dark' } });
const ROW = 38, COLUMN = 80; // Grafana's 30 pixels a row and 8 between panels

function Timeline({ frames: every, panel, range, width, height }: any) {
  const pages = Math.ceil(every.length / panel.options.perPage), frames = every.slice(0, panel.options.perPage);
  const legend = new Map<string, string>();
  const left = Math.min(260, width / 4), rowHeight = (height - 52) / frames.length;
  const scale = (t: number) => ((t - range.from) / (range.to - range.from)) * (width - left);
  const bars = frames.flatMap((f: DataFrame, row: number) => {
    const time = f.fields[0].values, field: any = f.fields[1], found: any[] = [];
    for (let i = 0; i < time.length; i++) {
      const last = found[found.length - 1], end = time[i] / 1000 + range.step;
      if (last && last.value === field.values[i] && time[i] / 1000 - last.to < range.step / 2) last.to = end;
      else found.push({ value: field.values[i], from: time[i] / 1000, to: end, row });
    }
    return found.map((b) => ({ ...b, ...field.display(b.value) }));
  });
  bars.forEach((b: any) => legend.set(b.text, b.color));
  const ticks = Array.from({ length: 7 }, (_, i) => range.from + ((range.to - range.from) * i) / 6);
  return <div style={{ position: 'relative', width, height, fontSize: 12, color: theme.colors.text.primary }}>
    {frames.map((f: DataFrame, i: number) => <div key={i} style={{ position: 'absolute', top: i * rowHeight, left: 0, width: left - 8, lineHeight: `${rowHeight}px`, textAlign: 'right', overflow: 'hidden', whiteSpace: 'nowrap', textOverflow: 'ellipsis', fontSize: Math.min(12, rowHeight) }}>{f.name}</div>)}
    {bars.map((b: any, i: number) => <div key={`b${i}`} style={{ position: 'absolute', left: left + Math.max(scale(b.from), 0), width: Math.max(scale(Math.min(b.to, range.to)) - Math.max(scale(b.from), 0), 1), top: b.row * rowHeight + (rowHeight * (1 - panel.options.rowHeight)) / 2, height: rowHeight * panel.options.rowHeight, background: b.color, opacity: panel.fieldConfig.defaults.custom.fillOpacity / 100 }} />)}
    {bars.filter((b: any) => scale(b.to) - scale(b.from) > 7 * b.text.length + 8 && rowHeight > 13).map((b: any, i: number) => <div key={`t${i}`} style={{ position: 'absolute', left: left + Math.max(scale(b.from), 0) + 4, top: b.row * rowHeight, lineHeight: `${rowHeight}px`, color: theme.colors.getContrastText(b.color) }}>{b.text}</div>)}
    {ticks.map((t, i) => <div key={`x${i}`} style={{ position: 'absolute', left: left + scale(t) - (i === 6 ? (range.to - range.from > 1800 ? 34 : 52) : i ? 17 : 0), top: height - 50, color: theme.colors.text.secondary }}>{dateTime(t * 1000).utc().format(range.to - range.from > 1800 ? 'HH:mm' : 'HH:mm:ss')}</div>)}
    {pages > 1 && <div style={{ position: 'absolute', bottom: 4, right: 8, color: theme.colors.text.secondary }}>page 1 of {pages}</div>}
    <div style={{ position: 'absolute', bottom: 0, left: 0, width }}><VizLegend placement="bottom" displayMode="list" items={[...legend].map(([text, color]) => ({ label: text, color, yAxis: 1 }))} /></div>
  </div>;
}

function Heatmap({ frames, range, width, height }: any) {
  const bound = (f: DataFrame) => Number(f.name === '+Inf' ? Infinity : f.name);
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b));
  const cells: any[] = [];
  let most = 0;
  sorted.forEach((f, row) => f.fields[0].values.forEach((t: number, i: number) => {
    const below = row ? sorted[row - 1].fields[1].values[sorted[row - 1].fields[0].values.indexOf(t)] ?? 0 : 0;
    const value = f.fields[1].values[i] - below;
    if (value > 1e-9) { most = Math.max(most, value); cells.push({ t: t / 1000, row, value }); }
  }));
  const left = 60, rowHeight = (height - 22) / sorted.length, scale = (t: number) => ((t - range.from) / (range.to - range.from)) * (width - left);
  const ticks = Array.from({ length: 5 }, (_, i) => range.from + ((range.to - range.from) * i) / 4);
  return <div style={{ position: 'relative', width, height, fontSize: 11, color: theme.colors.text.secondary }}>
    {sorted.map((f, row) => <div key={row} style={{ position: 'absolute', left: 0, width: left - 6, textAlign: 'right', top: height - 22 - (row + 1) * rowHeight, lineHeight: `${rowHeight}px` }}>{f.name === '+Inf' ? '+Inf' : getDisplayProcessor({ field: { config: { unit: 's' }, type: 'number', name: '', values: [] } as any, theme })(bound(f)).text + (bound(f) < 1 ? ' ms' : ' s')}</div>)}
    {cells.map((c, i) => <div key={`c${i}`} style={{ position: 'absolute', left: left + scale(c.t), width: Math.max(scale(range.from + range.step) - 1, 1), top: height - 22 - (c.row + 1) * rowHeight, height: rowHeight - 1, background: '#ff9830', opacity: 0.15 + 0.85 * Math.sqrt(c.value / most) }} />)}
    {ticks.map((t, i) => <div key={`x${i}`} style={{ position: 'absolute', left: left + scale(t) - (i === 4 ? 48 : 0), top: height - 18 }}>{dateTime(t * 1000).utc().format(range.to - range.from > 1800 ? 'HH:mm' : 'HH:mm:ss')}</div>)}
  </div>;
}

function Content({ panel, frames, range, width, height }: any) {
  const d = panel.fieldConfig.defaults, single = panel.type === 'stat' || panel.type === 'bargauge';
  if (frames.length === 0 && panel.type !== 'stat') return <div style={{ height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary }}>{d.noValue ?? 'No data'}</div>;
  if (single) {
    const values = frames.map((f: DataFrame) => {
      const field: any = f.fields[1];
      return { ...field.display(field.values[field.values.length - 1]), title: f.name };
    });
    if (values.length === 0) values.push({ text: d.noValue ?? 'No data', numeric: NaN, color: theme.colors.text.secondary });
    if (panel.type === 'bargauge') {
      const most = Math.max(...values.map((v: any) => v.numeric));
      return <>{values.map((v: any, i: number) => <BarGauge key={i} value={v} field={{ min: 0, max: most, color: d.color, thresholds: d.thresholds }} display={frames[0].fields[1].display} width={width} height={Math.min(height / values.length - 4, 60)} orientation="horizontal" displayMode="basic" valueDisplayMode="color" theme={theme} text={{ titleSize: 12, valueSize: 18 }} />)}</>;
    }
    return <div style={{ display: 'flex' }}>{values.map((v: any, i: number) => <BigValue key={i} value={values.length > 1 || panel.options.textMode !== 'value' ? v : { ...v, title: undefined }} width={width / values.length} height={height} theme={theme} colorMode={isNaN(v.numeric) ? 'none' : panel.options.colorMode} graphMode="none" justifyMode="auto" textMode={panel.options.textMode} />)}</div>;
  }
  if (panel.type === 'state-timeline') return <Timeline {...{ frames, panel, range, width, height }} />;
  if (panel.type === 'heatmap') return <Heatmap {...{ frames, range, width, height }} />;
  if (panel.type === 'table') return <Table data={frames[0]} width={width} height={height} showHeader cellHeight="sm" initialSortBy={panel.options.sortBy} timeRange={undefined} />;
  return <TimeSeries frames={frames} width={width} height={height} theme={theme} timeZone="utc" legend={panel.options.legend} options={panel.options} replaceVariables={(s: string) => s}
    timeRange={{ from: { valueOf: () => range.from * 1000 }, to: { valueOf: () => range.to * 1000 }, raw: {} }} />;
}

function Panel({ panel, variables, range }: any) {
  const [state, set] = React.useState<{ frames?: DataFrame[]; error?: string }>({});
  React.useEffect(() => {
    load(panel, variables, range, theme).then((frames) => set({ frames }), (e) => set({ error: String(e) }))
      .finally(() => { (window as any).loaded = ((window as any).loaded ?? 0) + 1; });
  }, []);
  const { x, y, w, h } = panel.gridPos, width = w * COLUMN - 8, height = h * ROW - 8;
  return <div style={{ position: 'absolute', left: x * COLUMN + 8, top: y * ROW + 56, width, height }}>
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding="sm">{(iw: number, ih: number) =>
      state.error ? <pre style={{ color: 'red', whiteSpace: 'pre-wrap' }}>{state.error}</pre>
        : state.frames ? <Content panel={panel} frames={state.frames} range={range} width={iw} height={ih} /> : null}</PanelChrome>
  </div>;
}

function Dashboard({ d, variables, range }: any) {
  return <div style={{ position: 'relative', background: theme.colors.background.canvas, minHeight: '100vh', color: theme.colors.text.primary, fontFamily: theme.typography.fontFamily }}>
    <div style={{ padding: '16px 12px', fontSize: 15 }}><b>{d.title}</b>
      {d.templating.list.filter((v: any) => v.type !== 'datasource' && v.hide !== 2).map((v: any) => <span key={v.name} style={{ marginLeft: 20, color: theme.colors.text.secondary }}>{v.label}: <span style={{ color: theme.colors.text.link }}>{variables[v.name] === '.+' ? 'All' : variables[v.name]}</span></span>)}</div>
    {d.panels.flatMap((p: any) => [p, ...(p.panels ?? [])]).map((p: any) => p.type === 'row'
      ? <div key={p.id} style={{ position: 'absolute', left: 12, top: p.gridPos.y * ROW + 62, fontSize: 16, fontWeight: 500 }}>{p.collapsed ? '› ' : '⌄ '}{p.title}</div>
      : <Panel key={p.id} panel={p} variables={variables} range={range} />)}
  </div>;
}

// ?dashboard=UID&from=&to= in seconds, and the variables' values.
(async () => {
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  const d = await (await fetch(`/dashboards/${asked.dashboard}.json`)).json();
  const range: Range = { from: Number(asked.from), to: Number(asked.to), step: Number(asked.step), scrape: Number(asked.scrape) };
  const variables: Record<string, string> = {};
  for (const v of d.templating.list) {
    if (v.type === 'datasource' || v.type === 'adhoc') continue;
    variables[v.name] = asked[`var-${v.name}`] ?? v.allValue ?? (typeof v.query === 'string' ? v.query : undefined);
    if (variables[v.name] !== undefined) continue;
    const found = await values(v, variables, range);
    variables[v.name] = v.includeAll ? all(found) : found[0];
  }
  createRoot(document.getElementById('root')!).render(<ThemeContext.Provider value={theme}><GlobalStyles hackNoBackdropBlur={false} isExtensionPage={false} />
    <Dashboard d={d} variables={variables} range={range} /></ThemeContext.Provider>);
})();
