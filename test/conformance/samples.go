// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Sample is an object of one stored kind.
type Sample struct {
	// Resource is what its kind is served as.
	Resource   schema.GroupVersionResource
	Namespaced bool
	// Object is as a client would create it.
	Object runtime.Object
}

// Samples are one object of each stored kind, all of the given name, in the
// given namespace where the kind has one.
func Samples(namespace, name string) []Sample {
	own := metav1.ObjectMeta{Name: name, Namespace: namespace}
	rules := []rbacv1.PolicyRule{rule("get", "", "pods")}
	container := corev1.Container{Name: "main", Image: "registry.example/worker"}
	core, rbac := corev1.SchemeGroupVersion, rbacv1.SchemeGroupVersion
	pod, service := simplePod(name, ""), &corev1.Service{ObjectMeta: own, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	pod.Namespace = namespace
	samples := []Sample{
		{Resource: core.WithResource("configmaps"), Object: &corev1.ConfigMap{ObjectMeta: own, Data: map[string]string{"key": "value"}}},
		{Resource: core.WithResource("events"), Object: &corev1.Event{
			ObjectMeta: own, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "p"},
			Reason: "Tested", Message: "it was tested", Type: corev1.EventTypeNormal,
		}},
		{Resource: core.WithResource("namespaces"), Object: &corev1.Namespace{}},
		{Resource: core.WithResource("nodes"), Object: &corev1.Node{}},
		{Resource: core.WithResource("pods"), Object: pod},
		{Resource: core.WithResource("podtemplates"), Object: &corev1.PodTemplate{ObjectMeta: own, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}}},
		{Resource: core.WithResource("secrets"), Object: &corev1.Secret{ObjectMeta: own, Data: map[string][]byte{"key": []byte("value")}}},
		{Resource: core.WithResource("serviceaccounts"), Object: &corev1.ServiceAccount{ObjectMeta: own}},
		{Resource: core.WithResource("services"), Object: service},
		{Resource: eventsv1.SchemeGroupVersion.WithResource("events"), Object: &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-new", Namespace: namespace}, EventTime: metav1.NewMicroTime(time.Unix(1700000000, 0)),
			ReportingController: "conformance.example/test", ReportingInstance: "one", Action: "Testing", Reason: "Tested", Type: corev1.EventTypeNormal,
			Regarding: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "p"},
		}},
		{Resource: batchv1.SchemeGroupVersion.WithResource("jobs"), Object: &batchv1.Job{ObjectMeta: own, Spec: batchv1.JobSpec{
			ManagedBy: new("conformance.example/nobody"), // so that nobody runs it
			Template:  corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container}}},
		}}},
		{Resource: coordinationv1.SchemeGroupVersion.WithResource("leases"), Object: &coordinationv1.Lease{ObjectMeta: own}},
		{Resource: rbac.WithResource("clusterrolebindings"), Object: &rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}}},
		{Resource: rbac.WithResource("clusterroles"), Object: &rbacv1.ClusterRole{Rules: rules}},
		{Resource: rbac.WithResource("rolebindings"), Object: &rbacv1.RoleBinding{ObjectMeta: own, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"}}},
		{Resource: rbac.WithResource("roles"), Object: &rbacv1.Role{ObjectMeta: own, Rules: rules}},
	}
	samples = append(samples, certificateSamples(own)...)
	for i := range samples {
		samples[i].complete(name)
	}
	return samples
}

// complete names an object that is in no namespace, and tells the others.
func (s *Sample) complete(name string) {
	object := s.meta()
	s.Namespaced = object.GetNamespace() != ""
	if !s.Namespaced {
		object.SetName(name)
	}
}

func (s *Sample) meta() metav1.Object {
	object, err := meta.Accessor(s.Object)
	if err != nil { // only for what is no API object
		panic(err)
	}
	return object
}

// Name is the name of the object.
func (s *Sample) Name() string { return s.meta().GetName() }

// path is where the objects of the kind are.
func (s *Sample) path(namespace string) string {
	path := "/apis/" + s.Resource.Group + "/" + s.Resource.Version
	if s.Resource.Group == "" {
		path = "/api/" + s.Resource.Version
	}
	if s.Namespaced {
		path += "/namespaces/" + namespace
	}
	return path + "/" + s.Resource.Resource
}
