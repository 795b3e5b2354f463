{{/* What a controller watches and writes in each namespace it serves. */}}
{{- define "tidegate.watchRules" -}}
- apiGroups: [tidegate.dev]
  resources: [routes, backends, policies]
  verbs: [get, list, watch]
- apiGroups: [tidegate.dev]
  resources: [routes/status, backends/status, policies/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
{{- if .Values.controller.secrets.watch }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
