{{- define "carryover.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "carryover.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "carryover.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "carryover.name" .) | trunc 63 | trimSuffix "-" }}
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
{{- default (printf "%s-data" (include "carryover.fullname" . | trunc 58 | trimSuffix "-")) .Values.persistence.existingClaim }}
{{- end }}

{{- /* "true" when two pods may run at a time, be it only during an upgrade. */}}
{{- define "carryover.shareable" -}}
{{- with .Values }}
{{- if and .database.existingSecret .persistence.enabled (has "ReadWriteMany" .persistence.accessModes) }}true{{ end }}
{{- end }}
{{- end }}

{{- define "carryover.validate" -}}
{{- if gt (int .Values.replicas) 1 }}
{{- if not .Values.database.existingSecret }}
{{- fail "replicas > 1 needs PostgreSQL: SQLite has one pod. Set database.existingSecret, or replicas to 1." }}
{{- end }}
{{- if not (include "carryover.shareable" .) }}
{{- fail "replicas > 1 needs a volume that all pods can write: they share the uploaded sources. Set persistence.enabled, and persistence.accessModes to [ReadWriteMany]." }}
{{- end }}
{{- end }}
{{- end }}
