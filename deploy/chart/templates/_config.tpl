{{/* The agent's configuration: the fields that the chart sets, merged with agent.config. */}}
{{- define "skerry.agent.config" -}}
{{- $config := dict
  "region" (include "skerry.region" . | fromYaml)
  "api" (dict "tls" (dict "certFile" "/etc/skerry/tls/tls.crt" "keyFile" "/etc/skerry/tls/tls.key"))
  "cluster" (dict "namespace" .Release.Namespace)
  "identity" (dict "tokensFile" "/etc/skerry/tokens/tokens.yaml")
  "databases" (dict "scrapeNamespaces" (append .Values.prometheus.namespaces .Release.Namespace | uniq))
  "crateOperator" (omit .Values.crateOperator (empty .Values.crateOperator.version | ternary "version" ""))
  "monitor" (dict "databasePasswords" (include "skerry.monitor.asksDatabases" . | eq "true"))
  "grace" (printf "%vs" .Values.agent.graceSeconds)
-}}
{{- $profile := include "skerry.link.profile" . }}
{{- if ne $profile "normal" }}
{{- $_ := set $config "link" (dict "profile" $profile) }}
{{- end }}
{{- if .Values.cloudflared.enabled }}
{{- $_ := set $config "tunnel" (include "skerry.agent.tunnel" . | fromYaml) }}
{{- /* The addresses of cloudflared's pods are not known in advance, but they are private. */}}
{{- $private := list "10.0.0.0/8" "100.64.0.0/10" "172.16.0.0/12" "192.168.0.0/16" "fc00::/7" }}
{{- $_ := set $config.api "limits" (dict "clientAddressHeader" "CF-Connecting-IP" "trustedProxies" $private) }}
{{- end }}
{{- with (.Values.cloud).url }}
{{- $_ := set $config "cloud" (dict "url" .) }}
{{- end }}
{{- if .Values.agent.exportVolume }}
{{- $_ := set $config "recovery" (dict "export" (dict "file" "/var/lib/skerry/export/skerry-region.json")) }}
{{- end }}
{{- mustMergeOverwrite $config (deepCopy .Values.agent.config) | toYaml }}
{{- end }}

{{/* Whether the monitor logs in to databases. */}}
{{- define "skerry.monitor.asksDatabases" -}}
{{- with .Values.monitor -}}
{{ and .enabled (or (dig "discovery" "databases" true .config) (dig "discovery" "volumes" true .config)) }}
{{- end }}
{{- end }}

{{- define "skerry.monitor.config" -}}
{{- $config := dict
  "region" (include "skerry.region" . | fromYaml)
  "cluster" (dict "namespace" .Release.Namespace)
  "checks" (dict "file" "/etc/skerry/checks/checks.yaml")
  "grace" (printf "%vs" .Values.monitor.graceSeconds)
-}}
{{- if .Values.monitor.config.sparkplug }}
{{- $_ := set $config "sparkplug" (dict "buffer" (dict "directory" "/var/lib/skerry-monitor/buffer")) }}
{{- end }}
{{- $profile := include "skerry.link.profile" . }}
{{- if ne $profile "normal" }}
{{- $_ := set $config "link" (dict "profile" $profile) }}
{{- end }}
{{- if .Values.monitor.probeModules }}
{{- $_ := set $config "metrics" (dict "probe" (dict "modulesFile" "/etc/skerry/checks/modules.yaml")) }}
{{- end }}
{{- mustMergeOverwrite $config (deepCopy .Values.monitor.config) | toYaml }}
{{- end }}

{{- define "skerry.region" -}}
id: {{ .Values.region.id }}
{{- with .Values.region.name }}
name: {{ . | quote }}
{{- end }}
{{- end }}

{{/*
The agent's configuration of the tunnel. From it and from PATCH /v1/tunnel, the agent writes cloudflared's tunnel.yaml, and replaces
cloudflared's pods when that changes.
*/}}
{{- define "skerry.agent.tunnel" -}}
{{- with .Values.cloudflared -}}
id: {{ .tunnel }}
hostname: {{ .agent.hostname }}
protocol: {{ .protocol | default (eq (include "skerry.link.profile" $) "normal" | ternary "auto" "http2") }}
{{- with .connections | default (eq (include "skerry.link.profile" $) "normal" | ternary "" 1) }}
connections: {{ . }}
{{- end }}
{{- if (.onDemand).enabled }}
onDemand: { stay: {{ .onDemand.stay }}, replicas: {{ include "skerry.cloudflared.replicas" $ }} }
{{- end }}
gracePeriod: {{ .graceSeconds }}s
agent:
  url: https://{{ include "skerry.agent.host" $ }}:{{ $.Values.agent.service.port }}
  {{- if not $.Values.agent.tls.systemTrusted }}
  caFile: /etc/cloudflared/origin/ca.crt
  {{- end }}
{{- if .prometheus.hostname }}
prometheus:
  hostname: {{ .prometheus.hostname }}
  url: {{ include "skerry.service.url" .prometheus.service }}
{{- end }}
{{- if .grafana.hostname }}
grafana:
  hostname: {{ .grafana.hostname }}
  url: {{ include "skerry.service.url" .grafana.service }}
  exposed: {{ .grafana.enabled }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Values that this version has added may be absent: an upgrade with --reuse-values knows those of the version before alone. Hence the
parentheses around what they stand in.
*/}}
{{- define "skerry.link.profile" -}}
{{ (.Values.link).profile | default "normal" }}
{{- end }}

{{- define "skerry.cloudflared.replicas" -}}
{{ .Values.cloudflared.replicas | default (eq (include "skerry.link.profile" .) "normal" | ternary 2 1) }}
{{- end }}

{{- define "skerry.service.url" -}}
{{ printf "%s://%s.%s.svc:%v" .scheme .name .namespace .port }}
{{- end }}

{{/* What the tunnel can expose besides the agent, as a YAML list. */}}
{{- define "skerry.tunnel.exposable" -}}
{{- $all := list }}
{{- range list .Values.cloudflared.prometheus .Values.cloudflared.grafana }}
{{- if .hostname }}{{ $all = append $all (merge (dict "hostname" .hostname) .service) }}{{ end }}
{{- end }}
{{- toYaml $all }}
{{- end }}
