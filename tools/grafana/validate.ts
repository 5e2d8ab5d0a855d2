// The types of Grafana 13 that the dashboards must fit, as validate.mjs turns
// them into JSON Schemas. Dashboard knows nothing of panel options, so each
// panel type has its own two.
import type { Dashboard as D } from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts';
import type * as stat from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen.d.ts';
import type * as bargauge from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen.d.ts';
import type * as table from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen.d.ts';
import type * as timeseries from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen.d.ts';
import type * as heatmap from './node_modules/@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen.d.ts';
import type * as timeline from './node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/types.gen.d.ts';

export type DashboardModel = D;
export type StatOptions = stat.Options;
export type BarGaugeOptions = bargauge.Options;
export type TableOptions = table.Options;
export type TableField = table.FieldConfig;
export type TimeSeriesOptions = timeseries.Options;
export type TimeSeriesField = timeseries.FieldConfig;
export type HeatmapOptions = heatmap.Options;
export type HeatmapField = heatmap.FieldConfig;
export type TimelineOptions = timeline.Options;
export type TimelineField = timeline.FieldConfig;
