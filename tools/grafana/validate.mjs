// Validates dashboards against JSON Schemas made from Grafana's own types:
//   node validate.mjs [FILE...]          (default: ../../dashboards/*.json)
// Exits with 1 when one of them does not fit. What it catches: keys that
// Grafana does not know, values of the wrong type, panel options and field
// options that the panel type does not have.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = path.dirname(fileURLToPath(import.meta.url));
const generator = createGenerator({ path: path.join(here, 'validate.ts'), skipTypeCheck: true, expose: 'export', additionalProperties: false });
const ajv = new Ajv({ strict: false, allErrors: true, allowUnionTypes: true });

function validator(type) {
  const schema = generator.createSchema(type);
  // Grafana fills in what is missing, and newer versions require what older
  // ones do not know: absence is no fault, everything that is there must fit.
  (function relax(node) {
    if (Array.isArray(node)) node.forEach(relax);
    else if (node && typeof node === 'object') { delete node.required; Object.values(node).forEach(relax); }
  })(schema);
  return ajv.compile(schema);
}

const dashboard = validator('DashboardModel');
const nothing = ajv.compile({ type: 'object', additionalProperties: false });
const panels = {
  stat: [validator('StatOptions'), nothing],
  bargauge: [validator('BarGaugeOptions'), nothing],
  table: [validator('TableOptions'), validator('TableField')],
  timeseries: [validator('TimeSeriesOptions'), validator('TimeSeriesField')],
  heatmap: [validator('HeatmapOptions'), validator('HeatmapField')],
  'state-timeline': [validator('TimelineOptions'), validator('TimelineField')],
};

let faults = 0;
function check(where, validate, value) {
  if (validate(value)) return;
  for (const e of validate.errors) {
    console.error(`${where}${e.instancePath}: ${e.message} ${JSON.stringify(e.params)}`);
    faults++;
  }
}

// The Prometheus data source keeps its part of an annotation beside the common
// keys, where the common type does not know them.
function withoutPrometheusKeys(d) {
  const list = (d.annotations?.list ?? []).map(({ expr, step, titleFormat, textFormat, useValueForTime, ...common }) => common);
  return { ...d, annotations: { ...d.annotations, list } };
}

const folder = path.join(here, '../../dashboards');
const files = process.argv.length > 2 ? process.argv.slice(2) : fs.readdirSync(folder).filter((f) => f.endsWith('.json')).map((f) => path.join(folder, f));
for (const file of files) {
  const d = JSON.parse(fs.readFileSync(file));
  const name = path.basename(file);
  check(name, dashboard, withoutPrometheusKeys(d));
  for (const panel of d.panels.flatMap((p) => (p.type === 'row' ? p.panels ?? [] : [p]))) {
    const where = `${name}: panel "${panel.title}"`;
    const known = panels[panel.type];
    if (!known) {
      console.error(`${where}: type ${panel.type} is not validated here: add it to validate.ts`);
      faults++;
      continue;
    }
    check(`${where} options`, known[0], panel.options ?? {});
    check(`${where} fieldConfig.defaults.custom`, known[1], panel.fieldConfig?.defaults?.custom ?? {});
    // An override of a custom field is held to the same type.
    for (const o of panel.fieldConfig?.overrides ?? []) {
      for (const p of o.properties.filter((p) => p.id.startsWith('custom.'))) {
        check(`${where} override ${p.id}`, known[1], { [p.id.slice('custom.'.length)]: p.value });
      }
    }
  }
  console.log(`${name}: read`);
}
if (faults > 0) {
  console.error(`${faults} faults`);
  process.exit(1);
}
