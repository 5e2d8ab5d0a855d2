// The alerts, recording rules and dashboards of kafka-connect-exporter for
// jsonnet: (import 'kafka-connect-exporter/mixin.libsonnet') + {
//   _config+:: { runbooks: 'https://wiki.example/connect/%s' },
// }
//
// It reads the very files that the exporter ships. What else a site wants to
// change (a job selector in each expression), `kafka-connect-exporter export`
// writes into them.
{
  _config+:: {
    // Address of a runbook; %s is the alert's name. null keeps the shipped ones.
    runbooks: null,
  },

  local config = self._config,
  local groups = std.parseYaml(importstr 'alerts/kafka-connect.rules.yml').groups,

  local withRunbook(rule) =
    if config.runbooks == null || !std.objectHas(rule, 'alert') then rule
    else rule { annotations+: { runbook_url: config.runbooks % rule.alert } },

  // As they stand: the rules of a group build upon those before them, and on what
  // they record, so that no group can be parted into alerts and recording rules.
  prometheusAlerts+:: {
    groups: [
      group { rules: [withRunbook(rule) for rule in group.rules] }
      for group in groups
    ],
  },

  grafanaDashboards+:: {
    'kafka-connect-fleet.json': import 'dashboards/kafka-connect-fleet.json',
    'kafka-connect-cluster.json': import 'dashboards/kafka-connect-cluster.json',
    'kafka-connect-connector.json': import 'dashboards/kafka-connect-connector.json',
    'kafka-connect-dataflow.json': import 'dashboards/kafka-connect-dataflow.json',
    'kafka-connect-exporter.json': import 'dashboards/kafka-connect-exporter.json',
  },
}
