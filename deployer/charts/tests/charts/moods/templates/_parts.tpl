{{- define "endless" }}{{ include "endless" . }}{{ end }}
{{- define "deep" }}
{{ .Values.a.b.c }}
{{- end }}
