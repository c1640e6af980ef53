{{/* The agent's configuration: what the chart decides, then what agent.config adds. */}}
{{- define "skerry.agent.config" -}}
{{- $config := dict
  "region" (include "skerry.region" . | fromYaml)
  "api" (dict "tls" (dict "certFile" "/etc/skerry/tls/tls.crt" "keyFile" "/etc/skerry/tls/tls.key"))
  "cluster" (dict "namespace" .Release.Namespace)
  "identity" (dict "tokensFile" "/etc/skerry/tokens/tokens.yaml")
  "databases" (dict "scrapeNamespaces" (append .Values.prometheus.namespaces .Release.Namespace | uniq))
  "crateOperator" .Values.crateOperator
  "grace" (printf "%vs" .Values.agent.graceSeconds)
-}}
{{- mustMergeOverwrite $config (deepCopy .Values.agent.config) | toYaml }}
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
{{- mustMergeOverwrite $config (deepCopy .Values.monitor.config) | toYaml }}
{{- end }}

{{- define "skerry.region" -}}
id: {{ .Values.region.id }}
{{- with .Values.region.name }}
name: {{ . | quote }}
{{- end }}
{{- end }}

{{/* cloudflared's configuration. The first rule that fits wins, and the last must fit everything. */}}
{{- define "skerry.tunnel.config" -}}
tunnel: {{ .Values.cloudflared.tunnel }}
credentials-file: /etc/cloudflared/credentials/credentials.json
metrics: 0.0.0.0:2000
no-autoupdate: true
protocol: {{ .Values.cloudflared.protocol }}
grace-period: {{ .Values.cloudflared.graceSeconds }}s
ingress:
  - hostname: {{ .Values.cloudflared.agent.hostname }}
    service: https://{{ include "skerry.agent.host" . }}:{{ .Values.agent.service.port }}
    originRequest:
      originServerName: {{ include "skerry.agent.host" . }}
      {{- if not .Values.agent.tls.systemTrusted }}
      caPool: /etc/cloudflared/origin/ca.crt
      {{- end }}
{{- range include "skerry.tunnel.exposed" . | fromYamlArray }}
  - hostname: {{ .hostname }}
    service: {{ printf "%s://%s.%s.svc:%v" .scheme .name .namespace .port }}
{{- end }}
  - service: http_status:404
{{- end }}

{{/* What the tunnel leads to besides the agent, as a YAML list. */}}
{{- define "skerry.tunnel.exposed" -}}
{{- with .Values.cloudflared }}
{{- $all := list }}
{{- if .prometheus.hostname }}{{ $all = append $all (merge (dict "hostname" .prometheus.hostname) .prometheus.service) }}{{ end }}
{{- if .grafana.enabled }}{{ $all = append $all (merge (dict "hostname" .grafana.hostname) .grafana.service) }}{{ end }}
{{- toYaml $all }}
{{- end }}
{{- end }}
