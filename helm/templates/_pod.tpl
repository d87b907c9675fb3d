{{- /* A pod of a kind: {root, component}. */}}
{{- define "carryover.pod" -}}
{{- $component := .component }}
{{- $settings := index .root.Values .component }}
{{- with .root -}}
metadata:
  labels:
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "carryover.labels" . | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "carryover.serviceAccountName" . }}
  automountServiceAccountToken: false
  # Service links are variables that begin with the Service's name: CARRYOVER_… is the server's own.
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "carryover.podSecurity" . | nindent 4 }}
  containers:
    - name: carryover
      image: {{ include "carryover.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: [carryover, serve, --role, {{ $component }}]
      env:
        {{- include "carryover.environment" (dict "root" . "component" $component) | nindent 8 }}
      {{- with .Values.objectStore.existingSecret }}
      envFrom:
        - secretRef:
            name: {{ . }}
      {{- end }}
      ports:
        - name: grpc
          containerPort: 50051
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: 9464
        {{- end }}
      # It listens only once the schema is up to date, which may take a while where no Job has done it.
      startupProbe:
        {{- include "carryover.probe" (dict "root" . "component" $component) | nindent 8 }}
        periodSeconds: 2
        {{- if and .Values.database.existingSecret .Values.migrations.job }}
        failureThreshold: 300
        {{- else }}
        {{- /* It migrates itself, which may take as long as a Job may. */}}
        failureThreshold: {{ max 300 (div (add 1 (int .Values.migrations.deadlineSeconds)) 2) }}
        {{- end }}
      livenessProbe:
        {{- include "carryover.probe" (dict "root" . "component" $component) | nindent 8 }}
        timeoutSeconds: 5
      readinessProbe:
        {{- /* It follows the database and the object store, which liveness does not. */}}
        {{- include "carryover.probe" (dict "root" . "component" $component "service" "readiness") | nindent 8 }}
        timeoutSeconds: 5
      securityContext:
        {{- include "carryover.containerSecurity" . | nindent 8 }}
      {{- with $settings.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        {{- if and .Values.tls.existingSecret (ne $component "worker") }}
        - name: tls
          mountPath: /tls
          readOnly: true
        {{- if .Values.tls.client.existingSecret }}
        - name: tls-client
          mountPath: /tls-client
          readOnly: true
        {{- end }}
        {{- end }}
        {{- if .Values.encryption.existingSecret }}
        - name: encryption
          mountPath: /encryption
          readOnly: true
        {{- end }}
  volumes:
    - name: data
      {{- if and (include "carryover.needsVolume" .) .Values.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ include "carryover.claimName" . }}
      {{- else }}
      emptyDir:
        sizeLimit: {{ .Values.scratch.size }}
      {{- end }}
    # SQLite sorts what is large in a temporary file.
    - name: tmp
      emptyDir:
        sizeLimit: {{ .Values.scratch.size }}
    {{- if and .Values.tls.existingSecret (ne $component "worker") }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.existingSecret }}
    {{- with .Values.tls.client.existingSecret }}
    - name: tls-client
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- end }}
    {{- if .Values.encryption.existingSecret }}
    - name: encryption
      secret:
        secretName: {{ .Values.encryption.existingSecret }}
        {{- if .Values.user }}
        # For the pod's own group; where the cluster assigns one it sees to that itself.
        defaultMode: 0440
        {{- end }}
    {{- end }}
  {{- if ne $component "all" }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "carryover.selectorLabels" $.root | nindent 10 }}
          app.kubernetes.io/component: {{ $component }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Variables of a kind of pod: {root, component}. A worker answers nobody, and needs neither key nor certificate. */}}
{{- define "carryover.environment" -}}
{{- $front := ne .component "worker" }}
{{- with .root.Values -}}
- name: CARRYOVER_LISTEN
  value: 0.0.0.0:50051
{{- if .metrics.enabled }}
- name: CARRYOVER_METRICS_LISTEN
  value: 0.0.0.0:9464
{{- end }}
- name: CARRYOVER_DATA_DIR
  value: /data
{{- if .database.existingSecret }}
{{ include "carryover.databaseVariable" (dict "root" $.root) }}
{{- end }}
{{- if and $front .adminKey.existingSecret }}
- name: CARRYOVER_ADMIN_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .adminKey.existingSecret }}
      key: {{ .adminKey.secretKey }}
{{- end }}
{{- if and $front (not .config.publicUrl) }}
# Links to media are good inside the cluster, unless the object store serves them itself.
- name: CARRYOVER_PUBLIC_URL
  value: {{ if .tls.existingSecret }}https{{ else }}http{{ end }}://{{ include "carryover.fullname" $.root }}.{{ $.root.Release.Namespace }}:{{ int .service.port }}
{{- end }}
{{- if and $front .tls.existingSecret }}
- name: CARRYOVER_TLS_CERT
  value: /tls/tls.crt
- name: CARRYOVER_TLS_KEY
  value: /tls/tls.key
{{- with .tls.client }}
{{- if .existingSecret }}
- name: CARRYOVER_TLS_CLIENT_CA
  value: /tls-client/ca.crt
- name: CARRYOVER_TLS_CLIENT_AUTH
  value: {{ .auth }}
{{- with .crlKey }}
- name: CARRYOVER_TLS_CLIENT_CRL
  value: /tls-client/{{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if .encryption.existingSecret }}
- name: CARRYOVER_ENCRYPTION_KEYS
  value: /encryption/{{ .encryption.secretKey }}
{{- end }}
{{- with .objectStore.url }}
- name: CARRYOVER_OBJECT_STORE
  value: {{ quote . }}
{{- end }}
{{- range $name, $value := .objectStore.env }}
- name: {{ $name }}
  value: {{ quote $value }}
{{- end }}
{{- range $name, $value := .config }}
- name: CARRYOVER_{{ snakecase $name | upper }}
  {{- /* Numbers arrive as floats, and a large one would be printed as 5e+06. */}}
  {{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
  {{- else if kindIs "float64" $value }}
  value: {{ if eq (float64 (int64 $value)) $value }}{{ int64 $value | quote }}{{ else }}{{ quote $value }}{{ end }}
  {{- else }}
  value: {{ quote $value }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A probe of {root, component, service}. The kubelet speaks gRPC without TLS only; the port of metrics, which has none,
answers as soon as calls are. */}}
{{- define "carryover.probe" -}}
{{- if and .root.Values.tls.existingSecret (ne .component "worker") -}}
httpGet:
  path: {{ if .service }}/readyz{{ else }}/livez{{ end }}
  port: metrics
{{- else -}}
grpc:
  port: 50051
  {{- with .service }}
  service: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
