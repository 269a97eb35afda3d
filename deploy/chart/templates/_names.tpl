{{- define "slipway.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "slipway.labels" -}}
{{ include "slipway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: slipway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "slipway.image" -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- end -}}

{{- define "slipway.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "slipway.fullname" .) }}
{{- end -}}

{{- define "slipway.secret" -}}
{{- if .Values.secrets.create -}}
{{ include "slipway.fullname" . }}
{{- else -}}
{{ .Values.secrets.existing }}
{{- end -}}
{{- end -}}

{{- /* Of the pods that answer people: all, or those of the api role. */ -}}
{{- define "slipway.front" -}}
{{ ternary "api" "server" .Values.splitRoles }}
{{- end -}}

{{- define "slipway.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{ .Values.publicUrl }}
{{- else if .Values.ingress.enabled -}}
{{ ternary "https" "http" (ne .Values.ingress.tlsSecret "") }}://{{ .Values.ingress.host }}
{{- end -}}
{{- end -}}

{{- /* Of the server's own port. */ -}}
{{- define "slipway.scheme" -}}
{{ ternary "HTTPS" "HTTP" (ne (dig "server" "tls_certificate" "" .Values.config) "") }}
{{- end -}}
