{{/* One installation watches one cluster: names are those of the release. */}}
{{- define "bailey.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bailey.selector" -}}
app.kubernetes.io/name: bailey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bailey.labels" -}}
{{ include "bailey.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Where browsers reach the server: as the values say, or by what lets them in; empty without either. */}}
{{- define "bailey.externalURL" -}}
{{- if .Values.externalURL -}}
{{- .Values.externalURL -}}
{{- else if .Values.ingress.enabled -}}
https://{{ .Values.ingress.host }}
{{- else if .Values.gateway.enabled -}}
https://{{ first .Values.gateway.hostnames }}
{{- end -}}
{{- end -}}

{{/* One rule of egress: ports, and peers; without peers anywhere. */}}
{{- define "bailey.egress" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* An amount like 100m or 1.5Gi as a plain number. */}}
{{- define "bailey.number" -}}
{{- $units := dict "n" 1e-9 "u" 1e-6 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $amount := toString . -}}
{{- $digits := regexFind "^[0-9.]+([eE][-+]?[0-9]+)?" $amount -}}
{{- mulf $digits (get $units (trimPrefix $digits $amount) | default 1.0) -}}
{{- end }}

{{/* Room for so many pods of an amount each, and for an amount beside: in whole units, rounded up. */}}
{{- define "bailey.room" -}}
{{- $sum := addf (mulf (include "bailey.number" .each) .pods) (include "bailey.number" .beside) -}}
{{- divf $sum .unit | ceil | int64 }}{{ .suffix -}}
{{- end }}

{{/* The port of a URL. */}}
{{- define "bailey.port" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}
