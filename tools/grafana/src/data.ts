// From a dashboard's targets to Grafana's data frames: variables, the
// Prometheus API, transformations, field configuration.
import {
  applyFieldOverrides, createFieldConfigRegistry, displayNameOverrideProcessor, FieldType, identityOverrideProcessor,
  numberOverrideProcessor, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry,
  thresholdsOverrideProcessor, transformDataFrame, unitOverrideProcessor, type DataFrame, type GrafanaTheme2,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';

export type Range = { from: number; to: number; step: number; scrape: number }; // seconds

// The field options that the dashboards use, as Grafana's panels register them.
const identity = (id: string) => ({ id, path: id, name: id, editor: () => null, override: () => null, process: identityOverrideProcessor, shouldApply: () => true, settings: {} });
const standard: Array<[string, any]> = [
  ['unit', unitOverrideProcessor], ['decimals', numberOverrideProcessor], ['min', numberOverrideProcessor], ['max', numberOverrideProcessor],
  ['displayName', displayNameOverrideProcessor], ['noValue', identityOverrideProcessor], ['thresholds', thresholdsOverrideProcessor],
  ['mappings', identityOverrideProcessor], ['color', identityOverrideProcessor], ['links', identityOverrideProcessor],
];
const custom = ['lineWidth', 'fillOpacity', 'drawStyle', 'lineInterpolation', 'showPoints', 'spanNulls', 'stacking', 'lineStyle', 'gradientMode', 'thresholdsStyle', 'align', 'cellOptions', 'width', 'inspect', 'filterable', 'scaleDistribution'];
standardFieldConfigEditorRegistry.setInit(() => standard.map(([id, process]) => ({ ...identity(id), process })) as any);
const registry = createFieldConfigRegistry({ useCustomConfig: (b: any) => custom.forEach((id) => b.addCustomEditor(identity(id))) } as any, 'harness');
standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer, standardTransformers.filterFieldsByNameTransformer, standardTransformers.orderFieldsTransformer, standardTransformers.renameFieldsTransformer]
    .map((transformation: any) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null, imageDark: '', imageLight: '' })) as any);

// interpolate puts values in place of a dashboard's variables. Values of multi
// variables are regular expressions in Grafana, too.
export function interpolate(text: string, variables: Record<string, string>, range: Range): string {
  const builtIn: Record<string, string> = {
    __rate_interval: `${Math.max(range.step + range.scrape, 4 * range.scrape)}s`, __range: `${range.to - range.from}s`, __interval: `${range.step}s`,
  };
  return text.replace(/\$(?:\{(\w+)[^}]*\}|(\w+))/g, (whole, a, b) => builtIn[a ?? b] ?? variables[a ?? b] ?? whole);
}

async function ask(path: string, parameters: Record<string, any>): Promise<any[]> {
  const reply = await (await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`)).json();
  if (reply.status !== 'success') throw new Error(`${reply.error}: ${parameters.query}`);
  return reply.data.result;
}

// values of a query variable: those of a label, or what the variable's own pattern
// takes from the rows of an instant query.
export async function values(variable: any, variables: Record<string, string>, range: Range): Promise<string[]> {
  const query = interpolate(variable.query.query, variables, range);
  const picked = /^query_result\((.+)\)$/.exec(query);
  if (picked) {
    const [, pattern] = /^\/(.+)\/$/.exec(variable.regex)!;
    return (await ask('query', { query: picked[1], time: range.to }))
      .map((s) => `{${Object.entries(s.metric).map(([k, v]) => `${k}="${v}"`).join(',')}} ${s.value[1]} `)
      .flatMap((row) => new RegExp(pattern).exec(row)?.[1] ?? []);
  }
  const [, selector, name] = /^label_values\((.+), (\w+)\)$/.exec(query)!;
  const found = await (await fetch(`/api/v1/label/${name}/values?${new URLSearchParams({ 'match[]': selector, start: `${range.from}`, end: `${range.to}` })}`)).json();
  return found.data;
}

// all is what stands for every value: a pattern of the values, as Grafana escapes them.
export const all = (values: string[]) => `(${values.map((v) => v.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&')).join('|')})`;

// frames runs one target and shapes the answer as Grafana's Prometheus data
// source does: a frame a series, or one table whose columns are labels.
async function frames(target: any, count: number, variables: Record<string, string>, range: Range): Promise<DataFrame[]> {
  const query = interpolate(target.expr, variables, range);
  const align = (t: number) => Math.floor(t / range.step) * range.step; // as Grafana asks
  const result = target.instant
    ? (await ask('query', { query, time: range.to })).map((s) => ({ metric: s.metric, values: [s.value] }))
    : await ask('query_range', { query, start: align(range.from), end: align(range.to), step: range.step });
  const name = (metric: any) => target.legendFormat?.replace(/\{\{\s*(\w+)\s*\}\}/g, (_: string, l: string) => metric[l] ?? '');
  if (target.format === 'table') {
    const labels = [...new Set(result.flatMap((s) => Object.keys(s.metric)))].sort();
    if (result.length === 0) return [];
    return [{
      refId: target.refId, length: result.length, fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: result.map((s) => s.values[0][0] * 1000) },
        ...labels.map((l) => ({ name: l, type: FieldType.string, config: {}, values: result.map((s) => s.metric[l] ?? '') })),
        { name: count > 1 ? `Value #${target.refId}` : 'Value', type: FieldType.number, config: {}, values: result.map((s) => Number(s.values[0][1])) },
      ],
    }];
  }
  return result.map((s) => ({
    refId: target.refId, name: name(s.metric), length: s.values.length, fields: [
      { name: 'Time', type: FieldType.time, config: { interval: range.step * 1000 }, values: s.values.map((v: any) => v[0] * 1000) },
      { name: 'Value', type: FieldType.number, labels: s.metric, config: { displayNameFromDS: name(s.metric) }, values: s.values.map((v: any) => Number(v[1])) },
    ],
  }));
}

// gaps puts a null where a series pauses, as Grafana does by the interval that
// the data source gives, so that curves end where data ends.
function gaps(frame: DataFrame, range: Range): DataFrame {
  const time = frame.fields[0].values as number[];
  const times: number[] = [], values: any[] = [];
  time.forEach((t, i) => {
    if (i > 0 && t - time[i - 1] > 1500 * range.step) { times.push(time[i - 1] + 1000 * range.step); values.push(null); }
    times.push(t); values.push(frame.fields[1].values[i]);
  });
  return { ...frame, length: times.length, fields: [{ ...frame.fields[0], values: times }, { ...frame.fields[1], values }] };
}

export async function load(panel: any, variables: Record<string, string>, asked: Range, theme: GrafanaTheme2): Promise<DataFrame[]> {
  // A panel's least interval; the dashboards use minutes only.
  const range = { ...asked, step: Math.max(asked.step, 60 * parseInt(panel.interval ?? '0')) };
  let data = (await Promise.all(panel.targets.map((t: any) => frames(t, panel.targets.length, variables, range)))).flat();
  if (panel.type === 'timeseries') data = data.map((f) => gaps(f, range));
  if (panel.transformations) data = await lastValueFrom(transformDataFrame(panel.transformations, data));
  data = applyFieldOverrides({ data, fieldConfig: panel.fieldConfig, theme, timeZone: 'utc', replaceVariables: (s: string) => s, fieldConfigRegistry: registry } as any);
  for (const f of data) f.fields.forEach((field: any) => { if (field.config.links?.length) field.getLinks = () => field.config.links.map((l: any) => ({ href: '#', title: l.title, target: '_self', origin: field })); });
  return data;
}
