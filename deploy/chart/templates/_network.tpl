{{/* DNS at any address: NodeLocal DNSCache answers at one that no selector matches. 5353 is OpenShift's port. */}}
{{- define "skerry.network.dns" -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
    - { protocol: UDP, port: 5353 }
    - { protocol: TCP, port: 5353 }
{{- end }}

{{/* The pods of a program of this release, as a peer. Takes {root, name}. */}}
{{- define "skerry.network.pods" -}}
podSelector:
  matchLabels:
    {{- include "skerry.selector" . | nindent 4 }}
{{- end }}

{{/* Peers that scrape: Prometheus in its namespaces, and the monitor. */}}
{{- define "skerry.network.scrapers" -}}
- {{- include "skerry.network.pods" (dict "root" . "name" "skerry-monitor") | nindent 2 }}
{{- range .Values.prometheus.namespaces }}
- namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ . }} } }
{{- end }}
{{- end }}

{{/* Addresses outside the cluster, as far as an address shows that. */}}
{{- define "skerry.network.outside" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except: [10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16]
- ipBlock:
    cidr: "::/0"
    except: ["fc00::/7", "fe80::/10"]
{{- end }}

{{/* Ports of the site's proxy and of the cloud, as a JSON list. */}}
{{- define "skerry.network.outsidePorts" -}}
{{- $ports := list }}
{{- range list .Values.proxy.http .Values.proxy.https (.Values.cloud).url }}
{{- if . }}
{{- $port := regexFind ":[0-9]+$" (trimSuffix "/" .) | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .)) }}
{{- $ports = append $ports (int $port) }}
{{- end }}
{{- end }}
{{- $ports | uniq | toJson }}
{{- end }}

{{/* The port of the store in which the file of the region is kept, as a JSON list. */}}
{{- define "skerry.network.exportPorts" -}}
{{- $ports := list }}
{{- with dig "recovery" "export" "bucket" "endpointUrl" "" .Values.agent.config }}
{{- $port := regexFind ":[0-9]+" (regexReplaceAll "^https?://" . "") | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .)) }}
{{- $ports = list (int $port) }}
{{- end }}
{{- $ports | toJson }}
{{- end }}
