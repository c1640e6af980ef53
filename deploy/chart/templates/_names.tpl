{{/* One region per cluster: projects are cluster-scoped, so the names are the same in every installation. */}}

{{/* Labels of every object. Takes {root, name}. */}}
{{- define "skerry.labels" -}}
{{ include "skerry.selector" . }}
app.kubernetes.io/part-of: skerry
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (replace "+" "_" .root.Chart.Version) }}
{{- end }}

{{/* Labels that select the pods of a program. They never change: a Deployment's selector is immutable. Takes {root, name}. */}}
{{- define "skerry.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* Metadata of a program's object, which has the program's name unless `object` is set. Takes {root, name, object}. */}}
{{- define "skerry.metadata" -}}
name: {{ .object | default .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "skerry.labels" . | nindent 2 }}
{{- end }}

{{/* The reference of an image. imageRegistry takes precedence over its registry. Takes {root, image}. */}}
{{- define "skerry.image" -}}
{{- $registry := .root.Values.imageRegistry | default .image.registry -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion -}}
{{ printf "%s/%s:%s" (trimSuffix "/" $registry) .image.repository $tag }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The agent's name inside the cluster, which its certificate has. */}}
{{- define "skerry.agent.host" -}}
skerry-agent.{{ .Release.Namespace }}.svc
{{- end }}

{{/* All names of the agent's certificate, as YAML. */}}
{{- define "skerry.agent.dnsNames" -}}
{{- $host := include "skerry.agent.host" . -}}
{{- $ingress := ternary (list .Values.agent.ingress.host) list .Values.agent.ingress.enabled -}}
{{- concat (list "skerry-agent" (printf "skerry-agent.%s" .Release.Namespace) $host (printf "%s.%s" $host .Values.clusterDomain) "localhost") $ingress .Values.agent.tls.dnsNames | uniq | toYaml }}
{{- end }}

{{- define "skerry.agent.tlsSecret" -}}
{{- if eq .Values.agent.tls.mode "existingSecret" -}}
{{ required "agent.tls.existingSecret is not set: name the Secret with tls.crt, tls.key and ca.crt, or choose another agent.tls.mode" .Values.agent.tls.existingSecret }}
{{- else -}}
skerry-agent-tls
{{- end -}}
{{- end }}

{{- define "skerry.agent.tokensSecret" -}}
{{ .Values.agent.tokens.existingSecret | default "skerry-agent-tokens" }}
{{- end }}

{{/* Rules for values that depend on each other, which the schema cannot express. */}}
{{- define "skerry.validate" -}}
{{- if not .Values.region.id }}{{ fail "region.id is not set: what the cloud calls this region, such as --set region.id=harbour-1" }}{{ end }}
{{- with .Values.agent }}
{{- if and .config.cloud (not ($.Values.cloud).url) }}{{ fail "cloud.url is not set, and agent.config.cloud has settings: set the address of the cloud, such as --set cloud.url=https://cloud.example.org" }}{{ end }}
{{- if and .tokens.existingSecret .tokens.list }}{{ fail "agent.tokens.list and agent.tokens.existingSecret cannot be combined: remove one of them" }}{{ end }}
{{- range .env }}
{{- if regexMatch "^SKERRY_AGENT__(METADATA__LABELS|MONITOR__SERVICE_ACCOUNT|CLUSTER__SERVICE_ACCOUNT)$" (.name | default "") }}{{ fail (printf "agent.env sets %s, which the boundary of the agent must know: set it in agent.config, or, for the agent's own account, leave it out" .name) }}{{ end }}
{{- end }}
{{- if and .ingress.enabled (not .ingress.host) }}{{ fail "agent.ingress.host is not set: the name by which the agent is called from outside" }}{{ end }}
{{- end }}
{{- if and .Values.prometheus.podMonitors.enabled .Values.monitor.enabled }}
{{- $metrics := .Values.monitor.config.metrics | default dict }}
{{- $endpoint := .Values.prometheus.podMonitors.monitor | default dict }}
{{- if and $metrics.basicAuth (not $endpoint.basicAuth) }}{{ fail "prometheus.podMonitors.monitor.basicAuth is not set: monitor.config.metrics.basicAuth asks for a password, so name the key of a Secret for each of username and password, as a PodMonitor has them" }}{{ end }}
{{- if and $metrics.tls (not $endpoint.tlsConfig) }}{{ fail "prometheus.podMonitors.monitor.tlsConfig is not set: Prometheus calls a pod by its address, which is not in the certificate of monitor.config.metrics.tls, so set serverName to a name in it, and ca to who signed it" }}{{ end }}
{{- end }}
{{- with .Values.cloudflared }}{{ if .enabled }}
{{- if not .tunnel }}{{ fail "cloudflared.tunnel is not set: the id of the tunnel, as `cloudflared tunnel list` shows it" }}{{ end }}
{{- if not .credentials.existingSecret }}{{ fail "cloudflared.credentials.existingSecret is not set: name the Secret with the tunnel's credentials.json" }}{{ end }}
{{- if not .agent.hostname }}{{ fail "cloudflared.agent.hostname is not set: the name by which the cloud calls this region's agent" }}{{ end }}
{{- $names := list .agent.hostname }}
{{- $prefix := printf "prometheus-%s-" $.Values.region.id }}
{{- with .prometheus.hostname }}
{{- if not (hasPrefix $prefix .) }}{{ fail (printf "cloudflared.prometheus.hostname must begin with %s, not be %s" $prefix .) }}{{ end }}
{{- $names = append $names . }}
{{- end }}
{{- if and .grafana.enabled (not .grafana.hostname) }}{{ fail "cloudflared.grafana.hostname is not set: the name by which Grafana is called from outside" }}{{ end }}
{{- with .grafana.hostname }}{{ $names = append $names . }}{{ end }}
{{- if ne (len $names) (len (uniq $names)) }}{{ fail (printf "cloudflared: two things cannot have one hostname: %s" (join ", " $names)) }}{{ end }}
{{- end }}{{ end }}
{{- end }}
