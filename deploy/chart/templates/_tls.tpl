{{/*
The agent's self-signed certificate: CA certificate, certificate and key, in Base64 as in a Secret. The one in the cluster is kept until a
tenth of its validity is left or its names change. Created once per run: the Secret and those who trust it need the same one.
*/}}
{{- define "skerry.agent.selfSigned" -}}
{{- if not (hasKey .Values "selfSignedMade") }}
{{- $names := include "skerry.agent.dnsNames" . | fromYamlArray }}
{{- $days := int .Values.agent.tls.validityDays }}
{{- $now := now | unixEpoch | int64 }}
{{- $found := lookup "v1" "Secret" .Release.Namespace "skerry-agent-tls" | default dict }}
{{- $renewAfter := dig "metadata" "annotations" "skerry.dev/renew-after" "0" $found }}
{{- if and (eq (dig "metadata" "annotations" "skerry.dev/names" "" $found) (join "," $names)) (gt (int64 $renewAfter) $now) }}
{{- $_ := set .Values "selfSignedMade" (dict "data" $found.data "renewAfter" $renewAfter) }}
{{- else }}
{{- $authority := genCA "skerry-agent authority" $days }}
{{- $certificate := genSignedCert (include "skerry.agent.host" .) (list "127.0.0.1") $names $days $authority }}
{{- $data := dict "ca.crt" (b64enc $authority.Cert) "tls.crt" (b64enc $certificate.Cert) "tls.key" (b64enc $certificate.Key) }}
{{- $_ := set .Values "selfSignedMade" (dict "data" $data "renewAfter" (add $now (mul $days 77760) | toString)) }}
{{- end }}
{{- end }}
{{- toYaml .Values.selfSignedMade }}
{{- end }}
