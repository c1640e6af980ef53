{{/* What the pods of all programs have in common. Takes {root, name, values}. */}}
{{- define "skerry.pod" -}}
serviceAccountName: {{ .name }}
enableServiceLinks: false # otherwise each Service sets variables, and SKERRY_AGENT… is configuration
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .values.spread }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway # one node is enough to run on
    labelSelector:
      matchLabels:
        {{- include "skerry.selector" . | nindent 8 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* A container has no privileges. */}}
{{- define "skerry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Metadata of a pod template. Takes {root, name, values, checksums}. */}}
{{- define "skerry.podMetadata" -}}
labels:
  {{- include "skerry.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: skerry
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) .checksums .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Environment of a program on Node: proxy, CA certificates, and the variables of the values. Takes {root, values}. */}}
{{- define "skerry.environment" -}}
{{- with .root.Values.caBundle.configMap }}
- { name: NODE_EXTRA_CA_CERTS, value: /etc/skerry/ca/ca.crt }
{{- end }}
{{- with .root.Values.proxy }}
{{- if or .http .https }}
- { name: NODE_USE_ENV_PROXY, value: "1" }
{{- with .http }}
- { name: HTTP_PROXY, value: {{ . | quote }} }
{{- end }}
{{- with .https }}
- { name: HTTPS_PROXY, value: {{ . | quote }} }
{{- end }}
# Kubernetes replaces the reference with the address of its API.
- name: NO_PROXY
  value: {{ concat (list "localhost" "127.0.0.1" "$(KUBERNETES_SERVICE_HOST)" ".svc" (printf ".%s" $.root.Values.clusterDomain)) .noProxy | uniq | join "," | quote }}
{{- end }}
{{- end }}
{{- with .values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Files besides the configuration: the site's CA certificates, and Secrets by name. Takes {root, values}. */}}
{{- define "skerry.mounts" -}}
{{- if .root.Values.caBundle.configMap }}
- { name: ca, mountPath: /etc/skerry/ca, readOnly: true }
{{- end }}
{{- range .values.secrets }}
- { name: {{ printf "secret-%s" . }}, mountPath: {{ printf "/etc/skerry/secrets/%s" . }}, readOnly: true }
{{- end }}
{{- end }}

{{/* 288 is 0440, which some YAML parsers read as octal and others as decimal. Takes {root, values}. */}}
{{- define "skerry.volumes" -}}
{{- with .root.Values.caBundle }}
{{- if .configMap }}
- name: ca
  configMap:
    name: {{ .configMap }}
    items: [{ key: {{ .key | quote }}, path: ca.crt }]
{{- end }}
{{- end }}
{{- range .values.secrets }}
- name: {{ printf "secret-%s" . }}
  secret: { secretName: {{ . }}, defaultMode: 288 }
{{- end }}
{{- end }}

{{/* Gives Services and the tunnel time to stop using the pod before it stops accepting. The images have no shell. */}}
{{- define "skerry.preStop" -}}
{{- if .seconds }}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version }}
    sleep: { seconds: {{ .seconds }} }
    {{- else }}
    exec: { command: [node, -e, "setTimeout(() => {}, {{ mul .seconds 1000 }})"] }
    {{- end }}
{{- end }}
{{- end }}

{{/* Takes {root, name, values}. */}}
{{- define "skerry.disruptionBudget" -}}
{{- if .values.disruptionBudget.enabled }}
apiVersion: {{ ternary "policy/v1beta1" "policy/v1" (semverCompare "<1.21.0-0" .root.Capabilities.KubeVersion.Version) }}
kind: PodDisruptionBudget
metadata:
  {{- include "skerry.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .values.disruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "skerry.selector" . | nindent 6 }}
{{- end }}
{{- end }}
