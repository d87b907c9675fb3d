{{- define "carryover.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for the longest of the suffixes. */}}
{{- define "carryover.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "carryover.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "carryover.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Never changes for a release: a Deployment's selector is immutable. */}}
{{- define "carryover.selectorLabels" -}}
app.kubernetes.io/name: {{ include "carryover.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "carryover.labels" -}}
{{ include "carryover.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "carryover.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "carryover.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "carryover.claimName" -}}
{{- default (printf "%s-data" (include "carryover.fullname" .)) .Values.persistence.existingClaim }}
{{- end }}

{{- define "carryover.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- /* The kinds of pods there are, as JSON: one that does all without a database, or two. */}}
{{- define "carryover.components" -}}
{{- if .Values.database.existingSecret }}["api", "worker"]{{ else }}["all"]{{ end }}
{{- end }}

{{- /* The kind of pods that answers calls. */}}
{{- define "carryover.front" -}}
{{- if .Values.database.existingSecret }}api{{ else }}all{{ end }}
{{- end }}

{{- /* "true" when something that must stay is kept on the volume. */}}
{{- define "carryover.needsVolume" -}}
{{- if not (and .Values.database.existingSecret .Values.objectStore.url) }}true{{ end }}
{{- end }}

{{- /* The database's URL, from its own Secret or from another: {root, secret}. */}}
{{- define "carryover.databaseVariable" -}}
{{- $secret := .secret }}
{{- with .root.Values.database -}}
- name: CARRYOVER_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ default .existingSecret $secret }}
      key: {{ .secretKey }}
{{- end }}
{{- end }}

{{- define "carryover.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.user }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
# A volume of many segments is walked once, not at every start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "carryover.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "carryover.validate" -}}
{{- with .Values }}
{{- if and .tls.existingSecret (not .metrics.enabled) }}
{{- fail "With TLS the probes ask the port of metrics: set metrics.enabled." }}
{{- end }}
{{- /* 20 for what is in work, 3 for the last spans, and some. */}}
{{- if le (int .terminationGracePeriodSeconds) (add 25 (int .config.drainSeconds) | int) }}
{{- fail "A pod needs more than 25 seconds beside config.drainSeconds to stop: raise terminationGracePeriodSeconds." }}
{{- end }}
{{- if .database.existingSecret }}
{{- if not .adminKey.existingSecret }}
{{- fail "A database needs adminKey.existingSecret: pods would write a key of their own to where nobody sees it." }}
{{- end }}
{{- if not (or .objectStore.url (and .persistence.enabled (has "ReadWriteMany" .persistence.accessModes))) }}
{{- fail "Pods share the sources: set objectStore.url, or persistence.enabled and persistence.accessModes to [ReadWriteMany]." }}
{{- end }}
{{- if and .networkPolicy.enabled (not .networkPolicy.database.to) }}
{{- fail "The NetworkPolicy must know where the database is: set networkPolicy.database.to, or networkPolicy.enabled to false." }}
{{- end }}
{{- if and .worker.keda.enabled .worker.autoscaling.enabled }}
{{- fail "Workers are scaled by one: set worker.keda.enabled or worker.autoscaling.enabled." }}
{{- end }}
{{- else if or .worker.keda.enabled .worker.autoscaling.enabled .api.autoscaling.enabled }}
{{- fail "Scaling needs PostgreSQL: SQLite has one pod. Set database.existingSecret." }}
{{- end }}
{{- if and .migrations.existingSecret (not .migrations.job) }}
{{- fail "Without migrations.job pods migrate by database.existingSecret: unset migrations.existingSecret." }}
{{- end }}
{{- if and .tls.client.existingSecret (not .tls.existingSecret) }}
{{- fail "Clients show certificates to a server that has one: set tls.existingSecret, too." }}
{{- end }}
{{- if not (or .tls.existingSecret .config.insecureListen) }}
{{- fail "Without TLS keys and personal data can be read on their way: set tls.existingSecret, or config.insecureListen where something else encrypts (a proxy, a service mesh)." }}
{{- end }}
{{- end }}
{{- end }}
