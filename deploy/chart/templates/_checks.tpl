{{- /* What would come up and then fail, or lose data, is refused here. */ -}}
{{- define "slipway.checks" -}}
{{- $settings := include "slipway.settings" . | fromYaml -}}
{{- $database := dig "database" "url" "" $settings -}}
{{- $storage := dig "storage" "url" "" $settings -}}
{{- $key := dig "secrets" "key_file" "" $settings -}}
{{- $shared := and (hasPrefix "postgres://" $database) (hasPrefix "s3://" $storage) (ne $key "") -}}
{{- $several := or .Values.splitRoles (gt (int .Values.server.replicas) 1) -}}
{{- if not (include "slipway.publicUrl" .) -}}
{{- fail "publicUrl: set the address under which people and forges reach the server, or switch the ingress on" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: name the host that the ingress answers for" -}}
{{- end -}}
{{- if and $several (not $shared) -}}
{{- fail "several pods are one Slipway only if they share all of it: set config.database.url (postgres://…), config.storage.url (s3://…) and secrets.keys.keyFile, or run one pod: server.replicas 1, splitRoles false" -}}
{{- end -}}
{{- if and $several .Values.persistence.enabled -}}
{{- fail "persistence.enabled: several pods cannot share one claim; switch it off, what they keep is in PostgreSQL and S3" -}}
{{- end -}}
{{- if not (or .Values.persistence.enabled $shared) -}}
{{- fail "persistence.enabled is false: without a claim everything but PostgreSQL, S3 and a key file goes with the pod; set config.database.url, config.storage.url and secrets.keys.keyFile" -}}
{{- end -}}
{{- $keys := .Values.secrets.keys -}}
{{- if and (or .Values.secrets.env $keys.adminToken $keys.keyFile $keys.databasePassword $keys.s3SecretKey $keys.registryPassword) (not (include "slipway.secret" .)) -}}
{{- fail "secrets.keys and secrets.env name keys of a Secret: set secrets.existing to its name, or secrets.create to its content" -}}
{{- end -}}
{{- if and .Values.secrets.existing .Values.secrets.create -}}
{{- fail "secrets.existing and secrets.create exclude each other" -}}
{{- end -}}
{{- range $name, $key := $keys -}}
{{- if and $key $.Values.secrets.create (not (hasKey $.Values.secrets.create $key)) -}}
{{- fail (printf "secrets.keys.%s names the key %s, which secrets.create does not have" $name $key) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.persistence.enabled) (not $keys.adminToken) -}}
{{- fail "secrets.keys.adminToken: a pod without a claim would take the first admin token with it; give the token in a Secret" -}}
{{- end -}}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret -}}
{{- fail "caBundle.configMap and caBundle.secret exclude each other" -}}
{{- end -}}
{{- if dig "server" "listen" "" .Values.config -}}
{{- fail "config.server.listen: the chart sets it, with the port of probes and Service; service.port is the Service's" -}}
{{- end -}}
{{- if and .Values.kaniko.enabled (not .Values.kaniko.image) -}}
{{- fail "kaniko.image: name the executor's image by digest" -}}
{{- end -}}
{{- end -}}
