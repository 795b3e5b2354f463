{{- define "tidegate.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.controllerName" -}}{{ include "tidegate.fullname" . }}-controller{{- end -}}
{{- define "tidegate.peersName" -}}{{ include "tidegate.fullname" . }}-controller-peers{{- end -}}
{{- define "tidegate.dataplaneName" -}}{{ include "tidegate.fullname" . }}-dataplane{{- end -}}
{{- define "tidegate.metricsApiName" -}}{{ include "tidegate.fullname" . }}-custom-metrics{{- end -}}

{{/* Full DNS name of a Service: {root, service}. */}}
{{- define "tidegate.serviceDomain" -}}
{{ .service }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}

{{- define "tidegate.controllerAccount" -}}
{{- default (include "tidegate.controllerName" .) .Values.controller.serviceAccount.name -}}
{{- end -}}

{{- define "tidegate.dataplaneAccount" -}}
{{- default (include "tidegate.dataplaneName" .) .Values.dataplane.serviceAccount.name -}}
{{- end -}}

{{/* Labels that select pods: {root, component}. They can't change after the install. */}}
{{- define "tidegate.selector" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of every object: {root, component}. */}}
{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/part-of: tidegate
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of pods: without versions, so that a new chart alone rolls nothing: {root, component, values}. */}}
{{- define "tidegate.podLabels" -}}
{{- $own := include "tidegate.selector" . | fromYaml -}}
{{- toYaml (mergeOverwrite (dict) (deepCopy .root.Values.commonLabels) (deepCopy .values.podLabels) $own (dict "app.kubernetes.io/part-of" "tidegate")) -}}
{{- end -}}

{{/* Image reference: {root, image}. */}}
{{- define "tidegate.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end -}}

{{- define "tidegate.controllerSecret" -}}
{{- if eq .Values.certificates.source "existing" -}}
{{ required "certificates.existing.controllerSecret must name a Secret when certificates.source is existing" .Values.certificates.existing.controllerSecret }}
{{- else -}}
{{ include "tidegate.controllerName" . }}-tls
{{- end -}}
{{- end -}}

{{- define "tidegate.dataplaneSecret" -}}
{{- if eq .Values.certificates.source "existing" -}}
{{ required "certificates.existing.dataplaneSecret must name a Secret when certificates.source is existing" .Values.certificates.existing.dataplaneSecret }}
{{- else -}}
{{ include "tidegate.dataplaneName" . }}-tls
{{- end -}}
{{- end -}}
