{{/* Names the controller's certificate must hold: what data planes, other controllers and the API server call it by. */}}
{{- define "tidegate.controllerNames" -}}
{{- $names := list -}}
{{- $services := list (include "tidegate.controllerName" .) (include "tidegate.peersName" .) (include "tidegate.metricsApiName" .) -}}
{{- range $services -}}
{{- $names = concat $names (list . (printf "%s.%s" . $.Release.Namespace) (printf "%s.%s.svc" . $.Release.Namespace) (printf "%s.%s.svc.%s" . $.Release.Namespace $.Values.clusterDomain)) -}}
{{- end -}}
{{- $peers := printf "*.%s.%s.svc" (include "tidegate.peersName" .) .Release.Namespace -}}
{{- concat $names (list $peers (printf "%s.%s" $peers .Values.clusterDomain)) | join "," -}}
{{- end -}}

{{/* The name peers are known by, whatever address they were dialled at. */}}
{{- define "tidegate.serverName" -}}
{{ include "tidegate.controllerName" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* Names of the data plane's certificate; the first is what controllers ask for. */}}
{{- define "tidegate.dataplaneNames" -}}
{{ include "tidegate.dataplaneName" . }},{{ include "tidegate.dataplaneName" . }}.{{ .Release.Namespace }}
{{- end -}}

{{/*
Makes sure .Values.issued holds {ca, controller, dataplane}, each {cert, key} in base64. They are read from the cluster where
they are there, so that an upgrade changes nothing; a certificate is issued again when its names change or its authority is
gone. One rendering calls this from several templates and must see the same certificates, hence the memory in .Values.
*/}}
{{- define "tidegate.issue" -}}
{{- if not (hasKey .Values "issued") -}}
{{- $days := int .Values.certificates.validityDays -}}
{{- $caSecret := lookup "v1" "Secret" .Release.Namespace (printf "%s-ca" (include "tidegate.fullname" .)) -}}
{{- $issued := dict -}}
{{- $authority := dict -}}
{{- $kept := false -}}
{{- if and $caSecret (hasKey ($caSecret.data | default dict) "ca.crt") (hasKey $caSecret.data "ca.key") -}}
  {{- $authority = buildCustomCert (index $caSecret.data "ca.crt") (index $caSecret.data "ca.key") -}}
  {{- $kept = true -}}
{{- else -}}
  {{- $authority = genCA (printf "%s-ca" (include "tidegate.fullname" .)) $days -}}
{{- end -}}
{{- $_ := set $issued "ca" (dict "cert" ($authority.Cert | b64enc) "key" ($authority.Key | b64enc)) -}}
{{- $leaves := list
  (dict "of" "controller" "secret" (include "tidegate.controllerSecret" .) "names" (include "tidegate.controllerNames" .))
  (dict "of" "dataplane" "secret" (include "tidegate.dataplaneSecret" .) "names" (include "tidegate.dataplaneNames" .)) -}}
{{- range $leaves -}}
  {{- $old := lookup "v1" "Secret" $.Release.Namespace .secret -}}
  {{- $annotations := dict -}}
  {{- if $old -}}{{- $annotations = $old.metadata.annotations | default dict -}}{{- end -}}
  {{- if and $old $kept (eq (get $annotations "tidegate.dev/certificate-names") .names) (hasKey ($old.data | default dict) "tls.crt") -}}
    {{- $_ := set $issued .of (dict "cert" (index $old.data "tls.crt") "key" (index $old.data "tls.key")) -}}
  {{- else -}}
    {{- /* genSignedCert wants a list of anything, splitList makes one of strings */ -}}
    {{- $names := list -}}
    {{- range splitList "," .names -}}{{- $names = append $names . -}}{{- end -}}
    {{- $new := genSignedCert (first $names) nil $names $days $authority -}}
    {{- $_ := set $issued .of (dict "cert" ($new.Cert | b64enc) "key" ($new.Key | b64enc)) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set .Values "issued" $issued -}}
{{- end -}}
{{- end -}}

{{/* Changes when a certificate of the chart does, so that the pods are rolled: {root, of}. */}}
{{- define "tidegate.certificateChecksum" -}}
{{- if eq .root.Values.certificates.source "helm" -}}
{{- include "tidegate.issue" .root -}}
{{- $of := get .root.Values.issued .of -}}
{{- printf "%s%s" .root.Values.issued.ca.cert $of.cert | sha256sum | trunc 32 -}}
{{- end -}}
{{- end -}}
