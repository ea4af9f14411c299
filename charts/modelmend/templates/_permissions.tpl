{{/* What the operator may do, written once: the roles grant it and `helm test` asks for it. */}}

{{- define "modelmend.permissions" -}}
- apiGroups: [modelmend.dev]
  resources: [modeldeployments]
  verbs: [list, watch]
- apiGroups: [modelmend.dev]
  resources: [modeldeployments/status, modelversions/status]
  verbs: [patch]
- apiGroups: [modelmend.dev]
  resources: [modeldeployments/finalizers]
  verbs: [update]
- apiGroups: [modelmend.dev]
  resources: [modelversions]
  verbs: [get, list, watch, create, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "modelmend.lease" -}}
modelmend
{{- end -}}
