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

{{/* The port of a URL. */}}
{{- define "bailey.port" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end }}
