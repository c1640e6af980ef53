{{/*
Objects of a file, for this release. deploy/rbac and deploy/crds are their only source, so that the chart installs the same permissions
that the tests check. Takes {root, file, name, annotations}.
*/}}
{{- define "skerry.objects" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $config := ternary .root.Values.agent.config .root.Values.monitor.config (eq .name "skerry-agent") -}}
{{- $annotations := .annotations | default dict -}}
{{- range regexSplit "(?m)^---$" (.root.Files.Get .file) -1 }}
{{- $object := fromYaml . }}
{{- if $object.kind }}
{{- $metadata := $object.metadata }}
{{- if $metadata.namespace }}{{ $_ := set $metadata "namespace" (ternary $root.Release.Namespace $metadata.namespace (eq $metadata.namespace "skerry")) }}{{ end }}
{{- $_ := set $metadata "labels" (include "skerry.labels" (dict "root" $root "name" $name) | fromYaml) }}
{{- if $annotations }}{{ $_ := set $metadata "annotations" (merge (dict) $annotations ($metadata.annotations | default dict)) }}{{ end }}
{{- range $object.subjects }}{{ $_ := set . "namespace" (ternary $root.Release.Namespace .namespace (eq .namespace "skerry")) }}{{ end }}
{{- range $object.rules }}
{{- if has "crate-operator" (.resourceNames | default list) }}{{ $_ := set . "resourceNames" (list $root.Values.crateOperator.deployment) }}{{ end }}
{{- if and .resourceNames (has "leases" .resources) }}{{ $_ := set . "resourceNames" (list (dig "lease" "name" $name $config)) }}{{ end }}
{{- end }}
---
{{ toYaml $object }}
{{ end }}
{{- end }}
{{- end }}
