{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "exporter.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "exporter.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ include "exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "exporter.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "exporter.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* Whether the main port asks for credentials or certificates, so that kubelet cannot use it. */}}
{{- define "exporter.guarded" -}}
{{- if or .Values.web.config .Values.web.existingSecret }}true{{ end }}
{{- end }}

{{- define "exporter.scheme" -}}
{{- if .Values.web.scheme }}{{ .Values.web.scheme }}
{{- else if (.Values.web.config).tls_server_config }}https
{{- else }}http
{{- end }}
{{- end }}

{{- /* The namespaces in which resources are watched, as a JSON list. */}}
{{- define "exporter.namespaces" -}}
{{- if .Values.discovery.clusterWide }}
{{- list "*" | toJson }}
{{- else }}
{{- default (list .Release.Namespace) .Values.discovery.namespaces | uniq | toJson }}
{{- end }}
{{- end }}

{{- define "exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.discovery.enabled }}
{{- $d := .Values.discovery }}
{{- $selector := merge (dict "kinds" $d.kinds "namespaces" (include "exporter.namespaces" . | fromJsonArray)) (deepCopy $d.settings) }}
{{- with $d.labelSelector }}{{ $_ := set $selector "label_selector" . }}{{ end }}
{{- $discovery := default dict $config.discovery }}
{{- $_ := set $discovery "kubernetes" (append (default list $discovery.kubernetes) $selector) }}
{{- $_ := set $config "discovery" $discovery }}
{{- end }}
{{- if not (or $config.clusters $config.discovery .Values.extraEnv .Values.extraEnvFrom) }}
{{- fail "nothing to watch: set config.clusters, discovery.enabled, existingSecret, or CONNECT_* variables in extraEnv" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* The resources of a kind of discovery: a JSON list of {group, resources}. */}}
{{- define "exporter.resources" -}}
{{- $known := dict
  "strimzi" (dict "group" "kafka.strimzi.io" "resources" (list "kafkaconnects" "kafkaconnectors" "kafkamirrormaker2s"))
  "aiven" (dict "group" "aiven.io" "resources" (list "kafkaconnects" "kafkas"))
  "confluent" (dict "group" "platform.confluent.io" "resources" (list "connects" "connectors")) }}
{{- $resources := list }}
{{- range .Values.discovery.kinds }}
{{- if hasKey $known . }}
{{- $resources = append $resources (get $known .) }}
{{- else }}
{{- $parts := splitn "." 2 . }}
{{- if not $parts._1 }}{{ fail (printf "discovery.kinds: %q is none of strimzi, aiven, confluent, and no resource such as kafkaconnects.eventstreams.ibm.com" .) }}{{ end }}
{{- $resources = append $resources (dict "group" $parts._1 "resources" (list $parts._0)) }}
{{- end }}
{{- end }}
{{- $resources | toJson }}
{{- end }}

{{- define "exporter.rules" -}}
{{- range (include "exporter.resources" . | fromJsonArray) }}
- apiGroups: [{{ .group | quote }}]
  resources: {{ .resources | toJson }}
  verbs: [get, list, watch]
{{- end }}
{{- with .Values.discovery.secretNames }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ . | toJson }}
  verbs: [get]
{{- end }}
{{- end }}
