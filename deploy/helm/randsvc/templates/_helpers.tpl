{{/* The name of the release's objects; a release called randsvc gives no randsvc-randsvc. */}}
{{- define "randsvc.name" -}}
{{- if contains "randsvc" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-randsvc{{ end }}
{{- end }}

{{/* The name of a service's objects: {context, service}. */}}
{{- define "randsvc.serviceName" -}}
{{ include "randsvc.name" .context }}{{ if ne .service "randsvc" }}-{{ .service }}{{ end }}
{{- end }}

{{/* The labels that select a service's pods. They never change, as a Deployment's selector cannot. */}}
{{- define "randsvc.selector" -}}
app.kubernetes.io/name: randsvc
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end }}

{{/* All labels of a service's objects. */}}
{{- define "randsvc.labels" -}}
{{ include "randsvc.selector" . }}
{{ include "randsvc.chartLabels" .context }}
{{- end }}

{{- define "randsvc.chartLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels of an object that belongs to both services. */}}
{{- define "randsvc.commonLabels" -}}
app.kubernetes.io/name: randsvc
app.kubernetes.io/instance: {{ .Release.Name }}
{{ include "randsvc.chartLabels" . }}
{{- end }}

{{/* The labels of an object of the monitoring, with those by which a Prometheus selects it. */}}
{{- define "randsvc.monitoringLabels" -}}
{{ include "randsvc.commonLabels" . }}
{{- with .Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "randsvc.secretName" -}}
{{ .Values.secrets.existing | default (include "randsvc.name" .) }}
{{- end }}

{{/* What the standard `restricted` asks of a pod and of a container:
     https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted */}}
{{- define "randsvc.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "randsvc.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
{{- end }}
