{{- /* One Deployment: a dict of root, component, roles and its values. */ -}}
{{- define "slipway.deployment" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $settings := include "slipway.settings" $root | fromYaml -}}
{{- $keys := $values.secrets.keys -}}
{{- $ca := or $values.caBundle.configMap $values.caBundle.secret -}}
{{- $scheme := include "slipway.scheme" $root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "slipway.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  replicas: {{ .values.replicas }}
  {{- if $values.persistence.enabled }}
  # A claim is one pod's: the next starts when it is free.
  strategy: {type: Recreate}
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  {{- end }}
  selector:
    matchLabels:
      {{- include "slipway.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels:
        {{- include "slipway.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        {{- with $values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/config: {{ include "slipway.configuration" $root | sha256sum }}
        {{- if $values.secrets.create }}
        checksum/secret: {{ toJson $values.secrets.create | sha256sum }}
        {{- end }}
        {{- with $values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "slipway.serviceAccount" $root }}
      # Only who starts Jobs has to know the API server.
      automountServiceAccountToken: {{ and $values.kaniko.enabled (or (eq .component "server") (eq .component "builder")) }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ add (ceil (divf (dig "server" "stop_timeout_ms" 20000 $settings) 1000) | int) (int $values.preStopSeconds) 10 }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: slipway
          image: {{ include "slipway.image" $root }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args: [serve, --config, /etc/slipway/config/slipway.toml, --roles, {{ .roles | quote }}]
          env:
            - {name: HOME, value: /var/lib/slipway}
            {{- range list
              (list $keys.adminToken "ADMIN_TOKEN") (list $keys.databasePassword "DATABASE")
              (list $keys.s3SecretKey "S3") (list $keys.registryPassword "REGISTRY") }}
            {{- if index . 0 }}
            - name: SLIPWAY_SECRET_{{ index . 1 }}
              valueFrom: {secretKeyRef: {name: {{ include "slipway.secret" $root }}, key: {{ index . 0 }}}}
            {{- end }}
            {{- end }}
            {{- range $name, $key := $values.secrets.env }}
            - name: {{ $name }}
              valueFrom: {secretKeyRef: {name: {{ include "slipway.secret" $root }}, key: {{ $key }}}}
            {{- end }}
            {{- with $values.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: http, containerPort: 7300, protocol: TCP}
          # Migrations of the database run before the first answer.
          startupProbe:
            httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
            periodSeconds: 2
            failureThreshold: 150
          livenessProbe:
            httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
            periodSeconds: 5
            timeoutSeconds: 7
            failureThreshold: 2
          {{- if $values.preStopSeconds }}
          lifecycle:
            preStop: {exec: {command: [sleep, {{ $values.preStopSeconds | toString | quote }}]}}
          {{- end }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          {{- with .values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          volumeMounts:
            - {name: config, mountPath: /etc/slipway/config, readOnly: true}
            - {name: data, mountPath: /var/lib/slipway}
            - {name: tmp, mountPath: /tmp}
            {{- if $keys.keyFile }}
            - {name: key, mountPath: /etc/slipway/key, readOnly: true}
            {{- end }}
            {{- if $ca }}
            - {name: ca, mountPath: /etc/slipway/ca, readOnly: true}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: config
          configMap: {name: {{ include "slipway.fullname" $root }}}
        - name: data
          {{- if $values.persistence.enabled }}
          persistentVolumeClaim: {claimName: {{ $values.persistence.existingClaim | default (include "slipway.fullname" $root) }}}
          {{- else }}
          emptyDir: {sizeLimit: {{ $values.scratch.dataSizeLimit }}}
          {{- end }}
        - name: tmp
          emptyDir: {sizeLimit: {{ $values.scratch.tmpSizeLimit }}}
        {{- if $keys.keyFile }}
        - name: key
          secret:
            secretName: {{ include "slipway.secret" $root }}
            defaultMode: 0440
            items: [{key: {{ $keys.keyFile }}, path: secret.key}]
        {{- end }}
        {{- if $values.caBundle.configMap }}
        - name: ca
          configMap: {name: {{ $values.caBundle.configMap }}, items: [{key: {{ $values.caBundle.key }}, path: {{ $values.caBundle.key }}}]}
        {{- else if $values.caBundle.secret }}
        - name: ca
          secret: {secretName: {{ $values.caBundle.secret }}, items: [{key: {{ $values.caBundle.key }}, path: {{ $values.caBundle.key }}}]}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $values.topologySpread }}
      topologySpreadConstraints:
        {{- $component := .component }}
        {{- range $values.topologySpread }}
        - {{- toYaml . | nindent 10 }}
          labelSelector:
            matchLabels:
              {{- include "slipway.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ $component }}
        {{- end }}
      {{- end }}
{{- end -}}
