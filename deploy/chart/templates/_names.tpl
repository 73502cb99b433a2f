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
