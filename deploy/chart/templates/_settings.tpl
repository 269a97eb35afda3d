{{- /* What the chart's values stand for, below what `config` says. YAML. */ -}}
{{- define "slipway.settings" -}}
{{- $server := dict "listen" "0.0.0.0:7300" "data" "/var/lib/slipway" "public_url" (include "slipway.publicUrl" .) -}}
{{- $settings := dict "server" $server "build" (dict "docker_host" "none") "log" (dict "format" "json") -}}
{{- $keys := .Values.secrets.keys -}}
{{- $secrets := list
  (list $keys.adminToken "server" "admin_token" "secret://env/SLIPWAY_SECRET_ADMIN_TOKEN")
  (list $keys.keyFile "secrets" "key_file" "/etc/slipway/key/secret.key")
  (list $keys.databasePassword "database" "password" "secret://env/SLIPWAY_SECRET_DATABASE")
  (list $keys.s3SecretKey "storage" "s3_secret_key" "secret://env/SLIPWAY_SECRET_S3")
  (list $keys.registryPassword "registry" "image_target_password" "secret://env/SLIPWAY_SECRET_REGISTRY")
  (list (or .Values.caBundle.configMap .Values.caBundle.secret) "network" "ca_bundle" (printf "/etc/slipway/ca/%s" .Values.caBundle.key))
-}}
{{- range $secrets -}}
{{- if index . 0 -}}
{{- $settings = mergeOverwrite $settings (dict (index . 1) (dict (index . 2) (index . 3))) -}}
{{- end -}}
{{- end -}}
{{- if .Values.kaniko.enabled -}}
{{- $cluster := dict "name" "in-cluster" "namespace" .Values.kaniko.namespace "max_jobs" .Values.kaniko.maxJobs -}}
{{- $service := printf "%s://%s.%s.svc:%v" (include "slipway.scheme" . | lower) (include "slipway.fullname" .) .Release.Namespace .Values.service.port -}}
{{- $kaniko := dict "clusters" (list $cluster) "owner" .Release.Name "image" .Values.kaniko.image
  "slipway_image" (include "slipway.image" .) "address" (.Values.kaniko.address | default $service) -}}
{{- if .Values.kaniko.podOverlay -}}
{{- $_ := set $kaniko "pod_overlay" "/etc/slipway/config/pod-overlay.yaml" -}}
{{- end -}}
{{- $settings = mergeOverwrite $settings (dict "kaniko" $kaniko) -}}
{{- end -}}
{{- mergeOverwrite $settings (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- define "slipway.toml" -}}
{{- range $section, $keys := . }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "slipway.toml.value" $value }}
{{- end }}
{{ end -}}
{{- end -}}

{{- define "slipway.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{ range $i, $key := keys . | sortAlpha }}{{ if $i }}, {{ end }}{{ $key }} = {{ include "slipway.toml.value" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "slipway.toml.value" $item }}{{ end }}]
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
